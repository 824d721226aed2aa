/* SPDX-License-Identifier: GPL-2.0-only */
/* A file's content and attributes as FILE operations: holes stay holes, known blocks are not sent again. */
#ifndef VERST_MIGRATE_FILEDATA_H
#define VERST_MIGRATE_FILEDATA_H

#include "migrate/filesend.h"
#include "migrate/fileop.h"

bool filedata_has_xattr(int dir_fd, const char *path, const char *name);
/* Content (only what `known` does not have, if it is not NULL) and attributes. e->sums says then what the far
 * side has. */
int filedata_send(struct filesend *s, struct filetree_entry *e, enum fileop_open how,
		  const struct filetree_sums *known, struct err *err);
int filedata_send_attr(struct filesend *s, const char *path, struct err *err);

#endif
