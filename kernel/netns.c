// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/netns.h"

#include <fcntl.h>
#include <sched.h>

int netns_enter(struct netns_scope *scope, int netns_fd, struct err *err)
{
	_fd_ int old = -1;

	*scope = NETNS_NONE;
	if (netns_fd < 0)
		return 0;
	old = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (old < 0)
		return err_sys(err, "own network namespace");
	if (setns(netns_fd, CLONE_NEWNET))
		return err_sys(err, "entering the network namespace");
	scope->old_fd = fd_take(&old);
	return 0;
}

void netns_leave(struct netns_scope *scope)
{
	_fd_ int old = fd_take(&scope->old_fd);

	if (old >= 0 && setns(old, CLONE_NEWNET))
		abort();
}
