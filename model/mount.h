/* SPDX-License-Identifier: GPL-2.0-only */
/* Which of a VE's mounts are bound from another one, and from where: the same answer for the dump and the
 * restore. */
#ifndef VERST_MODEL_MOUNT_H
#define VERST_MODEL_MOUNT_H

#include "model/ns.h"

/* Mounts in the order in which they were made; `m` is one of them. */

/* Does an earlier one show the same filesystem? Then m was bound (mount --bind), whatever of it shows. */
bool mount_is_bound(const struct mount_obj *mounts, const struct mount_obj *m);
/*
 * A path where what m shows could be seen when m was made: in an earlier mount, not hidden by another one.
 * NULL if there is none. The caller frees.
 */
char *mount_bind_source(const struct mount_obj *mounts, const struct mount_obj *m);

#endif
