/* SPDX-License-Identifier: GPL-2.0-only */
/* The tasks of a running VE, looked at from the host without stopping them. */
#ifndef VERST_VE_TASKS_H
#define VERST_VE_TASKS_H

#include "ve/ve.h"

/* What they have resident, together; pages that several share count for each. 0 if it is not running. */
uint64_t tasks_memory_bytes(const struct ve *ve);
/* Files they have mapped shared and writable: paths of the VE's root without the leading slash. */
int tasks_shared_files(const struct ve *ve, void (*fn)(void *arg, const char *path), void *arg,
		       struct err *err);

#endif
