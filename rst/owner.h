/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making files as a user of the VE. The VE's file systems map ids, and a user of the host has no number
 * there: what it makes is refused (EOVERFLOW, fs/namei.c: may_create). All else this thread may do it keeps
 * doing.
 */
#ifndef VERST_RST_OWNER_H
#define VERST_RST_OWNER_H

#include "rst/rst.h"

struct rst_owner {
	int securebits; /* -1: not taken */
};

#define RST_OWNER_NONE ((struct rst_owner){-1})

/* uid and gid as the VE sees them, below 65536. */
int rst_owner_become(const struct rst *r, uint32_t uid, uint32_t gid, struct rst_owner *ret, struct err *err);
void rst_owner_leave(struct rst_owner *owner);

#define _rst_owner_ _cleanup_(rst_owner_leave)

#endif
