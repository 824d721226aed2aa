/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of unix sockets. A socket must have the very name its program gave to bind(2), which may be relative,
 * lead through symlinks or another root, or be of a file that was renamed or removed since. So it is bound
 * inside of a scratch directory where that name is made to lead, and the file is moved to its place: nothing
 * of the VE's tree decides where it goes.
 */
#ifndef VERST_RST_UNIX_NAME_H
#define VERST_RST_UNIX_NAME_H

#include <sys/un.h>

#include "rst/apart.h"

/*
 * Binds. `file` is where the socket file is to be in the VE's root (owner and mode from obj), or NULL:
 * nowhere. *ret_handle becomes a descriptor by which the file can be reached (rst_unix_name_address), -1 for
 * an abstract name.
 */
int rst_unix_name_bind(struct rst_apart *a, int fd, const struct bytes *name, const struct unix_obj *obj,
		       int *ret_handle, struct err *err);

/* The address that leads to a socket: by its handle, or its abstract name. 0: it has none. */
unsigned rst_unix_name_address(int handle, const struct bytes *name, struct sockaddr_un *ret);

#endif
