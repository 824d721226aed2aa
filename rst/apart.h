/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets remember who made them: the cgroup they are charged to and locked with, the ids that their far end
 * sees, the network namespace. So they are made by a process apart, that is in the VE's cgroup and network
 * namespace and has its ids (with root's capabilities), and shares this process's descriptors, but nothing
 * else: its root directory is its own, too.
 */
#ifndef VERST_RST_APART_H
#define VERST_RST_APART_H

#include "rst/rst.h"

struct rst_apart {
	struct rst *r; /* a copy: what is written there is lost, but for what is in shared memory */
	int host_root_fd;
	int tmpfs_fd;	   /* of nobody's tree, for files that are gone; -1: not made yet */
	uint32_t uid, gid; /* of the host */
	unsigned nr_scratch;
};

/* Runs fn in a process apart and waits for its end. */
int rst_apart_run(struct rst *r, int (*fn)(struct rst_apart *a, struct err *err), struct err *err);

/* Memory that both see, zeroed. */
void *rst_apart_memory(size_t len_bytes);
void rst_apart_memory_free(void *p, size_t len_bytes);

/* Who it is from here on: ids of the VE. */
int rst_apart_become(struct rst_apart *a, uint32_t uid, uint32_t gid, struct err *err);

#endif
