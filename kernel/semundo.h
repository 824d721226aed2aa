/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What processes undo of System V semaphores when they end (SEM_UNDO of semop(2)), by a BPF iterator: no
 * system call tells it.
 */
#ifndef VERST_KERNEL_SEMUNDO_H
#define VERST_KERNEL_SEMUNDO_H

#include "lib/buf.h"
#include "lib/lib.h"

struct semundo;

struct semundo_entry {
	uint64_t list;	 /* the same for all who share it, as the threads of a process do */
	uint32_t tid;	 /* of the host */
	uint32_t id, nr; /* the semaphore */
	int32_t adjust;	 /* what is added to it when the process ends; not 0 */
};
typedef VEC(struct semundo_entry) semundo_entries;

/* Loads the program: some 20 ms. ERR_KERNEL where that is not possible. */
int semundo_new(struct semundo **ret, struct err *err);
void semundo_free(struct semundo *w);

/* A set, and how many semaphores it has. Sets that were not told are not looked at. */
int semundo_add_set(struct semundo *w, uint32_t id, uint32_t nr, struct err *err);

/* Appends those of a process, by its pidfd. */
int semundo_read(struct semundo *w, int pidfd, semundo_entries *ret, struct err *err);

#endif
