/* SPDX-License-Identifier: GPL-2.0-only */
/* The far side's agent, reached and greeted. */
#ifndef VERST_MIGRATE_PEER_H
#define VERST_MIGRATE_PEER_H

#include "include/verst.h"
#include "migrate/msg.h"
#include "migrate/pump.h"
#include "migrate/ssh.h"

#define PEER_ANSWER_MS 30000

/* Target and keys of the options. ERR_VALUE. */
int peer_target(const struct verst_migrate_opts *opts, struct ssh_target *ret, struct err *err);
/* Connects, starts the agent there, exchanges HELLO. */
int peer_open(const struct verst_migrate_opts *opts, int timeout_ms, struct pump **ret, struct err *err);
/* HELLO over a pump that is there. */
int peer_greet(struct pump *p, struct err *err);
/* Sends a body (and frees it). */
int peer_send(struct pump *p, enum frame_type type, struct buf *body, struct err *err);
/*
 * The answer of that type. An ERROR in its place becomes an error of ours with the far side's text ("there:
 * ...") and code; anything else ERR_PROTOCOL. Heartbeats (SYNCED) that come in between are skipped.
 */
int peer_await(struct pump *p, enum frame_type type, int timeout_ms, struct pump_frame *ret, struct err *err);
/* SYNC and its answer: all before it was worked off there. */
int peer_sync(struct pump *p, int timeout_ms, struct err *err);
/* SYNC without waiting: the link is alive and so are we. */
int peer_heartbeat(struct pump *p, struct err *err);

/* Asks what became of a migration, over a connection of its own. Tries until timeout_ms are over: ERR_DOUBT.
 */
int peer_ask(const struct verst_migrate_opts *opts, const char *migration, unsigned ve, int timeout_ms,
	     bool *ret_committed, struct err *err);

#endif
