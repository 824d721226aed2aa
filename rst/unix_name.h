/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of unix sockets. A socket must have the very name its program gave to bind(2), which may be relative, lead through
 * symlinks or another root, or be of a file that was renamed or removed since. So it is bound inside of a scratch directory
 * where that name is made to lead, and the file is moved to its place: nothing of the VE's tree decides where it goes.
 */
#ifndef VERST_RST_UNIX_NAME_H
#define VERST_RST_UNIX_NAME_H

#include "rst/rst.h"

/* The thread that works on names: root and working directory of its own, ids that come and go, capabilities that stay. */
struct rst_apart {
	struct rst *r;
	int host_root_fd;
	int tmpfs_fd; /* of nobody's tree, for files that are gone; -1: not made yet */
	uint32_t euid, egid;
	unsigned nr_scratch;
};

/* Runs fn in a thread apart, in the VE's network namespace. */
int rst_apart_run(struct rst *r, int (*fn)(struct rst_apart *a, struct err *err), struct err *err);

/* Who it is from here on, for SO_PEERCRED of what it connects: ids of the VE. */
int rst_apart_become(struct rst_apart *a, uint32_t uid, uint32_t gid, struct err *err);

/*
 * Binds. `file` is where the socket file is to be in the VE's root (owner and mode from obj), or NULL: nowhere. *ret_handle
 * becomes a descriptor by which the file can be reached (rst_apart_address), -1 for an abstract name.
 */
int rst_apart_bind(struct rst_apart *a, int fd, const struct bytes *name, const struct unix_obj *obj, int *ret_handle,
		   struct err *err);

/* The address that leads to a socket: by its handle, or its abstract name. 0: it has none. */
struct sockaddr_un;
unsigned rst_apart_address(int handle, const struct bytes *name, struct sockaddr_un *ret);

#endif
