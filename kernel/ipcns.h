/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The calling thread in another ipc namespace, for a scope, and what can be done there:
 *
 *	_ipcns_ struct ipcns_scope scope;
 *	if (ipcns_enter(&scope, init_pid, err))
 *		return -1;
 */
#ifndef VERST_KERNEL_IPCNS_H
#define VERST_KERNEL_IPCNS_H

#include "lib/lib.h"

struct ipcns_scope {
	int old_fd; /* -1: not entered */
};

/* The ipc namespace of a process. Fills scope in any case. */
int ipcns_enter(struct ipcns_scope *scope, pid_t pid, struct err *err);
/* Back. Ends the process if that is refused, as everything after would be done in the wrong namespace. */
void ipcns_leave(struct ipcns_scope *scope);

#define _ipcns_ _cleanup_(ipcns_leave)

/* Has the next System V object of a kind ("shm", "sem", "msg") get that id, if it is free. */
int ipcns_next_id(const char *kind, uint32_t id, struct err *err);

/* A file of /proc/sys/kernel that the namespace has its own of. ret: without the newline, owned. */
int ipcns_setting(const char *name, char **ret, struct err *err);
int ipcns_set(const char *name, const char *value, struct err *err);

/*
 * Who makes a System V object is written down in it for good: this thread is somebody else (numbers of the
 * host) until ipcns_maker_leave.
 */
struct ipcns_maker {
	uid_t uid;
	gid_t gid;
	bool entered;
};
int ipcns_maker_become(struct ipcns_maker *maker, uid_t uid, gid_t gid, struct err *err);
/* Ends the process if that is refused. */
void ipcns_maker_leave(struct ipcns_maker *maker);

#define _ipcns_maker_ _cleanup_(ipcns_maker_leave)

#endif
