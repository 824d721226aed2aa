/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The restore engine on a thread of its own (ptrace binds it to one), for the agent: bytes of the stream go
 * in, its state comes out, and one decision is taken at the end.
 */
#ifndef VERST_MIGRATE_BUILDER_H
#define VERST_MIGRATE_BUILDER_H

#include "migrate/engine.h"

struct builder;

int builder_start(const struct engine *engine, struct verst *v, struct builder **ret, struct err *err);
/* Waits while the engine is busy. Fails with the engine's own error when it has failed. */
int builder_feed(struct builder *b, const void *bytes, size_t len_bytes, struct err *err);
void builder_feed_end(struct builder *b);
/* Readable when the engine has become ready or has failed. */
int builder_event_fd(const struct builder *b);
/* Waits. 0: complete and frozen. */
int builder_await_ready(struct builder *b, struct err *err);
/* Waits until the VE's root is there. ERR_PROTOCOL after timeout_ms. */
int builder_await_root(struct builder *b, int timeout_ms, int *ret_fd, unsigned *ret_uid_base,
		       struct err *err);
void builder_stats(const struct builder *b, struct verst_restore_stats *ret); /* after ready */
/* Ends the builder and frees it. commit only after ready; its failure means that the VE is here but may not
 * run. */
int builder_commit(struct builder *b, struct err *err);
void builder_abort(struct builder *b); /* at any time, NULL is fine */

#endif
