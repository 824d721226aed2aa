/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The calling thread in another network namespace, for a scope:
 *
 *	_netns_ struct netns_scope scope;
 *	if (netns_enter(&scope, netns_fd, err))
 *		return -1;
 */
#ifndef VERST_KERNEL_NETNS_H
#define VERST_KERNEL_NETNS_H

#include "lib/lib.h"

struct netns_scope {
	int old_fd; /* -1: not entered */
};

#define NETNS_NONE ((struct netns_scope){-1})

/* Fills scope in any case. netns_fd -1 stays where the thread is. */
int netns_enter(struct netns_scope *scope, int netns_fd, struct err *err);
/* Back. Ends the process if that is refused, as everything after would be done in the wrong namespace. */
void netns_leave(struct netns_scope *scope);

#define _netns_ _cleanup_(netns_leave)

#endif
