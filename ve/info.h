/* SPDX-License-Identifier: GPL-2.0-only */
/* RUN/ID/info: what a running VE consists of. Written by its supervisor, read by everyone else. */
#ifndef VERST_VE_INFO_H
#define VERST_VE_INFO_H

#include "kernel/cgroup.h"
#include "kernel/venet.h"
#include "ve/ve.h"

/* A process that may be gone: the start time tells it from a later one with its pid. */
struct ve_process {
	pid_t pid;
	uint64_t start_ticks;
};

struct ve_info {
	struct ve_process init, supervisor;
	unsigned uid_base;
	unsigned console_major, console_minor;
	int64_t monotonic_offset_ns, boottime_offset_ns;
	int64_t started_s; /* realtime */
	char venet_host[16];
	struct venet_addrs addrs; /* that it has now; its config may say otherwise */
	struct cgroup cgroup;	  /* v2_fd is -1 after a read */
};

void ve_info_close(struct ve_info *info);
int ve_info_write(const struct ve *ve, const struct ve_info *info, struct err *err);
/* ERR_NOT_RUNNING if there is none. It may be that of a VE whose tasks are gone. */
int ve_info_read(const struct ve *ve, struct ve_info *ret, struct err *err);

int ve_info_identify(pid_t pid, struct ve_process *ret, struct err *err);
/* A pidfd of that very process, or -1 when it is gone. */
int ve_info_pidfd(const struct ve_process *process);
bool ve_info_alive(const struct ve_process *process); /* a zombie is not */

#endif
