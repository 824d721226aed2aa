/* SPDX-License-Identifier: GPL-2.0-only */
/* Address spaces, shared memory, and batches of pages. */
#ifndef VERST_MODEL_MM_H
#define VERST_MODEL_MM_H

#include "model/base.h"

enum vma_kind {
	VMA_ANON = 1, /* private, no file */
	VMA_SHM = 2,  /* shared memory: shm (shared anonymous, or a memfd mapped shared) */
	VMA_FILE = 3, /* private mapping of reg, or of a memfd (shm) */
	VMA_FILE_SHARED = 4,
	VMA_VDSO = 5,
	VMA_VVAR = 6, /* data page(s) that come with the vdso */
};

/* What madvise and mlock left on a mapping (VmFlags of smaps). */
enum vma_advice {
	VMA_ADV_DONTFORK = 1 << 0,
	VMA_ADV_WIPEONFORK = 1 << 1,
	VMA_ADV_DONTDUMP = 1 << 2,
	VMA_ADV_HUGEPAGE = 1 << 3,
	VMA_ADV_NOHUGEPAGE = 1 << 4,
	VMA_ADV_MERGEABLE = 1 << 5,
	VMA_ADV_SEQUENTIAL = 1 << 6,
	VMA_ADV_RANDOM = 1 << 7,
	VMA_ADV_LOCKED = 1 << 8,
	VMA_ADV_LOCKED_ONFAULT = 1 << 9,
};

struct vma_obj {
	uint64_t start, end;
	uint32_t prot; /* PROT_* */
	enum vma_kind kind;
	bool growsdown, noreserve;
	bool accounted; /* counts as memory that may be used, as it is writable, or was */
	uint32_t advice;
	uint64_t offset; /* bytes, in the file or shm */
	shm_id shm;
	reg_id reg;
	bool file_writable; /* VMA_FILE_SHARED, VMA_SHM: may be made writable, so the file must be opened for
			       writing */
	char *anon_name;    /* PR_SET_VMA_ANON_NAME, or NULL */
};

struct mm_obj {
	mm_id id;
	VEC(struct vma_obj) vmas; /* by address */
	uint64_t vdso_digest;	  /* of the kernel it ran on: where the functions of its vdso are; 0 if it has
				     none */
	/* the rest is true only in the record of the frozen part */
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end;
	struct bytes auxv; /* 16 bytes an entry: two u64 */
	reg_id exe;
	bool thp_disable;
};

enum shm_kind { SHM_ANON = 1, SHM_MEMFD = 2, SHM_SYSV = 3 };

struct shm_obj {
	shm_id id;
	enum shm_kind kind;
	uint64_t size_bytes;
	char *name;	/* memfd's name without "memfd:" */
	uint32_t seals; /* memfd: put on at the very end */
	uint32_t mode, uid, gid;
	bool hugetlb;
	/* SHM_SYSV */
	uint32_t ipc_id, key; /* key: as when it was made */
	uint32_t cuid, cgid;  /* who made it */
	bool dest;	      /* removed, and gone with the last that detaches */
	bool locked;	      /* SHM_LOCK */
	bool gone;	      /* it was there in an earlier round */
};

/* Pages of one target. */
enum pages_target { PAGES_MM = 1, PAGES_SHM = 2, PAGES_GHOST = 3 };

enum pages_kind {
	PAGES_DATA = 1,	   /* bytes follow */
	PAGES_ZERO = 2,	   /* reads as zeros; needs no memory */
	PAGES_INHERIT = 3, /* as in the one it was forked from, at the same address: shared copy-on-write */
	PAGES_DROP =
		4, /* no page of its own (any more): what lies behind shows, the mapping's file or zeros */
};

struct pages_run {
	uint64_t start; /* address or offset */
	uint64_t nr_pages;
	enum pages_kind kind;
};

#endif
