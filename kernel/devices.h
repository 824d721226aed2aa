/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VERST_KERNEL_DEVICES_H
#define VERST_KERNEL_DEVICES_H

#include "kernel/cgroup.h"

/*
 * Limits the tasks of these cgroups to the devices a VE has: null, zero, full, random, urandom, tty, ptmx,
 * ptys. By the v1 devices controller where there is one, else by a BPF program on the v2 group.
 */
int devices_limit(const struct cgroup *cg, struct err *err);

#endif
