/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a directory tree (an overlay's upper layer) looked like at one time, and what became different since: by inode
 * number, times, size, owner and mode. Changes that the times cannot show (made within the clock's tick of the look)
 * count as changed in the next comparison, so that nothing is missed and a little is sent twice.
 */
#ifndef VERST_MIGRATE_TREE_H
#define VERST_MIGRATE_TREE_H

#include <sys/stat.h>

#include "lib/lib.h"

struct tree_sums; /* what of a file's content the far side has, block by block: migrate/filesend.c */

struct tree_entry {
	char *path; /* relative, no slash at the start; "" is the directory itself */
	uint64_t ino, rdev, size_bytes;
	int64_t mtime_ns, ctime_ns;
	uint32_t mode, uid, gid, nlink;
	bool recent; /* may change without its times showing it */
	struct tree_sums *sums;
};

struct tree {
	VEC(struct tree_entry) at; /* by path in strcmp's order: a directory before what is in it */
	uint64_t bytes; /* on disk, of all files */
};

int tree_look(int dir_fd, struct tree *ret, struct err *err); /* files that vanish meanwhile are left out */
void tree_free(struct tree *t);
struct tree_entry *tree_find(const struct tree *t, const char *path);
void tree_drop(struct tree *t, const char *path); /* as if it had not been seen */

bool tree_differs(const struct tree_entry *old, const struct tree_entry *new_);

#endif
