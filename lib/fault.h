/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Named places where a test can make things go wrong. `VERST_FAULT=name[=action][,name...]`, action one of
 *	fail  the place fails with ERR_FAULT (the default)
 *	kill  the process sends itself SIGKILL
 *	stop  the process stops (SIGSTOP), so that a test can act in that very phase
 * Every name used in the sources is listed by `verst fault-points`, so that a test can run through all of
 *them.
 */
#ifndef VERST_LIB_FAULT_H
#define VERST_LIB_FAULT_H

#include "lib/err.h"

/* 0, or -1 with ERR_FAULT when the test asked this place to fail. */
int fault_point(const char *name, struct err *err);

#endif
