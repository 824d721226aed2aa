/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's side of changed files: carries out FILE frames below one directory. The frames are hostile:
 * nothing outside of the directory is reached, no symlink is followed, no mount is crossed.
 */
#ifndef VERST_MIGRATE_FILEAPPLY_H
#define VERST_MIGRATE_FILEAPPLY_H

#include "lib/buf.h"
#include "lib/lib.h"

struct fileapply {
	int root_fd;	   /* borrowed; O_PATH is fine */
	unsigned uid_base; /* the host's uid of the VE's uid 0 */
	int open_fd;	   /* the open file, -1 */
	char *open_path;
};

void fileapply_begin(struct fileapply *a, int root_fd, unsigned uid_base);
/* One FILE body. The calling thread must not act on other files meanwhile: it takes on the VE's file-system
 * ids. */
int fileapply_op(struct fileapply *a, const void *body, size_t len_bytes, struct err *err);
void fileapply_end(struct fileapply *a);

#endif
