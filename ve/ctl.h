/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VERST_VE_CTL_H
#define VERST_VE_CTL_H

#include "ve/ve.h"

/* A connection to the VE's supervisor. ERR_NOT_RUNNING. */
int ve_ctl_connect(const struct ve *ve, int *ret_fd, struct err *err);

#endif
