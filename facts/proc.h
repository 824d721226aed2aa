/* SPDX-License-Identifier: GPL-2.0-only */
/* What /proc says. proc_fd is a descriptor of the directory /proc/PID. */
#ifndef VERST_FACTS_PROC_H
#define VERST_FACTS_PROC_H

#include <sys/types.h>

#include "lib/lib.h"

struct proc_stat { /* /proc/PID/stat */
	char comm[64], state;
	uint32_t ppid, pgrp, session, tty_nr, tpgid;
	int64_t nice;
	uint64_t start_ticks, start_code, end_code, start_stack, start_data, end_data, start_brk, arg_start,
		arg_end, env_start, env_end;
	uint32_t exit_code, exit_signal;
};
int proc_stat_read(int proc_fd, struct proc_stat *ret, struct err *err);

struct proc_status { /* /proc/PID/status; ids and pids as the reader's namespaces see them, NSpid etc.
			innermost last */
	char state;
	uint32_t umask, tgid, ns_tgid, ns_pid, ns_pgid, ns_sid, threads;
	uint32_t nr_ns;		 /* depth of NSpid */
	uint32_t uid[4], gid[4]; /* real, effective, saved, filesystem */
	VEC(uint32_t) groups;
	uint64_t sig_pending, shared_pending, sig_blocked, sig_ignored, sig_caught;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	bool no_new_privs;
	uint32_t seccomp, seccomp_filters, tracer_pid;
};
int proc_status_read(int proc_fd, struct proc_status *ret, struct err *err);
void proc_status_free(struct proc_status *s);

/* The numbers of the entries of a directory of /proc/PID ("task", "fd"), ascending. */
typedef VEC(uint32_t) proc_numbers;
int proc_numbers_read(int proc_fd, const char *dir, proc_numbers *ret, struct err *err);

/* readlinkat with a NUL, "" for an empty link. */
int proc_link_read(int proc_fd, const char *path, char *ret, size_t ret_bytes, struct err *err);

#endif
