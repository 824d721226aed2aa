/* SPDX-License-Identifier: GPL-2.0-only */
/* The mappings of a process: /proc/PID/maps, and /proc/PID/smaps for their flags. */
#ifndef VERST_FACTS_MAPS_H
#define VERST_FACTS_MAPS_H

#include <sys/types.h>

#include "lib/buf.h"
#include "lib/lib.h"

/* VmFlags of smaps that matter; fs/proc/task_mmu.c has the two letters. */
enum map_flag {
	MAP_FLAG_MAYWRITE = 1 << 0,	  /* mw */
	MAP_FLAG_GROWSDOWN = 1 << 1,	  /* gd */
	MAP_FLAG_PFNMAP = 1 << 2,	  /* pf */
	MAP_FLAG_LOCKED = 1 << 3,	  /* lo */
	MAP_FLAG_IO = 1 << 4,		  /* io */
	MAP_FLAG_SEQUENTIAL = 1 << 5,	  /* sr */
	MAP_FLAG_RANDOM = 1 << 6,	  /* rr */
	MAP_FLAG_DONTFORK = 1 << 7,	  /* dc */
	MAP_FLAG_LOCKED_ONFAULT = 1 << 8, /* lf */
	MAP_FLAG_NORESERVE = 1 << 9,	  /* nr */
	MAP_FLAG_HUGETLB = 1 << 10,	  /* ht */
	MAP_FLAG_WIPEONFORK = 1 << 11,	  /* wf */
	MAP_FLAG_DONTDUMP = 1 << 12,	  /* dd */
	MAP_FLAG_HUGEPAGE = 1 << 13,	  /* hg */
	MAP_FLAG_NOHUGEPAGE = 1 << 14,	  /* nh */
	MAP_FLAG_MERGEABLE = 1 << 15,	  /* mg */
	MAP_FLAG_UFFD = 1 << 16,	  /* um, uw, ui: a userfaultfd is on it */
	MAP_FLAG_SHADOW_STACK = 1 << 17,  /* ss */
	MAP_FLAG_SEALED = 1 << 18,	  /* sl */
	MAP_FLAG_DROPPABLE = 1 << 19,	  /* dp */
	MAP_FLAG_MIXED = 1 << 20,	  /* mm */
	MAP_FLAG_ACCOUNT = 1 << 21,	  /* ac */
};

struct map {
	uint64_t start, end, offset;
	uint32_t prot; /* PROT_* */
	bool shared;
	dev_t dev;
	ino_t ino;
	const char *path; /* as it stands there, "" if none; lives as long as struct maps */
	uint32_t flags;	  /* enum map_flag */
};

struct maps {
	VEC(struct map) list; /* by address */
	struct buf text;
};

/*
 * Mappings without their flags (fast), or with them (smaps: walks the page tables). ret is freed before. Of a
 * process that runs the list is a hint: it may have changed while it was read, but it is sorted and its items
 * are apart.
 */
int maps_read(int proc_fd, struct maps *ret, struct err *err);
int maps_read_flags(int proc_fd, struct maps *ret, struct err *err);
void maps_free(struct maps *m);

/* The same mappings, flags aside. */
bool maps_same(const struct maps *a, const struct maps *b);

/* Parsers of those texts, for tests and for what was read elsewhere; text is taken over. */
int maps_parse(struct buf *text, struct maps *ret, struct err *err);

#endif
