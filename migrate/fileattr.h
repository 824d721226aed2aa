/* SPDX-License-Identifier: GPL-2.0-only */
/* Owner, mode, times and extended attributes off the wire, put on a file with the VE's ids shifted to the
 * host's. */
#ifndef VERST_MIGRATE_FILEATTR_H
#define VERST_MIGRATE_FILEATTR_H

#include "lib/buf.h"
#include "lib/lib.h"

struct fileattr_x {
	char *name;
	const uint8_t *value; /* in the body's memory */
	uint32_t len_bytes;
};

struct fileattr {
	uint32_t mode, uid, gid;
	int64_t atime_ns, mtime_ns;
	VEC(struct fileattr_x) xattrs;
};

int fileattr_get(struct cur *c, struct fileattr *ret, struct err *err);
int fileattr_apply(const struct fileattr *a, int dir_fd, const char *name, unsigned uid_base,
		   struct err *err);
void fileattr_free(struct fileattr *a);

#endif
