/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a directory tree (an overlay's upper layer) looked like at one time, and what became different since:
 * by inode number, times, size, owner and mode. Changes that the times cannot show (made within the clock's
 * tick of the look) count as changed in the next comparison, so that nothing is missed and a little is sent
 * twice.
 */
#ifndef VERST_MIGRATE_FILETREE_H
#define VERST_MIGRATE_FILETREE_H

#include <sys/stat.h>

#include "lib/lib.h"

struct filetree_sums; /* what of a file's content the far side has, block by block: migrate/filesend.c */

struct filetree_entry {
	char *path; /* relative, no slash at the start; "" is the directory itself */
	uint64_t ino, rdev, size_bytes;
	int64_t mtime_ns, ctime_ns;
	uint32_t mode, uid, gid, nlink;
	bool recent; /* may change without its times showing it */
	struct filetree_sums *sums;
};

struct filetree {
	VEC(struct filetree_entry) at; /* by path in strcmp's order: a directory before what is in it */
	uint64_t bytes;		       /* on disk, of all files */
};

int filetree_look(int dir_fd, struct filetree *ret,
		  struct err *err); /* files that vanish meanwhile are left out */
void filetree_free(struct filetree *t);
struct filetree_entry *filetree_find(const struct filetree *t, const char *path);
void filetree_drop(struct filetree *t, const char *path); /* as if it had not been seen */

bool filetree_differs(const struct filetree_entry *old, const struct filetree_entry *new_);

#endif
