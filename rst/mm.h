/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of the restore's memory part.
 *
 *	rst/mm.c       mappings: what a record wants against what is there
 *	rst/pages.c    pages into place
 *	rst/layout.c   the frozen end: advice, names, vdso, heap and stack borders, exe, locks
 *	rst/shm.c      shared memory objects
 *	rst/sysv.c     System V segments among them
 */
#ifndef VERST_RST_MM_H
#define VERST_RST_MM_H

#include "model/aspace.h"
#include "rst/rst.h"

#define RST_ADDRESS_END (1ull << 56) /* no address, no size is beyond, which keeps sums in bounds */

/* What is mapped in one task. */
struct rst_mm {
	mm_id id; /* of the last record; 0: none of its own yet, all came by fork */
	struct aspace as;
	struct ranges private,
		writable; /* of as: where pages may go, and where process_vm_writev can write them */
};

struct rst_shm {
	shm_id id;
	int fd, read_only_fd; /* -1: not made yet */
	bool segment;	      /* of System V */
	uint64_t size_bytes;  /* as it is now */
	struct ranges held;
};

struct rst_vdso_part {
	uint64_t offset, len_bytes;
	enum vma_kind kind;
};

struct rst_mm_state {
	VEC(struct rst_shm) shms;
	VEC(struct rst_vdso_part) vdso; /* of this kernel */
	bool ipc_is_open;		/* the ipc namespace's limits are out of the way */
};

int rst_mm_state(struct rst *r, struct rst_mm_state **ret, struct err *err); /* made on first use */

/* --- rst/layout.c --- */
int rst_vdso_check(struct rst *r, const struct mm_obj *mm, struct err *err);

/* --- rst/shm.c --- */
/* For a mapping; writable or not as the mapping was. Borrowed. */
int rst_shm_for_map(struct rst *r, shm_id id, bool writable, int *ret_fd, struct err *err);
int rst_shm_pages(struct rst *r, const struct img_pages *p, struct err *err);
int rst_shm_finish(struct rst *r, struct err *err);
void rst_shm_free(struct rst *r);
struct rst_shm *rst_shm_find(struct rst *r, shm_id id); /* NULL: not made yet */

/* --- rst/sysv.c --- */
int rst_sysv_make(struct rst *r, const struct shm_obj *shm, int *ret_fd, struct err *err);
/* Owner, mode, lock, removal: when all are attached. */
int rst_sysv_finish(struct rst *r, const struct shm_obj *shm, struct err *err);
/* Of the mappings in `map` those that lie in the same attachment as the one at `first`, which is the first of
 * them; room: where nothing is nor will be, for the whole segment. */
bool rst_sysv_is_first(const vma_vec *map, const struct vma_obj *first);
int rst_sysv_attach(struct rst *r, struct remote_batch *b, const vma_vec *map, const struct vma_obj *first,
		    uint64_t room);
/* Attached as a whole, where it is to be: no room needed. */
bool rst_sysv_is_whole(const struct rst *r, const struct vma_obj *v);

#endif
