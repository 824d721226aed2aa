/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tree of victims in a pid namespace of its own, dumped and rebuilt by the memory parts of both engines,
 * without the rest of a VE. A victim runs what it is told (world_do) and waits in between.
 */
#ifndef VERST_TESTS_MM_WORLD_H
#define VERST_TESTS_MM_WORLD_H

#include "cpt/mm.h"
#include "rst/mm.h"

#define WORLD_VICTIMS 8

struct world {
	struct cpt c;
	struct rst r;
	int to[WORLD_VICTIMS][2], from[WORLD_VICTIMS][2];
	pid_t init;
	int image_fd;
	struct verst_round last; /* what the last round or the frozen part did */
	struct err err;
};

typedef uint64_t world_fn(uint64_t arg);

/* Victim 0 is pid 1; fork makes others. Everything that fails ends the test. */
void world_start(struct world *w, bool compress);
uint64_t world_do(struct world *w, unsigned victim, world_fn *fn, uint64_t arg);
void world_fork(struct world *w, unsigned parent, unsigned child);
void world_exec(struct world *w, unsigned victim); /* becomes another program, which only sleeps */
pid_t world_pid(struct world *w, uint32_t vpid);   /* on the host */

void world_round(struct world *w);
void world_freeze(struct world *w);
void world_restore(struct world *w);
void world_boot(struct world *w); /* only the waiting init of the restore */
/* Mappings and every byte of memory of all tasks are the same. */
void world_compare(struct world *w);
/* All of it. */
void world_check(struct world *w, unsigned rounds);
void world_end(struct world *w);

#endif
