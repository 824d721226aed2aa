/* SPDX-License-Identifier: GPL-2.0-only */
/* The far side of a migration: one process (and its guard), one migration. See docs/protocol.md for its
 * states. */
#ifndef VERST_MIGRATE_AGENT_H
#define VERST_MIGRATE_AGENT_H

#include "migrate/engine.h"
#include "migrate/frame.h"

enum agent_state {
	AGENT_START,	 /* nothing was said */
	AGENT_GREETED,	 /* versions agree */
	AGENT_CHECKED,	 /* no obstacles */
	AGENT_FILES,	 /* config and private area are there, rsync fills it */
	AGENT_STREAMING, /* the image arrives */
	AGENT_BUILDING,	 /* it is whole */
	AGENT_READY,	 /* VE complete and frozen */
	AGENT_COMMITTED, /* VE runs here */
	AGENT_OVER,
	AGENT_NR_STATES
};

/* May a frame of that type come in that state? */
bool agent_expects(enum agent_state state, enum frame_type type);

/* Serves until the far side hangs up or an end is reached. Whatever was not committed is undone on return. */
int agent_serve(const struct engine *engine, struct verst *v, int in_fd, int out_fd, struct err *err);

/*
 * The same in a child of its own; the caller stays as its guard: when the child is killed, what it built is
 * undone, unless it was committed. Only then the caller's in_fd and out_fd are closed, so that the source
 * knows when it is over.
 */
int agent_guarded(const struct engine *engine, struct verst *v, int in_fd, int out_fd, struct err *err);

#endif
