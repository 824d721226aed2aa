/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Work that needs credentials or namespaces of its own is done in a forked helper, which hands back an error
 * or a descriptor.
 */
#ifndef VERST_KERNEL_HELPER_H
#define VERST_KERNEL_HELPER_H

#include <sys/types.h>

#include "lib/lib.h"

/* Runs in the helper. May set *ret_fd to a descriptor for the caller, else leaves -1. */
typedef int helper_fn(void *arg, int *ret_fd, struct err *err);

/* Forks, runs fn, waits for its end. ret_fd may be NULL. */
int helper_run(helper_fn *fn, void *arg, int *ret_fd, struct err *err);

/* The two halves, for helpers that live on: one message of an error (code 0: none) and perhaps a descriptor.
 */
int helper_send(int sock, const struct err *result, int fd);
int helper_recv(int sock, int *ret_fd, struct err *err); /* -1 with the helper's error too */

#endif
