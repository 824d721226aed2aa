// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/task.pb-c.h"

#include <linux/limits.h>

#define THREADS_MAX 65536

#define T struct siginfo_obj
static const struct img_field siginfo_fields[] = {
	NUM(signo),  NUM(code),	    NUM(err),	  NUM(pid),  NUM(uid), HEX(value),
	NUM(status), NUM(timer_id), NUM(overrun), NUM(band), NUM(fd),
};
static const struct img_table siginfo_table = IMG_TABLE(siginfo, siginfo_fields);
#undef T

#define T struct creds_obj
static const struct img_field creds_fields[] = {
	NUM(uid),	   NUM(euid),	 NUM(suid),
	NUM(fsuid),	   NUM(gid),	 NUM(egid),
	NUM(sgid),	   NUM(fsgid),	 NUMS(groups, NGROUPS_MAX),
	HEX(cap_inh),	   HEX(cap_prm), HEX(cap_eff),
	HEX(cap_bnd),	   HEX(cap_amb), HEX(securebits),
	NUM(no_new_privs),
};
static const struct img_table creds_table = IMG_TABLE(creds, creds_fields);
#undef T

#define T struct thread_obj
static const struct img_field thread_fields[] = {
	NUM(tid),
	TEXT(comm, 15),
	STRUCT(regs, img_regs_table),
	HEX(sigmask),
	LIST(pending, siginfo_table, IMG_MAX_COUNT),
	HEX(altstack_sp),
	NUM(altstack_bytes),
	HEX(altstack_flags),
	HEX(robust_head),
	NUM(robust_bytes),
	HEX(clear_child_tid),
	HEX(rseq_addr),
	NUM(rseq_bytes),
	HEX(rseq_sig),
	RANGE(pdeath_signal, 0, SIGNALS),
	STRUCT(creds, creds_table),
	NUM(sched_policy),
	NUM(sched_priority),
	HEX(sched_flags),
	NUM(nice),
	HEX(ioprio),
	NUM(timer_slack_ns),
	BYTES(affinity, 8192),
};
static const struct img_table thread_table = IMG_TABLE(thread, thread_fields);
#undef T

#define T struct posix_timer_obj
static const struct img_field timer_fields[] = {
	NUM(id),	 NUM(clock),   NUM(notify),	 NUM(signo),   HEX(value),
	NUM(notify_tid), NUM(left_ns), NUM(interval_ns), NUM(overrun),
};
static const struct img_table timer_table = IMG_TABLE(posix_timer, timer_fields);
#undef T

#define T struct itimer_obj
static const struct img_field itimer_fields[] = {NUM(left_ns), NUM(interval_ns)};
static const struct img_table itimer_table = IMG_TABLE(itimer, itimer_fields);
#undef T

#define T __typeof__(((struct task_obj *)0)->rlimits[0])
static const struct img_field rlimit_fields[] = {HEX(cur), HEX(max)};
static const struct img_table rlimit_table = IMG_TABLE(rlimit, rlimit_fields);
#undef T

#define T struct task_obj
static const struct img_field fields[] = {
	NUM(pid),
	NUM(ppid),
	NUM(pgid),
	NUM(sid),
	RANGE(state, TASK_ALIVE, TASK_ZOMBIE),
	RANGE(stop_signal, 0, SIGNALS),
	HEX(exit_code),
	RANGE(exit_signal, 0, SIGNALS),
	NUM(mm),
	NUM(files),
	NUM(fs),
	NUM(sighand),
	LIST(threads, thread_table, THREADS_MAX),
	LIST(pending, siginfo_table, IMG_MAX_COUNT),
	ARRAY(itimers, itimer_table),
	LIST(posix_timers, timer_table, IMG_MAX_COUNT),
	ARRAY(rlimits, rlimit_table),
	NUM(oom_score_adj),
	HEX(personality),
	NUM(loginuid),
	NUM(child_subreaper),
	NUM(dumpable),
	NUM(ctty),
	NUM(ctty_pgrp),
	PATH_OR_NULL(cgroup),
	NUM(stop_seen),
};
static const struct img_table table = IMG_TABLE(task, fields);
#undef T

const struct img_kind img_task_kind = {.table = &table, .order = IMG_APPENDED};
