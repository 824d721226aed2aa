/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VERST_VE_SET_H
#define VERST_VE_SET_H

#include "include/verst.h"
#include "ve/ve.h"

/* One change in ve->conf, checked: syntax, uniqueness on this node. Writes nothing. ERR_VALUE, ERR_NAME,
 * ERR_*IP. */
int set_one(struct ve *ve, const struct verst_change *change, struct err *err);

#endif
