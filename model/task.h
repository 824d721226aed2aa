/* SPDX-License-Identifier: GPL-2.0-only */
/* Processes (thread groups), threads, what they do with signals, who they are. */
#ifndef VERST_MODEL_TASK_H
#define VERST_MODEL_TASK_H

#include "model/base.h"
#include "model/regs.h"

#define SIGNALS 64
#define RLIMITS 16

/* A queued siginfo, field by field (byte order free). */
struct siginfo_obj {
	int32_t signo, code, err;
	uint32_t pid, uid;
	uint64_t value; /* sigval, or fault address */
	int32_t status;
	int32_t timer_id, overrun; /* SI_TIMER */
	int64_t band;
	int32_t fd;
};

struct sigaction_obj {
	uint64_t handler; /* 0 SIG_DFL, 1 SIG_IGN */
	uint64_t flags, restorer, mask;
};

struct sighand_obj {
	sighand_id id;
	struct sigaction_obj actions[SIGNALS]; /* [signo - 1] */
};

/* Ids as the VE sees them. */
struct creds_obj {
	uint32_t uid, euid, suid, fsuid;
	uint32_t gid, egid, sgid, fsgid;
	VEC(uint32_t) groups;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	uint32_t securebits;
	bool no_new_privs;
};

struct thread_obj {
	uint32_t tid; /* in the VE */
	char *comm;
	struct regs_obj regs;
	uint64_t sigmask;
	VEC(struct siginfo_obj) pending; /* of this thread alone */
	uint64_t altstack_sp, altstack_bytes;
	uint32_t altstack_flags;
	uint64_t robust_head, robust_bytes;
	uint64_t clear_child_tid;
	uint64_t rseq_addr;
	uint32_t rseq_bytes, rseq_sig; /* rseq_bytes 0: not registered */
	uint32_t pdeath_signal;
	struct creds_obj creds;
	uint32_t sched_policy, sched_priority, sched_flags;
	int32_t nice;
	uint32_t ioprio;
	uint64_t timer_slack_ns;
	struct bytes affinity; /* bit mask, least significant cpu first; empty: all */
};

struct posix_timer_obj {
	int32_t id;
	int32_t clock;
	int32_t notify, signo;
	uint64_t value;		      /* sigev_value */
	uint32_t notify_tid;	      /* SIGEV_THREAD_ID */
	int64_t left_ns, interval_ns; /* left 0: not armed */
	int32_t overrun;
};

struct itimer_obj {
	int64_t left_ns, interval_ns;
};

enum task_state { TASK_ALIVE, TASK_STOPPED /* by a job-control signal */, TASK_ZOMBIE };

struct task_obj {
	uint32_t pid, ppid, pgid, sid; /* in the VE */
	enum task_state state;
	uint32_t stop_signal; /* TASK_STOPPED */
	bool stop_seen;	      /* and the parent has waited for it */
	uint32_t exit_code;   /* TASK_ZOMBIE: as wait(2) will give it */
	uint32_t exit_signal; /* what the parent gets */
	mm_id mm;
	files_id files;
	fs_id fs;
	sighand_id sighand;
	VEC(struct thread_obj) threads;	 /* the leader first */
	VEC(struct siginfo_obj) pending; /* of the whole process */
	struct itimer_obj itimers[3];
	VEC(struct posix_timer_obj) posix_timers;
	struct {
		uint64_t cur, max;
	} rlimits[RLIMITS];
	int32_t oom_score_adj;
	uint32_t personality;
	uint32_t loginuid;
	bool child_subreaper;
	int32_t dumpable;
	tty_id ctty;	    /* controlling terminal, of the session leader only */
	uint32_t ctty_pgrp; /* foreground group, with ctty */
	char *cgroup;	    /* below the VE's own cgroup, "/" for it; NULL: a zombie */
};

/* A root and a working directory, shared by tasks with CLONE_FS. Paths as in the VE's root. */
struct fs_obj {
	fs_id id;
	char *root, *cwd;
	uint32_t umask;
	reg_id cwd_nameless; /* not 0: the working directory was removed, this is it; cwd is where it was */
};

#endif
