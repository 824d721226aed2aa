// SPDX-License-Identifier: GPL-2.0-only
/* One line of /proc/PID/maps as an object, or why it cannot be carried. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cpt/mm.h"

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool is_vvar(const struct map *m)
{
	return starts(m->path, "[vvar"); /* [vvar], [vvar_vclock] */
}

bool cpt_map_is_special(const struct map *m)
{
	return !strcmp(m->path, "[vdso]") || is_vvar(m) || !strcmp(m->path, "[vsyscall]");
}

static bool is_shm(const struct cpt *c, const struct map *m)
{
	return m->ino && m->dev == c->mm->shm_dev;
}

static const char *flag_obstacle(const struct map *m, const char **ret_hint)
{
	if (m->flags & MAP_FLAG_UFFD) {
		*ret_hint = "a program that handles its own page faults cannot be carried";
		return "a userfaultfd of its own is on the memory";
	}
	if (m->flags & MAP_FLAG_HUGETLB)
		return "memory of hugetlb pages";
	if (m->flags & MAP_FLAG_SHADOW_STACK)
		return "a shadow stack";
	if (m->flags & MAP_FLAG_SEALED)
		return "sealed memory (mseal)";
	if (m->flags & MAP_FLAG_DROPPABLE)
		return "droppable memory (MAP_DROPPABLE)";
	if (m->flags & (MAP_FLAG_PFNMAP | MAP_FLAG_IO))
		return "memory of a device";
	if (m->flags & MAP_FLAG_MIXED)
		return "memory of a driver";
	return NULL;
}

const char *cpt_vma_obstacle(const struct cpt *c, const struct map *m, const char **ret_hint)
{
	*ret_hint = NULL;
	if (cpt_map_is_special(m))
		return NULL;
	if (cpt_sysv_is_mapping(c, m))
		return flag_obstacle(m, ret_hint);
	if (starts(m->path, "/[aio]"))
		return "an asynchronous I/O context (io_setup)";
	if (starts(m->path, "anon_inode:[io_uring]"))
		return "an io_uring";
	if (starts(m->path, "anon_inode:"))
		return "memory of an anonymous kernel object";
	if (starts(m->path, "socket:") || starts(m->path, "/dmabuf:"))
		return "memory of a socket or a driver";
	if (starts(m->path, "/secretmem"))
		return "secret memory (memfd_secret)";
	if (starts(m->path, "/anon_hugepage"))
		return "memory of hugetlb pages";
	if (!strcmp(m->path, "[uprobes]")) {
		*ret_hint = "detach the tracer";
		return "probes of a tracer (uprobes)";
	}
	if (m->shared && !m->ino)
		return "shared memory of an unknown kind";
	return flag_obstacle(m, ret_hint);
}

static uint32_t advice_of(uint32_t flags)
{
	static const struct {
		uint32_t flag, advice;
	} table[] = {
		{MAP_FLAG_DONTFORK, VMA_ADV_DONTFORK},	   {MAP_FLAG_WIPEONFORK, VMA_ADV_WIPEONFORK},
		{MAP_FLAG_DONTDUMP, VMA_ADV_DONTDUMP},	   {MAP_FLAG_HUGEPAGE, VMA_ADV_HUGEPAGE},
		{MAP_FLAG_NOHUGEPAGE, VMA_ADV_NOHUGEPAGE}, {MAP_FLAG_MERGEABLE, VMA_ADV_MERGEABLE},
		{MAP_FLAG_SEQUENTIAL, VMA_ADV_SEQUENTIAL}, {MAP_FLAG_RANDOM, VMA_ADV_RANDOM},
		{MAP_FLAG_LOCKED, VMA_ADV_LOCKED},	   {MAP_FLAG_LOCKED_ONFAULT, VMA_ADV_LOCKED_ONFAULT},
	};
	uint32_t advice = 0;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (flags & table[i].flag)
			advice |= table[i].advice;
	return advice;
}

/* "[anon:NAME]" and "[anon_shmem:NAME]" (PR_SET_VMA_ANON_NAME) */
static char *anon_name_of(const struct map *m)
{
	const char *name = NULL;
	size_t len;

	if (starts(m->path, "[anon:"))
		name = m->path + strlen("[anon:");
	else if (starts(m->path, "[anon_shmem:"))
		name = m->path + strlen("[anon_shmem:");
	if (!name)
		return NULL;
	len = strlen(name);
	if (len && name[len - 1] == ']')
		len--;
	return mem_printf("%.*s", (int)len, name);
}

/* A mapping of /dev/zero, private, is anonymous memory that keeps the name (drivers/char/mem.c). */
static bool is_dev_zero(const struct map *m, mode_t mode, dev_t rdev)
{
	return !m->shared && S_ISCHR(mode) && rdev == makedev(1, 5);
}

static int file_id_of(struct cpt *c, const struct cpt_task *t, const struct map *m, reg_id *ret,
		      struct err *err)
{
	struct known_file *new;

	vec_each(k, &c->mm->files) {
		if (k->ino == m->ino && k->dev == m->dev && !strcmp(k->path, m->path)) {
			*ret = k->reg;
			return 0;
		}
	}
	if (cpt_reg_of_mapping(c, t, m->start, m->end, m->dev, m->ino, m->path, ret, err))
		return -1;
	new = vec_add(&c->mm->files);
	*new = (struct known_file){m->dev, m->ino, mem_strdup(m->path), *ret};
	return 0;
}

static int file_vma(struct cpt *c, const struct cpt_task *t, const struct map *m, struct vma_obj *ret,
		    struct err *err)
{
	char link[64];
	struct stat st;

	ret->offset = m->offset;
	if (is_shm(c, m)) {
		ret->kind = m->shared ? VMA_SHM : VMA_FILE;
		return cpt_shm_of_mapping(c, t, m, &ret->shm, err);
	}
	if (!strcmp(m->path, "/dev/zero")) {
		snprintf(link, sizeof(link), "map_files/%lx-%lx", m->start, m->end);
		if (fstatat(t->proc_fd, link, &st, 0))
			return err_sys(err, "%s", link);
		if (is_dev_zero(m, st.st_mode, st.st_rdev)) {
			ret->kind = VMA_ANON;
			ret->offset = 0;
			return 0;
		}
	}
	ret->kind = m->shared ? VMA_FILE_SHARED : VMA_FILE;
	return file_id_of(c, t, m, &ret->reg, err);
}

int cpt_vma_obj(struct cpt *c, const struct cpt_task *t, const struct map *m, struct vma_obj *ret,
		struct err *err)
{
	struct map plain = *m;
	const char *hint, *obstacle;
	struct vma_obj v = {.start = m->start, .end = m->end, .prot = m->prot, .kind = VMA_ANON};

	if (!strcmp(m->path, "[vsyscall]"))
		return VMA_IGNORED;
	plain.flags &= ~(uint32_t)MAP_FLAG_UFFD; /* ours */
	obstacle = cpt_vma_obstacle(c, &plain, &hint);
	if (obstacle)
		return err_set(err, ERR_OBSTACLES, "memory at %lx: %s", m->start, obstacle);
	if (is_vvar(m) || cpt_map_is_special(m)) {
		v.kind = is_vvar(m) ? VMA_VVAR : VMA_VDSO;
		*ret = v;
		return 0;
	}
	v.growsdown = m->flags & MAP_FLAG_GROWSDOWN;
	v.noreserve = m->flags & MAP_FLAG_NORESERVE;
	v.accounted = !m->shared && m->flags & MAP_FLAG_ACCOUNT;
	v.advice = advice_of(m->flags);
	v.file_writable = m->shared && m->flags & MAP_FLAG_MAYWRITE;
	if (cpt_sysv_is_mapping(c, m)) {
		v.kind = VMA_SHM;
		v.offset = m->offset;
		if (cpt_sysv_of_mapping(c, m, &v.shm, err))
			return err_ctx(err, "memory at %lx", m->start);
	} else if (m->ino && file_vma(c, t, m, &v, err)) {
		return err_ctx(err, "memory at %lx", m->start);
	}
	v.anon_name = anon_name_of(m);
	*ret = v;
	return 0;
}
