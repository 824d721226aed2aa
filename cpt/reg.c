// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of the VE's tree: regular files, directories, places (O_PATH). The path comes from the kernel and is
 * only believed when it leads to the same inode from the VE's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "cpt/file.h"
#include "facts/proc.h"

#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c */
#define MAX_DIRS     256	/* kept open */

/* --- paths --- */

void cpt_reg_forget_dirs(struct cpt *c)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(d, &s->dirs) {
		free(d->path);
		cleanup_fd(&d->fd);
	}
	vec_free(&s->dirs);
	idx_clear(&s->dir_idx);
}

static int open_dir(struct cpt *c, const char *path, size_t path_bytes)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS};
	char name[PATH_MAX];

	if (path_bytes >= sizeof(name))
		return -1;
	memcpy(name, path, path_bytes);
	name[path_bytes] = 0;
	return (int)syscall(SYS_openat2, c->run.root_fd, path_bytes ? name : "/", &how, sizeof(how));
}

/* A descriptor of the directory, kept by the state: files of a VE lie in few directories. -1 with errno. */
static int dir_of(struct cpt *c, const char *path, size_t path_bytes)
{
	struct cpt_file_state *s = cpt_file_state(c);
	uint64_t hash = idx_hash(0, path, path_bytes);
	struct cpt_dir *d;
	int fd;

	for (uint32_t i = idx_first(&s->dir_idx, hash); i != IDX_END; i = idx_next(&s->dir_idx, i)) {
		d = &s->dirs.at[i];
		if (!strncmp(d->path, path, path_bytes) && !d->path[path_bytes])
			return d->fd;
	}
	fd = open_dir(c, path, path_bytes);
	if (fd < 0)
		return -1;
	if (s->dirs.nr == MAX_DIRS)
		cpt_reg_forget_dirs(c);
	idx_add(&s->dir_idx, hash);
	d = vec_add(&s->dirs);
	d->path = mem_printf("%.*s", (int)path_bytes, path);
	d->fd = fd;
	return fd;
}

int cpt_reg_stat(struct cpt *c, const char *path, struct stat *ret)
{
	const char *inside = cpt_fdopen_in_root(c, path), *name;
	int dir;

	if (!inside) {
		errno = ENOENT;
		return -1;
	}
	name = strrchr(inside, '/') + 1;
	if (!c->frozen)
		cpt_reg_forget_dirs(c);
	dir = dir_of(c, inside, (size_t)(name - 1 - inside));
	if (dir < 0)
		return -1;
	/* an empty name: the root itself */
	return fstatat(dir, name, ret, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH));
}

int cpt_reg_leads_to(struct cpt *c, const char *path, dev_t dev, ino_t ino)
{
	struct stat st;

	return !cpt_reg_stat(c, path, &st) && st.st_dev == dev && st.st_ino == ino;
}

/* --- objects --- */

static uint64_t hash_of(dev_t dev, ino_t ino, const char *path)
{
	return idx_hash(idx_hash_u64(dev, ino), path, strlen(path));
}

/* The reg_obj of that inode under that path, made if it is new. */
static reg_id reg_of(struct cpt *c, const struct stat *st, const char *path, ghost_id ghost)
{
	struct cpt_file_state *s = cpt_file_state(c);
	uint64_t hash = hash_of(st->st_dev, st->st_ino, path);
	struct reg_obj *reg;

	for (uint32_t i = idx_first(&s->reg_idx, hash); i != IDX_END; i = idx_next(&s->reg_idx, i)) {
		const struct cpt_reg_known *k = &s->regs.at[i];

		reg = &c->m.regs.at[i];
		if (k->dev == st->st_dev && k->ino == st->st_ino && reg->ghost == ghost &&
		    !strcmp(reg->path, path))
			return k->id;
	}
	idx_add(&s->reg_idx, hash);
	reg = vec_add(&c->m.regs);
	reg->id = (reg_id)c->m.regs.nr;
	reg->path = mem_strdup(path);
	reg->mode = st->st_mode;
	reg->ghost = ghost;
	if (c->frozen) { /* while the VE runs they may still change */
		reg->size_bytes = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
		reg->mtime_ns = st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec;
	}
	vec_push(&s->regs, ((struct cpt_reg_known){.dev = st->st_dev, .ino = st->st_ino, .id = reg->id}));
	return reg->id;
}

static bool is_known_frozen(struct cpt *c, const struct stat *st, const char *path, reg_id *ret)
{
	struct cpt_file_state *s = cpt_file_state(c);
	uint64_t hash = hash_of(st->st_dev, st->st_ino, path);

	for (uint32_t i = idx_first(&s->reg_idx, hash); i != IDX_END; i = idx_next(&s->reg_idx, i)) {
		const struct cpt_reg_known *k = &s->regs.at[i];

		if (!k->verified_frozen || k->dev != st->st_dev || k->ino != st->st_ino ||
		    strcmp(c->m.regs.at[i].path, path))
			continue;
		*ret = k->id;
		return true;
	}
	return false;
}

/* A file by its inode and path; the latter is cut at the VE's root and must lead to it. fd: to reach it
 * without a name. */
static int reg_named(struct cpt *c, int fd, const struct stat *st, const char *link, bool deleted,
		     reg_id *ret, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	const char *path = cpt_fdopen_in_root(c, link);
	ghost_id ghost = 0;

	if (!path)
		return err_set(err, ERR_CHECKPOINT, "%s is not in the VE's tree", link);
	if (c->frozen && is_known_frozen(c, st, path, ret))
		return 0;
	if (deleted && (!st->st_nlink || S_ISDIR(st->st_mode))) {
		if (cpt_ghost_of(c, fd, st, path, &ghost, err))
			return err_ctx(err, "deleted file %s", path);
	} else if (deleted) {
		link = cpt_names_find(c, fd, st, path);
		if (!link)
			return err_set(err, ERR_CHECKPOINT,
				       "%s was deleted, and no other name of the file was found", path);
		path = cpt_fdopen_in_root(c, link);
	} else if (!cpt_reg_leads_to(c, link, st->st_dev, st->st_ino)) {
		return err_set(err, ERR_CHECKPOINT, "%s is reachable by no path in the VE", path);
	}
	*ret = reg_of(c, st, path, ghost);
	s->regs.at[*ret - 1].verified_frozen = c->frozen;
	return 0;
}

/* --- the kind --- */

static bool reg_match(const struct cpt_fd *fd)
{
	return (S_ISREG(fd->st.st_mode) || S_ISDIR(fd->st.st_mode)) && fd->link[0] == '/';
}

/* /proc/12/... of a task that the restored VE will have, too. Threads come later than files. */
static bool proc_path_will_be(const struct cpt *c, const char *path)
{
	unsigned vpid;
	int used = 0;

	if (strncmp(path, "/proc/", 6) || sscanf(path, "/proc/%u%n", &vpid, &used) != 1)
		return true;
	if (!strncmp(path + used, "/task", 5) || !strncmp(path + used, "/fd", 3) ||
	    !strncmp(path + used, "/map_files", 10))
		return false;
	vec_each(t, &c->tasks)
		if (t->vpid == vpid)
			return !t->zombie;
	return false;
}

static int reg_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	const char *path = cpt_fdopen_in_root(c, fd->link);
	struct statfs fs;
	char where[64];

	cpt_fdopen_where(fd, where);
	if (fstatfs(fd->local, &fs))
		return err_sys(err, "fstatfs");
	if (fs.f_type == MQUEUE_MAGIC && S_ISREG(fd->st.st_mode))
		findings_add(c->findings, where, NULL, "POSIX message queue %s", fd->link);
	else if (fd->deleted && fd->st.st_nlink && !S_ISDIR(fd->st.st_mode) &&
		 !(path && cpt_names_find(c, fd->local, &fd->st, path)))
		findings_add(c->findings, where, "close the file, or remove its other names",
			     "%s was deleted, and no other name of the file was found", fd->link);
	else if (fd->deleted && !S_ISREG(fd->st.st_mode) && !S_ISDIR(fd->st.st_mode))
		findings_add(c->findings, where, NULL, "%s is deleted and is no regular file", fd->link);
	else if (!path || (!fd->deleted && !cpt_reg_leads_to(c, fd->link, fd->st.st_dev, fd->st.st_ino)))
		findings_add(c->findings, where, "it may be of the host, or hidden below a mount",
			     "%s is reachable by no path in the VE", fd->link);
	else if (fs.f_type == PROC_SUPER_MAGIC && !proc_path_will_be(c, path))
		findings_add(c->findings, where, NULL, "%s will not be there when files are opened", path);
	return 0;
}

static int reg_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	return reg_named(c, fd->local, &fd->st, fd->link, fd->deleted, &ret->of, err);
}

int cpt_reg_of_fd(struct cpt *c, const struct cpt_fd *fd, reg_id *ret, struct err *err)
{
	return reg_named(c, fd->local, &fd->st, fd->link, fd->deleted, ret, err);
}

const struct cpt_file_kind cpt_reg_kind = {
	.kind = FILE_REG,
	.match = reg_match,
	.check = reg_check,
	.collect = reg_collect,
};

/* --- mappings and executables --- */

/* /proc/PID/maps escapes line feeds (fs/proc/task_mmu.c), and marks what is deleted. */
static char *path_of_maps(const char *text, bool *ret_deleted)
{
	char *path = mem_strdup(text), *to = path;
	size_t len;

	for (const char *at = path; *at; to++) {
		bool escaped = !strncmp(at, "\\012", 4);

		*to = escaped ? '\n' : *at;
		at += escaped ? 4 : 1;
	}
	*to = 0;
	len = strlen(path);
	*ret_deleted = len > 10 && !strcmp(path + len - 10, " (deleted)");
	if (*ret_deleted)
		path[len - 10] = 0;
	return path;
}

static int open_mapped(const struct cpt_task *t, uint64_t start, uint64_t end, int *ret_fd,
		       struct stat *ret_st, struct err *err)
{
	char name[64];
	_fd_ int fd = -1;

	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)start,
		 (unsigned long long)end);
	fd = openat(t->proc_fd, name, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret_st))
		return err_sys(err, "%s", name);
	*ret_fd = fd_take(&fd);
	return 0;
}

static int reg_of_mapping(struct cpt *c, const struct cpt_task *t, uint64_t start, uint64_t end, dev_t dev,
			  ino_t ino, const char *text, reg_id *ret, struct err *err)
{
	bool deleted;
	_free_ char *path = path_of_maps(text, &deleted);
	_fd_ int fd = -1;
	struct stat st;

	/* Usually maps, path and inode agree, and that is all there is to do. */
	if (!deleted && !cpt_reg_stat(c, path, &st) && st.st_dev == dev && st.st_ino == ino)
		return reg_named(c, -1, &st, path, false, ret, err);
	/* Before Linux 6.8 an overlay's mappings show the inode of the layer. The link in map_files leads to
	 * the file itself. */
	if (open_mapped(t, start, end, &fd, &st, err))
		return -1;
	if (deleted && st.st_nlink && cpt_reg_leads_to(c, text, st.st_dev, st.st_ino))
		return reg_named(c, fd, &st, text, false, ret, err); /* " (deleted)" is a part of its name */
	return reg_named(c, fd, &st, path, deleted, ret, err);
}

int cpt_reg_of_mapping(struct cpt *c, const struct cpt_task *t, uint64_t start, uint64_t end, dev_t dev,
		       ino_t ino, const char *path, reg_id *ret, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	uint64_t hash = hash_of(dev, ino, path);
	struct cpt_reg_mapping *m = NULL;

	for (uint32_t i = idx_first(&s->mapping_idx, hash); i != IDX_END && !m;
	     i = idx_next(&s->mapping_idx, i))
		if (s->mappings.at[i].dev == dev && s->mappings.at[i].ino == ino &&
		    !strcmp(s->mappings.at[i].path, path))
			m = &s->mappings.at[i];
	if (m && (!c->frozen || s->regs.at[m->id - 1].verified_frozen)) {
		*ret = m->id;
		return 0;
	}
	if (reg_of_mapping(c, t, start, end, dev, ino, path, ret, err))
		return err_ctx(err, "mapping %llx", (unsigned long long)start);
	if (m) {
		m->id = *ret;
		return 0;
	}
	idx_add(&s->mapping_idx, hash);
	vec_push(&s->mappings, ((struct cpt_reg_mapping){dev, ino, mem_strdup(path), *ret}));
	return 0;
}

int cpt_reg_of_exe(struct cpt *c, const struct cpt_task *t, reg_id *ret, struct err *err)
{
	_fd_ int fd = openat(t->proc_fd, "exe", O_PATH | O_CLOEXEC);
	_free_ struct cpt_fd *exe = mem_new(struct cpt_fd);
	char where[64];

	if (fd < 0)
		return err_sys(err, "%s: exe", cpt_where(t, -1, where));
	if (cpt_fdopen_own(c, fd, exe, err) || reg_named(c, fd, &exe->st, exe->link, exe->deleted, ret, err))
		return err_ctx(err, "%s: executable", cpt_where(t, -1, where));
	return 0;
}
