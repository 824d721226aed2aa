/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The place of a VE in the cgroup hierarchies: NODE/NAME in v2 always, and in each v1 hierarchy that is
 * mounted. In the v1 memory controller it lies below the caller's own group, so that its limits hold for the
 * VE too.
 */
#ifndef VERST_KERNEL_CGROUP_H
#define VERST_KERNEL_CGROUP_H

#include <sys/types.h>

#include "lib/lib.h"

struct cgroup_v1 {
	char *path;	   /* the VE's directory */
	char *controllers; /* "cpu,cpuacct", "name=systemd" */
};

struct cgroup {
	int v2_fd;  /* directory of the VE, or -1 */
	char *name; /* NODE/NAME */
	VEC(struct cgroup_v1) v1;
};

#define CGROUP_INIT ((struct cgroup){.v2_fd = -1})

/*
 * Makes the directories; one that exists already and has tasks in it is an error. `owner` gets what a
 * delegated v2 hierarchy needs to be written (systemd in the VE). Hierarchies that refuse are left out and
 * logged, but for v2.
 */
int cgroup_make(struct cgroup *ret, const char *node, const char *name, uid_t owner, struct err *err);
/* Where cgroup_make would put them, none made; v2_fd is -1 when there is none. */
int cgroup_find(struct cgroup *ret, const char *node, const char *name, struct err *err);
/* Adds a v1 directory that is known from elsewhere. */
void cgroup_add_v1(struct cgroup *cg, const char *controllers, const char *path);
void cgroup_close(struct cgroup *cg);

/* Only the v2 directory NODE/NAME. */
int cgroup_open_v2(const char *node, const char *name, int *ret_fd, struct err *err);

int cgroup_join(const struct cgroup *cg, struct err *err); /* moves the calling process */
/* The same, but in v2 to the group below the VE's that `pid` is in. */
int cgroup_join_like(const struct cgroup *cg, pid_t pid, struct err *err);

int cgroup_freeze(int v2_fd, int timeout_ms, struct err *err); /* on timeout thawed again */
int cgroup_thaw(int v2_fd, struct err *err);
int cgroup_is_frozen(int v2_fd);	     /* 1, 0 */
int cgroup_kill(int v2_fd, struct err *err); /* SIGKILL to all below; does not wait */
unsigned cgroup_count_tasks(int v2_fd);	     /* threads, below it too */

/* Removes all directories, with what the VE made below them. Waits a little for dying tasks. Failures are
 * logged. */
void cgroup_remove(const struct cgroup *cg);

#endif
