/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets of this process dumped, sent through an image, and restored into the same network namespace. */
#ifndef VERST_TESTS_SOCK_WORLD_H
#define VERST_TESTS_SOCK_WORLD_H

#include "cpt/cpt.h"
#include "rst/rst.h"
#include "tests/unit/sock_net.h"

struct world {
	struct net net;
	struct cpt c;
	struct rst r;
	struct cpt_task task;
	struct findings findings;
	struct netlock *lock;
	struct err err;
	size_t nr;		     /* of descriptors dumped */
	int64_t dump_us, restore_us; /* of cpu time: others may be at work on the machine */
};

void sock_world_make(struct world *w);
/* Every obstacle of these descriptors, one a line; owned by w. */
const char *sock_world_check(struct world *w, const int *fds, size_t nr);
/* Locks, dumps and closes them, sends the objects through an image into r.m. -1: w->err, and nothing was
 * closed. */
int sock_world_dump(struct world *w, int *fds, size_t nr);
/* The same without closing and without an image: the VE goes on. Unlocks. */
int sock_world_look(struct world *w, const int *fds, size_t nr);
/* In the order of the dump; unlocks. */
int sock_world_restore(struct world *w, int *ret_fds);
/* Both, asserting that they work. */
void sock_world_move(struct world *w, int *fds, size_t nr);
void sock_world_free(struct world *w);

#endif
