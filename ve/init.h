/* SPDX-License-Identifier: GPL-2.0-only */
/* The VE's first task, from its birth to the exec of the VE's init program. */
#ifndef VERST_VE_INIT_H
#define VERST_VE_INIT_H

#include "kernel/jail.h"
#include "ve/ve.h"

struct init_opts {
	const struct ve *ve;
	const struct jail *jail;
	bool locked;   /* of a restore: changes no file of the VE, keeps all capabilities, runs no program */
	int report_fd; /* says here by helper_send that all is ready, or why not */
	int go_fd;     /* then waits here for a byte */
};

void init_main(const struct init_opts *opts) __attribute__((noreturn));

#endif
