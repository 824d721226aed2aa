/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All descriptors of a process in one read, by a BPF iterator (Linux 6.1 on: it can be bound to one process).
 * It tells at once what would take a readlink, some fcntl and the reading of an fdinfo for each.
 */
#ifndef VERST_KERNEL_FILEWALK_H
#define VERST_KERNEL_FILEWALK_H

#include "lib/buf.h"
#include "lib/lib.h"

struct filewalk;

struct filewalk_entry {
	uint64_t file; /* the same for the same open file, in all processes */
	uint64_t pos;
	uint32_t fd, flags; /* flags as F_GETFL tells them */
	bool cloexec;
	bool maybe_locked; /* there are locks on the file, perhaps of others */
	const char *path;  /* as readlink tells it; valid until the next walk; NULL: too long for it */
};
typedef VEC(struct filewalk_entry) filewalk_entries;

/* Loads the program: some 20 ms. ERR_KERNEL where that is not possible. */
int filewalk_new(struct filewalk **ret, struct err *err);
void filewalk_free(struct filewalk *w);

/* The process by its pidfd. Entries are in the order of their numbers; the vector is reused. */
int filewalk_read(struct filewalk *w, int pidfd, filewalk_entries *ret, struct err *err);

#endif
