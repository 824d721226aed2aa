/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VERST_VE_EXEC_H
#define VERST_VE_EXEC_H

#include "include/verst.h"
#include "ve/ve.h"

/* verst_exec_start for one who has the VE in hand. */
int exec_in(const struct ve *ve, const struct ve_run *run, const struct verst_exec_opts *opts,
	    struct verst_exec **ret, struct err *err);
/* Does not wait: what still runs is the VE's own. */
void exec_abandon(struct verst_exec *e);

#endif
