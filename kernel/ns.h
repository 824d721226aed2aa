/* SPDX-License-Identifier: GPL-2.0-only */
/* Making namespaces. */
#ifndef VERST_KERNEL_NS_H
#define VERST_KERNEL_NS_H

#include <sys/types.h>

#include "lib/lib.h"

#define NS_NR_IDS 65536

/* A user namespace of its own, where ids 0 to 65535 are uid_base and up outside. Forks a short-lived helper.
 */
int ns_make_user(unsigned uid_base, int *ret_fd, struct err *err);

struct ns_offsets {
	int64_t monotonic_ns;
	int64_t boottime_ns;
};

/*
 * Puts the calling process (single-threaded, root) into the user namespace as its root, and gives its future
 * children a time namespace with these offsets.
 */
int ns_enter_user(int userns_fd, const struct ns_offsets *offsets, struct err *err);

/*
 * The first task of a VE: new pid, mount, net, ipc, uts and cgroup namespaces owned by the caller's user
 * namespace. It is a child of the caller's parent. Returns like fork(2).
 */
pid_t ns_fork_init(struct err *err);

/* Resource limits as a booted system has them, cut to what the caller may have. */
int ns_set_rlimits(struct err *err);

#endif
