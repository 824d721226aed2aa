/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two imitated nodes: engines that move a few bytes and note in shared memory where "the VE" runs, so that
 * the order of steps, the journals and the commit can be tried with any of the processes killed anywhere.
 */
#ifndef VERST_TESTS_MIGRATE_FAKE_H
#define VERST_TESTS_MIGRATE_FAKE_H

#include <sys/types.h>

#include "migrate/agent.h"
#include "migrate/recover.h"
#include "ve/journal.h"

#define FAKE_VE 2001u

enum fake_life { FAKE_NONE, FAKE_RUNNING, FAKE_FROZEN, FAKE_FROZEN_FOR_GOOD };

struct fake_shared {
	struct {
		enum fake_life life;
		bool adopted; /* target: config and private area are there */
		pid_t agent;  /* the last one that was started */
	} node[2];
	unsigned served; /* rounds seen by the restore */
};

struct verst { /* the imitation's own */
	struct ve_node node;
	int nr;
	struct fake_shared *shared;
};

struct fake {
	char dir[64];
	struct verst v[2];
	struct fake_shared *shared;
	const char *agent_fault;
	bool no_agent; /* connections fail */
};

extern const struct engine fake_engine;

void fake_begin(struct fake *f);
void fake_end(struct fake *f);
struct source_means fake_means(struct fake *f);
/* What the kernel and the supervisors do when the processes of both sides are gone. */
void fake_processes_died(struct fake *f);
/* A raw connection to an agent of node 1; its pid. */
pid_t fake_agent(struct fake *f, int *ret_fd);

#endif
