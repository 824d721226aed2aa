/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ownership by scope. `_fd_ int fd = open(...)` closes at the end of the scope; `return fd_take(&fd)` hands
 * it over and leaves -1 behind, so that the hand-over is visible.
 */
#ifndef VERST_LIB_CLEANUP_H
#define VERST_LIB_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define _fd_   _cleanup_(cleanup_fd)
#define _free_ _cleanup_(cleanup_free)
#define _file_ _cleanup_(cleanup_file)
#define _dir_  _cleanup_(cleanup_dir)

static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define ptr_take(p)                                                                                          \
	({                                                                                                   \
		__typeof__(*(p)) _taken = *(p);                                                              \
		*(p) = NULL;                                                                                 \
		_taken;                                                                                      \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

#endif
