/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The supervisor: one process per running VE, parent of its init on the host. Holds the console and what made
 * the VE up, and ends with it. Talked to as ve/wire.h tells.
 */
#ifndef VERST_VE_SUPERVISOR_H
#define VERST_VE_SUPERVISOR_H

#include "ve/ve.h"

/*
 * Forks the supervisor, away from the caller, and waits until it has made the VE, or failed and left nothing.
 * *ret_fd is the starter's connection: if it breaks before WIRE_GO or a lease, the VE is ended.
 */
int supervisor_start(struct ve *ve, const struct ve_boot_opts *opts, int *ret_fd, struct err *err);

#endif
