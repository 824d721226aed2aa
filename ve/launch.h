/* SPDX-License-Identifier: GPL-2.0-only */
/* Making a VE out of nothing, in its supervisor: from user namespace to an init that waits for its word. */
#ifndef VERST_VE_LAUNCH_H
#define VERST_VE_LAUNCH_H

#include "kernel/jail.h"
#include "kernel/venet.h"
#include "ve/info.h"

struct launch {
	struct ve *ve;
	struct ve_boot_opts opts;
	char root[PATH_MAX];
	struct ve_info info;
	struct jail jail;
	int userns_fd;
	int init_pidfd;
	int go_fd;	  /* a byte here lets init go on; closed: init ends */
	int console_fd;	  /* master */
	int slave_fd;	  /* kept open: a console that nobody in the VE has open is no hang-up */
	int listen_fd;	  /* RUN/ID/ctl */
	int lock_fd;	  /* RUN/ID/supervisor: locked as long as the supervisor lives */
	struct undo undo; /* what ends the VE and removes what was made of it */
};

/* Takes hold of nothing yet. `ve` is borrowed. */
void launch_init(struct launch *l, struct ve *ve, const struct ve_boot_opts *opts);
/* On failure nothing is left. On success undo_run(&l->undo) ends it all. */
int launch_run(struct launch *l, struct err *err);

/* Ends what a dead supervisor left: its tasks, mounts, cgroups, network, files. */
int launch_clean_up_orphan(struct ve *ve, struct err *err);

#endif
