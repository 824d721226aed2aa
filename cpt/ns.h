/* SPDX-License-Identifier: GPL-2.0-only */
/* What cpt/ns.c is made of. */
#ifndef VERST_CPT_NS_H
#define VERST_CPT_NS_H

#include "cpt/cpt.h"

int cpt_mount_check(struct cpt *c, struct err *err);
int cpt_mount_collect(struct cpt *c, struct err *err);
int cpt_ipc_check(struct cpt *c, struct err *err);
int cpt_ipc_collect(struct cpt *c, struct err *err);

/* Where the VE's filesystems are mounted, as things are now, for each calls fn until it gives other than 0,
 * and gives that. The path is the VE's. */
int cpt_mount_each(struct cpt *c, int (*fn)(void *arg, dev_t dev, const char *path), void *arg,
		   struct err *err);

int cpt_netns_check(struct cpt *c, struct err *err);
int cpt_netns_collect(struct cpt *c, struct err *err);

#endif
