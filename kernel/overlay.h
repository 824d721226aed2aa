/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VE's root: an overlay of its private area over a template, both id-mapped. On disk all files have plain
 * ids (root is 0); through the overlay the host sees uid_base + id, and the VE id.
 */
#ifndef VERST_KERNEL_OVERLAY_H
#define VERST_KERNEL_OVERLAY_H

#include "lib/lib.h"

struct overlay_opts {
	const char *lower;	 /* directory of the template */
	const char *private_dir; /* has upper/ and work/ */
	int userns_fd;
	unsigned uid_base;
	const char *scratch; /* an empty directory; what is mounted there is seen by a helper process only */
};

/* A mount that is attached nowhere yet: move_mount(2) it. Forks a short-lived helper. */
int overlay_mount(const struct overlay_opts *opts, int *ret_fd, struct err *err);

#endif
