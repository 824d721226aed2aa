// SPDX-License-Identifier: GPL-2.0-only
/* System V shared memory: which segments there are. Their content is that of any shared memory (cpt/shm.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/shm.h>

#include "cpt/mm.h"
#include "facts/sysvipc.h"
#include "kernel/ipcns.h"

/* ipc/shm.c: the name has the key in it, the inode's number is the id (perhaps 0). Nothing else is named so.
 */
bool cpt_sysv_is_mapping(const struct cpt *c, const struct map *m)
{
	return m->dev == c->mm->shm_dev && !strncmp(m->path, "/SYSV", 5);
}

static struct shm_obj *find(struct cpt *c, uint32_t ipc_id)
{
	vec_each(shm, &c->m.shms)
		if (shm->kind == SHM_SYSV && shm->ipc_id == ipc_id && !shm->gone)
			return shm;
	return NULL;
}

/*
 * A descriptor of its memory, by attaching it for a moment: no other way leads to a segment that nobody has
 * attached.
 */
static int open_segment(const struct cpt *c, const struct sysvipc_entry *e, int *ret_fd, struct err *err)
{
	void *p = shmat((int)e->id, NULL, SHM_RDONLY);
	char path[80];
	unsigned long page_bytes = (unsigned long)sysconf(_SC_PAGESIZE), len;
	int fd;

	if (p == (void *)-1)
		return err_sys(err, "attaching it");
	len = (e->size_bytes + page_bytes - 1) & -page_bytes;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		 (unsigned long)p + len);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err_sys(err, "%s", path);
	shmdt(p);
	*ret_fd = fd;
	return fd < 0 ? -1 : 0;
}

/* Attached for a moment by us alone, it would be destroyed as we detach. */
static bool must_not_be_touched(const struct sysvipc_entry *e, bool forced)
{
	return !e->nr && (forced || e->perms & SYSVIPC_DEST);
}

static int add_segment(struct cpt *c, const struct sysvipc_entry *e, struct shm_obj **ret, struct err *err)
{
	struct stat st;
	_fd_ int fd = -1;

	if (open_segment(c, e, &fd, err))
		return -1;
	if (fstat(fd, &st))
		return err_sys(err, "fstat");
	if (st.st_dev != c->mm->shm_dev)
		return err_set(err, ERR_OBSTACLES, "it is of hugetlb pages");
	*ret = cpt_shm_add_segment(c, fd_take(&fd), &st, e->id);
	(*ret)->size_bytes = e->size_bytes;
	return 0;
}

static int take_entry(struct cpt *c, const struct sysvipc_entry *e, bool forced, struct err *err)
{
	struct shm_obj *shm = find(c, e->id);

	/* another one with its number: numbers come again after 2^16 others */
	if (shm && (shm->size_bytes != e->size_bytes || (shm->key != e->key && !(e->perms & SYSVIPC_DEST)))) {
		shm->gone = true;
		shm = NULL;
	}
	if (!shm && must_not_be_touched(e, forced))
		return err_set(err, ERR_OBSTACLES,
			       "nobody has it attached, and kernel.shm_rmid_forced is set");
	if (!shm && add_segment(c, e, &shm, err))
		return -1;
	shm->key = e->key;
	shm->mode = e->perms & 0777;
	shm->dest = e->perms & SYSVIPC_DEST;
	shm->locked = e->perms & SYSVIPC_LOCKED;
	shm->uid = e->uid - c->run.uid_base;
	shm->gid = e->gid - c->run.uid_base;
	shm->cuid = e->cuid - c->run.uid_base;
	shm->cgid = e->cgid - c->run.uid_base;
	return 0;
}

static bool is_listed(const sysvipc_entries *list, uint32_t id)
{
	vec_each(e, list)
		if (e->id == id)
			return true;
	return false;
}

static int is_forced(bool *ret, struct err *err)
{
	char *value;

	if (ipcns_setting("shm_rmid_forced", &value, err))
		return -1;
	*ret = strcmp(value, "0");
	free(value);
	return 0;
}

/* What cannot be had while the VE runs is perhaps gone by now, or had when it is frozen. */
static int failed(struct cpt *c, const struct sysvipc_entry *e, struct err *err)
{
	bool race = !c->frozen &&
		    (err->sys_errno == EINVAL || err->sys_errno == EIDRM || err->sys_errno == ENOENT);
	bool obstacle = !c->frozen && err->code == ERR_OBSTACLES;

	err_ctx(err, "System V shared memory segment %u", e->id);
	if (obstacle && c->findings)
		findings_add(c->findings, "ipc namespace", "ipcs(1) inside shows it, ipcrm(1) removes it",
			     "%s", err->msg);
	return race || obstacle ? 0 : -1;
}

/* all: what is not there any more is marked so. */
static int list_here(struct cpt *c, bool all, struct err *err)
{
	sysvipc_entries list = {0};
	bool forced = false;
	int ret = sysvipc_read(SYSVIPC_SHM, &list, err);

	if (!ret && list.nr)
		ret = is_forced(&forced, err);
	vec_each(shm, &c->m.shms)
		if (!ret && all && shm->kind == SHM_SYSV && !is_listed(&list, shm->ipc_id))
			shm->gone = true;
	vec_each(e, &list)
		if (!ret && take_entry(c, e, forced, err))
			ret = failed(c, e, err);
	vec_free(&list);
	return ret;
}

/* Of every VE; a process that is watched in a test may have none. */
static bool has_own_namespace(const struct cpt *c)
{
	struct stat own, other;

	return !stat("/proc/thread-self/ns/ipc", &own) &&
	       !fstatat(c->tasks.at[0].proc_fd, "ns/ipc", &other, 0) && own.st_ino != other.st_ino;
}

static int list_there(struct cpt *c, bool all, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (!c->tasks.nr || !has_own_namespace(c))
		return 0;
	if (ipcns_enter(&scope, c->run.init_pid, err))
		return -1;
	return list_here(c, all, err);
}

int cpt_sysv_list(struct cpt *c, struct err *err)
{
	return list_there(c, true, err);
}

int cpt_sysv_of_mapping(struct cpt *c, const struct map *m, shm_id *ret, struct err *err)
{
	const struct shm_obj *shm = find(c, (uint32_t)m->ino);

	/* a new one; mappings that were read in this round may name what is gone by now */
	if (!shm && list_there(c, false, err))
		return -1;
	if (!shm)
		shm = find(c, (uint32_t)m->ino);
	if (!shm) {
		errno = ENOENT; /* gone by now */
		return err_sys(err, "System V shared memory segment %lu", m->ino);
	}
	*ret = shm->id;
	return 0;
}
