/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The source's side: the steps of a migration in order, and what happens when one of them fails.
 * include/verst.h has the contract (verst_migrate, verst_recover); here the engine and the link can be
 * others, for the tests.
 */
#ifndef VERST_MIGRATE_SOURCE_H
#define VERST_MIGRATE_SOURCE_H

#include <signal.h>

#include "migrate/engine.h"
#include "migrate/filesend.h"
#include "migrate/pump.h"
#include "migrate/rsync.h"

struct source_means {
	const struct engine *engine;
	/* A greeted link to an agent; called again after a broken commit. */
	int (*open)(void *arg, const struct verst_migrate_opts *opts, int timeout_ms, struct pump **ret,
		    struct err *err);
	int (*ask)(void *arg, const struct verst_migrate_opts *opts, const char *migration, unsigned ve,
		   int timeout_ms, bool *ret_committed, struct err *err);
	int (*copy)(void *arg, const struct rsync_job *job, uint64_t *ret_bytes, struct err *err);
	void *arg;
};

extern const struct source_means source_ssh; /* libverst's engine, SSH, rsync */

struct source {
	const struct source_means *means;
	const struct engine *engine;
	struct verst *v;
	const struct verst_migrate_opts *opts;
	struct pump *pump;
	struct verst_ve ve;
	struct verst_dump *dump;
	struct filesend files;
	int upper_fd;
	char *far_upper;
	char migration[33];
	bool in_doubt; /* the journal says DOUBT */
	sigset_t old_signals;
	bool signals_held;
	int64_t begin_ns, phase_begin_ns, frozen_at_ns, heartbeat_at_ns;
	enum verst_migrate_phase phase;
	void (*progress)(void *arg, const struct verst_migrate_progress *p);
	void *progress_arg;
	struct verst_migrate_stats stats;
};

int source_migrate(const struct source_means *means, struct verst *v, const char *id_or_name,
		   const struct verst_migrate_opts *opts,
		   void (*progress)(void *arg, const struct verst_migrate_progress *p), void *arg,
		   struct verst_migrate_stats *ret_stats, struct verst_findings *ret_findings,
		   struct err *err);

/* What is left to do once the far side has it, from the journal's MOVED on. */
int source_drop(const struct engine *engine, struct verst *v, unsigned id, const char *migration, bool keep,
		struct err *err);

/* --- parts of it, for source.c --- */
void source_enter(struct source *s, enum verst_migrate_phase phase);

/* source_files.c: the bulk, then what changed since, in passes. */
int source_files_copy(struct source *s, struct err *err);
int source_files_catch_up(struct source *s, struct err *err);
/* Do even first writes through a new shared mapping leave no trace in the times? (tmpfs: mm/shmem.c has no
 * page_mkwrite) */
bool source_files_timeless(const struct source *s);
int source_files_shared(struct source *s,
			struct err *err); /* what is mapped shared now belongs to each pass from here on */

/* source_memory.c: opens the dump, runs the rounds. */
int source_memory(struct source *s, struct verst_findings *ret_findings, struct err *err);

#endif
