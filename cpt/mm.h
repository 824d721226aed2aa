/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of the dump's memory part. docs/memory.md has the argument why what is sent is enough.
 *
 *	cpt/mm.c       address spaces: which task has which, their mappings, obstacles, the phases
 *	cpt/vma.c      one mapping of maps as a vma_obj
 *	cpt/track.c    write tracking: userfaultfd, arming, scans
 *	cpt/direct.c   direct I/O, which no page table sees
 *	cpt/mirror.c   what the restoring side has built so far
 *	cpt/pages.c    which pages to send, and sending them
 *	cpt/shm.c      shared memory objects
 *	cpt/sysv.c     System V segments among them
 */
#ifndef VERST_CPT_MM_H
#define VERST_CPT_MM_H

#include "cpt/cpt.h"
#include "facts/maps.h"
#include "facts/pagemap.h"
#include "model/aspace.h"

/* One address space of the VE. */
struct cpt_space {
	mm_id id;
	pid_t pid; /* of the host: the first task of the tree that has it */
	uint32_t vpid;
	int uffd;	/* -1: writes are not tracked, so all is sent while frozen */
	int pagemap_fd; /* of what the task had when it was last identified */
	int mem_fd;	/* /proc/PID/mem, opened when needed */
	bool listed;	/* some task has it now */
	bool recorded;	/* an MM record of it was written */
	bool skipped;	/* in this round: it changed under our hands */
	struct maps maps;
	bool flags_known;   /* maps has flags, or took them over */
	struct mm_obj obj;  /* of maps; the rest when frozen */
	bool distrusted;    /* direct I/O may have been under way when it was armed: all counts as written */
	struct ranges owed; /* could not be read in the last round */
};

/* What the restoring side has made of one task. */
struct mirror_task {
	struct tree_task t;
	bool made;
	struct aspace as;
	uint32_t origin; /* pid of the task whose records brought the pages; itself after its first record */
	unsigned origin_round; /* when they were copied */
	unsigned sent_round;   /* when its own pages were last brought up to date */
};

struct mirror {
	VEC(struct mirror_task) tasks; /* as in the newest tree */
	const struct tree_obj *tree;
};

struct hash_chunk; /* cpt/shm.c */

struct cpt_shm {
	shm_id id;
	dev_t dev;
	ino_t ino; /* of a System V segment: its id, which is no number among the others */
	bool segment;
	int fd;
	struct shm_obj put;		 /* as last written; id 0: not yet. name is borrowed */
	struct ranges held;		 /* pages the other side has */
	VEC(struct hash_chunk *) hashes; /* [page / CHUNK_PAGES], NULL where nothing was sent */
};

struct known_file { /* a mapped file whose id was asked for in this phase */
	dev_t dev;
	ino_t ino;
	const char *path; /* owned */
	reg_id reg;
};

struct checked_maps { /* with their flags, as the check saw them */
	pid_t pid;    /* 0: used up */
	int64_t at_ns;
	struct maps maps;
};

struct cpt_mm_state {
	VEC(struct cpt_space *) spaces;
	mm_id last_id;
	unsigned round; /* the one being written */
	bool can_scan;	/* PAGEMAP_SCAN */
	uint64_t vdso_digest;
	dev_t shm_dev; /* of the kernel's own tmpfs, where shared memory lives */
	VEC(struct cpt_shm *) shms;
	VEC(struct known_file) files;
	VEC(struct checked_maps) checked;
	struct mirror mirror;
	unsigned injected; /* tasks that were stopped for tracking */
};

struct cpt_space *cpt_space_find(const struct cpt *c, mm_id id); /* NULL */
/* The space, if t is the first task of the tree that has it. */
struct cpt_space *cpt_space_of(const struct cpt *c, const struct cpt_task *t);

/* --- cpt/vma.c --- */
enum { VMA_IGNORED = 1 };
/* 0; VMA_IGNORED for [vsyscall]; -1 ERR_OBSTACLES if it cannot be carried, ERR_SYSTEM if it is not there any
 * more. */
int cpt_vma_obj(struct cpt *c, const struct cpt_task *t, const struct map *m, struct vma_obj *ret,
		struct err *err);
/* Why this mapping cannot be carried; NULL if it can. Asks nobody. */
const char *cpt_vma_obstacle(const struct cpt *c, const struct map *m, const char **ret_hint);
bool cpt_map_is_special(const struct map *m); /* vdso, vvar, vsyscall */

/* --- cpt/track.c --- */
int cpt_track_identify(struct cpt *c, struct err *err); /* t->mm of all tasks; opens pagemaps */
int cpt_track_begin(struct cpt *c, const struct cpt_task *t, struct cpt_space *s, struct err *err);
/* All mappings that can be are under tracking afterwards; pages in those that were not count as written. */
int cpt_track_cover(struct cpt_space *s, struct err *err);
/* Pages of private mappings that were written since the last call, by address; they count as clean from now
 * on. */
int cpt_track_arm(struct cpt_space *s, struct ranges *ret_written, struct err *err);
/* All private pages there are, with PAGE_WPALLOWED, PAGE_WRITTEN, PAGE_SWAPPED. */
int cpt_track_pages(const struct cpt *c, struct cpt_space *s, page_areas *ret, struct err *err);

void cpt_track_free(struct cpt *c);

/* --- cpt/direct.c --- */
struct stopped_threads {
	VEC(pid_t) tids;
	VEC(struct remote *) remotes;
};
int cpt_direct_has(const struct cpt_task *t, bool *ret, struct err *err); /* a file opened with O_DIRECT */
int cpt_direct_stop(const struct cpt_task *t, struct stopped_threads *ret,
		    struct err *err); /* all its threads */
int cpt_direct_go(struct stopped_threads *held, struct err *err);

/* --- cpt/mirror.c --- */
int mirror_tree(struct mirror *m, const struct tree_obj *tree, struct err *err); /* tree must live on */
/* The task has to be there for a record: it and all it is forked from come to life. */
int mirror_make(struct mirror *m, uint32_t vpid, unsigned round, struct mirror_task **ret, struct err *err);
struct mirror_task *mirror_find(struct mirror *m, uint32_t vpid);
void mirror_free(struct mirror *m);

/* --- cpt/pages.c --- */
/* Sends what the other side lacks of a space, and brings the mirror up to date. `written` as cpt_track_arm
 * gave it. */
int cpt_pages_send(struct cpt *c, struct cpt_space *s, struct mirror_task *dest, const struct ranges *written,
		   struct verst_round *ret, struct err *err);

/* --- cpt/shm.c --- */
int cpt_shm_of_mapping(struct cpt *c, const struct cpt_task *t, const struct map *m, shm_id *ret,
		       struct err *err);
int cpt_shm_refresh(struct cpt *c,
		    struct err *err); /* sizes, seals: into the model, and records of those that changed */
int cpt_shm_send(struct cpt *c, struct verst_round *ret, struct err *err);
/* A new object; takes fd over. cpt/shm.c fills in what makes it a segment. */
struct shm_obj *cpt_shm_add_segment(struct cpt *c, int fd, const struct stat *st, uint32_t ipc_id);
void cpt_shm_free(struct cpt *c);

/* --- cpt/sysv.c --- */
bool cpt_sysv_is_mapping(const struct cpt *c, const struct map *m);
/* All segments there are now, into the model; of the check phase: what cannot be carried, as findings. Before
 * mappings are read, which name them. */
int cpt_sysv_list(struct cpt *c, struct err *err);
int cpt_sysv_of_mapping(struct cpt *c, const struct map *m, shm_id *ret, struct err *err);

#endif
