// SPDX-License-Identifier: GPL-2.0-only
/*
 * System V shared memory: made in the VE's ipc namespace with its own id, filled like any shared memory
 * (rst/shm.c), and attached by the tasks, so that shmdt(2) knows it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "kernel/ipcns.h"
#include "rst/ipc.h"
#include "rst/mm.h"

static uint64_t whole_bytes(const struct shm_obj *shm)
{
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

	return (shm->size_bytes + mask) & ~mask;
}

/* --- making --- */

/* The VE's own limits come in the end (rst/ipc.c): in between there may be more than they allow. */
static int open_limits(struct rst *r, struct err *err)
{
	_ipcns_maker_ struct ipcns_maker maker = {0};
	struct rst_mm_state *state;

	if (rst_mm_state(r, &state, err))
		return -1;
	if (state->ipc_is_open)
		return 0;
	/* they are the VE's root's own (ipc/ipc_sysctl.c: ipc_permissions) */
	if (ipcns_maker_become(&maker, r->run.uid_base, r->run.uid_base, err) ||
	    ipcns_set("shmmni", "32768", err) || ipcns_set("shmmax", "18446744073692774399", err) ||
	    ipcns_set("shmall", "18446744073692774399", err))
		return -1;
	state->ipc_is_open = true;
	return 0;
}

/*
 * The one that has the key here was removed at the source: whoever has it attached keeps it, and its own
 * record will say the same.
 */
static void free_key(uint32_t key)
{
	int id = shmget((key_t)key, 0, 0);

	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
}

static int get(struct rst *r, const struct shm_obj *shm, struct err *err)
{
	_ipcns_maker_ struct ipcns_maker maker = {0};
	int id;

	if (ipcns_next_id("shm", shm->ipc_id, err) ||
	    ipcns_maker_become(&maker, r->run.uid_base + shm->cuid, r->run.uid_base + shm->cgid, err))
		return -1;
	id = shmget((key_t)shm->key, shm->size_bytes, IPC_CREAT | IPC_EXCL | (int)shm->mode);
	if (id < 0)
		return err_sys(err, "shmget of %lu bytes", shm->size_bytes);
	if ((uint32_t)id == shm->ipc_id)
		return 0;
	shmctl(id, IPC_RMID, NULL);
	return err_set(err, ERR_RESTORE, "it would have the number %d", id);
}

static int open_memory(const struct shm_obj *shm, int *ret_fd, struct err *err)
{
	void *p = shmat((int)shm->ipc_id, NULL, 0);
	char path[80];

	if (p == (void *)-1)
		return err_sys(err, "attaching it");
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		 (unsigned long)p + whole_bytes(shm));
	*ret_fd = open(path, O_RDWR | O_CLOEXEC);
	if (*ret_fd < 0)
		err_sys(err, "%s", path);
	shmdt(p);
	return *ret_fd < 0 ? -1 : 0;
}

int rst_sysv_make(struct rst *r, const struct shm_obj *shm, int *ret_fd, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (shm->mode > 0777 || shm->ipc_id > INT32_MAX || shm->cuid > 65535 || shm->cgid > 65535)
		return err_set(err, ERR_IMAGE, "impossible");
	if (ipcns_enter(&scope, r->run.init_pid, err) || open_limits(r, err))
		return -1;
	if (shm->key)
		free_key(shm->key);
	return get(r, shm, err) || open_memory(shm, ret_fd, err) ? -1 : 0;
}

/* --- attaching --- */

/* Pieces of what one shmat(2) attached; it was cut by mprotect, munmap or advice. */
static bool same_attachment(const struct vma_obj *a, const struct vma_obj *b)
{
	return a->shm == b->shm && a->start - a->offset == b->start - b->offset &&
	       a->file_writable == b->file_writable;
}

bool rst_sysv_is_first(const vma_vec *map, const struct vma_obj *first)
{
	vec_each(v, map) {
		if (v == first)
			return true;
		if (same_attachment(v, first))
			return false;
	}
	return false;
}

bool rst_sysv_is_whole(const struct rst *r, const struct vma_obj *v)
{
	return !v->offset && v->end - v->start == whole_bytes(model_shm(&r->m, v->shm));
}

static int attach_flags(const vma_vec *map, const struct vma_obj *first)
{
	int flags = first->file_writable ? 0 : SHM_RDONLY;

	vec_each(v, map)
		if (same_attachment(v, first) && v->prot & PROT_EXEC)
			flags |= SHM_EXEC;
	return flags;
}

/* Returns how many calls it added. */
static int protect(struct remote_batch *b, const struct vma_obj *v, int flags)
{
	uint32_t prot =
		PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);

	if (v->prot == prot)
		return 0;
	remote_call(b, "mprotect", 0, SYS_mprotect, ra_num(v->start), ra_num(v->end - v->start),
		    ra_num(v->prot));
	return 1;
}

int rst_sysv_attach(struct rst *r, struct remote_batch *b, const vma_vec *map, const struct vma_obj *first,
		    uint64_t room)
{
	const struct shm_obj *shm = model_shm(&r->m, first->shm);
	int flags = attach_flags(map, first), nr = 1;

	if (rst_sysv_is_whole(r, first)) {
		remote_call(b, "attaching System V shared memory", 0, SYS_shmat, ra_num(shm->ipc_id),
			    ra_num(first->start), ra_num(flags));
		return nr + protect(b, first, flags);
	}
	/* aside, and the pieces into their places: so all are of the one file that shmdt(2) looks for */
	remote_call(b, "attaching System V shared memory", 0, SYS_shmat, ra_num(shm->ipc_id), ra_num(room),
		    ra_num(flags));
	vec_each(v, map) {
		uint64_t len = v->end - v->start;

		if (!same_attachment(v, first))
			continue;
		remote_call(b, "moving a piece of System V shared memory", 0, SYS_mremap,
			    ra_num(room + v->offset), ra_num(len), ra_num(len),
			    ra_num(MREMAP_MAYMOVE | MREMAP_FIXED), ra_num(v->start));
		nr += 1 + protect(b, v, flags);
	}
	remote_call(b, "munmap", 0, SYS_munmap, ra_num(room), ra_num(whole_bytes(shm)));
	return nr + 1;
}

/* --- what is gone --- */

static int detach(struct rst_task *t, shm_id id, struct err *err)
{
	struct remote_batch *b = remote_batch_new();
	int ret = 0, nr = 0;

	vec_each(v, &t->mm->as.vmas) {
		if (v->shm != id)
			continue;
		remote_call(b, "munmap", 0, SYS_munmap, ra_num(v->start), ra_num(v->end - v->start));
		nr++;
	}
	if (nr)
		ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	return ret;
}

/* The next record of the task's mappings will not have it; until then its number must be free. */
int rst_sysv_apply(struct rst *r, const struct shm_obj *shm, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (shm->kind != SHM_SYSV || !shm->gone || !rst_shm_find(r, shm->id))
		return 0;
	vec_each(t, &r->tasks)
		if (t->r && t->mm && detach(t, shm->id, err))
			return err_ctx(err, "task %u", t->t.pid);
	if (ipcns_enter(&scope, r->run.init_pid, err))
		return -1;
	shmctl((int)shm->ipc_id, IPC_RMID, NULL);
	return 0;
}

/* --- the end --- */

int rst_sysv_finish(struct rst *r, const struct shm_obj *shm, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};
	struct shmid_ds ds = {0};

	if (shm->uid > 65535 || shm->gid > 65535)
		return err_set(err, ERR_IMAGE, "owner %u:%u", shm->uid, shm->gid);
	ds.shm_perm.uid = r->run.uid_base + shm->uid;
	ds.shm_perm.gid = r->run.uid_base + shm->gid;
	ds.shm_perm.mode = (unsigned short)shm->mode;
	if (ipcns_enter(&scope, r->run.init_pid, err))
		return -1;
	if (shmctl((int)shm->ipc_id, IPC_SET, &ds))
		return err_sys(err, "owner and mode");
	if (shm->locked && shmctl((int)shm->ipc_id, SHM_LOCK, NULL))
		return err_sys(err, "locking it");
	if (shm->dest && shmctl((int)shm->ipc_id, IPC_RMID, NULL))
		return err_sys(err, "removing it");
	return 0;
}
