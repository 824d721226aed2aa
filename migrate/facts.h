/* SPDX-License-Identifier: GPL-2.0-only */
/* What a node is, as far as a VE that comes or goes cares; and the comparison of two. */
#ifndef VERST_MIGRATE_FACTS_H
#define VERST_MIGRATE_FACTS_H

#include "migrate/engine.h"
#include "migrate/msg.h"

void facts_hello(struct msg_hello *ret); /* of this node; free with msg_free_hello */
/* 0 when the two can work together, else ERR_PROTOCOL. */
int facts_compare_hello(const struct msg_hello *ours, const struct msg_hello *theirs, struct err *err);

/* What this CPU offers to programs, as words of /proc/cpuinfo. */
void facts_cpu(msg_list *ret);
/* What this kernel offers of what a restore needs. */
int facts_features(const struct engine *engine, struct verst *v, msg_list *ret, struct err *err);

/* At the target: what stands in the way of such a VE, all of it. */
int facts_obstacles(const struct engine *engine, struct verst *v, const struct msg_preflight *m,
		    struct findings *ret, struct err *err);
/* The part of it that can change from one moment to the next: id, name, addresses, template, space. */
int facts_room(const struct engine *engine, struct verst *v, const struct msg_preflight *m,
	       struct findings *ret, struct err *err);

/* Adds what a call of the public interface found, and frees it. */
void facts_take_findings(struct findings *to, struct verst_findings *from);

#endif
