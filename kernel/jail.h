/* SPDX-License-Identifier: GPL-2.0-only */
/* The inside of a VE before its init program runs: mounts, devices, capabilities. */
#ifndef VERST_KERNEL_JAIL_H
#define VERST_KERNEL_JAIL_H

#include "lib/lib.h"

#define JAIL_NR_DEVS 6

/* Detached mounts, made on the host, that the VE's init attaches in its own mount namespace. */
struct jail {
	int root_fd;
	int dev_fd[JAIL_NR_DEVS];
	int console_fd, tty_fd;
};

#define JAIL_INIT                                                                                            \
	((struct jail){.root_fd = -1, .console_fd = -1, .tty_fd = -1, .dev_fd = {-1, -1, -1, -1, -1, -1}})

/* root: where the VE's root is mounted on the host. console: path of a terminal for /dev/console and
 * /dev/tty1. */
int jail_prepare(struct jail *ret, const char *root, const char *console, struct err *err);
void jail_close(struct jail *jail);

/*
 * In the VE's init, which is root in its user namespace and has fresh namespaces: changes the root, mounts
 * /proc, /sys, /dev and what belongs there, and lets go of the host's mounts. The working directory is /
 * afterwards.
 */
int jail_enter(const struct jail *jail, struct err *err);

/* Gives up for good the capabilities that no server needs, in a process that is root in the VE. */
int jail_drop_caps(struct err *err);

#endif
