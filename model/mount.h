/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VERST_MODEL_MOUNT_H
#define VERST_MODEL_MOUNT_H

#include "model/ns.h"

/* Does m show (a part of) what `from`, an earlier mount, shows? Then it can be made by a bind. */
bool mount_is_bind_of(const struct mount_obj *m, const struct mount_obj *from);

/* The path, in the VE, at which `from` shows what m shows. The caller frees. */
char *mount_bind_source(const struct mount_obj *m, const struct mount_obj *from);

#endif
