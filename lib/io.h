/* SPDX-License-Identifier: GPL-2.0-only */
/* Whole reads and writes, small files, and time. */
#ifndef VERST_LIB_IO_H
#define VERST_LIB_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/buf.h"
#include "lib/err.h"

/* All of len_bytes or an error; a premature end of file is an error with sys_errno 0. EINTR is retried. */
int io_read_full(int fd, void *p, size_t len_bytes, struct err *err);
int io_write_full(int fd, const void *p, size_t len_bytes, struct err *err);

/* The whole file, NUL-terminated (the NUL is not counted), at most max_bytes. dirfd as of openat(2). */
int io_read_file(int dirfd, const char *path, size_t max_bytes, struct buf *ret, struct err *err);
/* One write(2) of the text to an existing file (of /proc, /sys, a cgroup). */
int io_write_file(int dirfd, const char *path, const char *text, struct err *err);
/* Replaces path by a new file of that content: temporary name, fsync, rename, fsync of the directory. */
int io_replace_file(int dirfd, const char *path, const void *p, size_t len_bytes, mode_t mode,
		    struct err *err);

/* mkdir -p; existing directories are fine. */
int io_mkdir_p(const char *path, mode_t mode, struct err *err);
/* rm -r that follows no symlink and crosses no mount; a missing path is fine. */
int io_remove_tree(int dirfd, const char *path, struct err *err);

int64_t io_now_ns(void); /* CLOCK_MONOTONIC */

#endif
