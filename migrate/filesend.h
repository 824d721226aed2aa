/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The source's side of changed files: compares two looks at the tree and says by FILE frames what the far
 * side has to do. Runs while the VE runs (each time less is left) and once more while it is frozen.
 */
#ifndef VERST_MIGRATE_FILESEND_H
#define VERST_MIGRATE_FILESEND_H

#include "lib/buf.h"
#include "migrate/filetree.h"

struct filesend {
	int dir_fd;	      /* the upper layer */
	struct filetree last; /* what the far side has */
	/* Takes one FILE body. */
	int (*emit)(void *arg, const struct buf *body, struct err *err);
	void *arg;
	/* Paths whose content may change without a trace in the times (mapped shared), sorted; may be empty.
	 */
	VEC(char *) forced;
	struct {
		uint64_t files, removed, bytes; /* since the start: sent, removed, content bytes sent */
	} stats;
};

/* Looks at the tree as it is before the first copy; what changes from now on will be sent. */
int filesend_begin(struct filesend *s, int dir_fd, struct err *err);
/*
 * Files that must not be copied as plain files, because the far side's overlay has to copy them up itself
 * (files of the template with several names: overlay's index keeps them one). Calls fn for each; the next
 * filesend_changes sends them.
 */
int filesend_indexed(struct filesend *s, void (*fn)(void *arg, const char *path), void *arg, struct err *err);
void filesend_force(struct filesend *s, const char *path);
/* Sends what changed since the last look. */
int filesend_changes(struct filesend *s, struct err *err);
void filesend_end(struct filesend *s);

void filesend_sums_free(struct filetree_sums *sums); /* NULL is fine */

#endif
