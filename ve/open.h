/* SPDX-License-Identifier: GPL-2.0-only */
/* Names and locks of VEs. */
#ifndef VERST_VE_OPEN_H
#define VERST_VE_OPEN_H

#include "ve/ve.h"

int ve_open_check_name(const char *name, struct err *err);
/* The VE that has the name, or 0 (err stays as it was if there is just none). */
unsigned ve_open_find_name(const struct ve_node *node, const char *name, struct err *err);
/* An exclusive lock on a file that its holder may unlink: 0, 1 if another has it, -1. */
int ve_open_lock_file(const char *path, int *ret_fd, struct err *err);
/* The lock of a VE, RUN/ID/lock. ERR_LOCKED tells who holds it. */
int ve_open_lock(const struct ve_node *node, unsigned id, int *ret_fd, struct err *err);

#endif
