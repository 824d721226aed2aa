/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The restore engine's inside. rst/engine.c reads the stream: what arrives while the source still runs is
 *built at once (tree, address spaces, pages); the frozen part is gathered in r->m, validated, and then
 *carried out as a plan:
 *
 *	TREE    rst_tree_apply    tasks that are gone or changed their place are dropped; new ones are made
 *when needed MM      rst_mm_apply      mappings of one address space as they are in this round PAGES
 *rst_mm_pages      into the waiting task, in place END     the plan (rst/plan.h): network lock, mounts,
 *network, files, tasks, descriptors, threads, ... ready
 */
#ifndef VERST_RST_RST_H
#define VERST_RST_RST_H

#include "images/images.h"
#include "include/verst.h"
#include "lib/lib.h"
#include "model/model.h"
#include "remote/remote.h"
#include "ve/ve.h"

struct rst_task {
	struct tree_task t; /* as in the newest tree */
	pid_t pid;	    /* of the host; 0: not made yet */
	struct remote *r;   /* its leader thread */
	int pidfd;
	VEC(struct remote *) threads; /* beyond the leader */
	struct rst_mm *mm;	      /* rst/mm.c: what is mapped there now */
};

struct rst {
	struct ve ve;
	struct ve_run run;
	struct verst_restore_opts opts;
	struct img_reader *in;
	struct model m;
	VEC(struct rst_task) tasks; /* parents before children */
	uint64_t blob_addr;	    /* where the blob is in every task */
	int64_t frozen_at_ns;	    /* when it was read that the VE stands still; 0: not yet */
	struct undo undo;
	int lease_fd;
	struct netlock *netlock; /* kernel/netlock.h */
	int *file_fds;		 /* [file_id]: our descriptor of each open file, -1 */
	size_t nr_file_fds;
	struct rst_mm_state *mm;
	struct rst_file_state *file; /* rst/file.h */
	struct rst_sock_state *sock;
	struct verst_restore_stats stats;
};

/* --- rst/tree.c --- */
int rst_tree_apply(struct rst *r, const struct tree_obj *tree, struct err *err);
/* The task, made now if it is not there: forked from tree_task.mm_from with its session and pid. */
int rst_tree_task(struct rst *r, uint32_t vpid, struct rst_task **ret, struct err *err);
struct rst_task *rst_tree_find(struct rst *r, uint32_t vpid); /* NULL */
struct rst_task *rst_tree_of_mm(struct rst *r, mm_id id);     /* the first task that has it; NULL */
void rst_tree_kill(struct rst *r);			      /* every task, reaped as a tracer must */
void rst_tree_kill(struct rst *r);			      /* every task, reaped as a tracer must */
int rst_tree_complete(struct rst *r, struct err *err);	      /* all tasks, sessions, groups, zombies */

/* --- rst/mm.c --- */
int rst_mm_apply(struct rst *r, const struct mm_obj *mm, struct err *err);
int rst_mm_pages(struct rst *r, const struct img_pages *p, struct err *err); /* MM and SHM targets */
/* Frozen: protections, advice, vdso, mm layout (PR_SET_MM_MAP), exe, locked pages, seals. */
int rst_mm_finish(struct rst *r, struct err *err);
/* A descriptor of the shared memory object (owned by r), made on first use. For FILE_MEMFD. */
int rst_mm_shm_fd(struct rst *r, shm_id id, int *ret_fd, struct err *err);
void rst_mm_free(struct rst *r);
/* After fork: the child's book of what is mapped is a copy of the parent's. */
void rst_mm_drop(struct rst *r, struct rst_task *t); /* the task is gone: forget what was mapped there */
int rst_mm_forked(struct rst *r, struct rst_task *parent, struct rst_task *child, struct err *err);

/* --- rst/file.c and one file per kind --- */
struct rst_file_kind {
	enum file_kind kind;
	/* The open file itself, in the engine: a descriptor of ours. */
	int (*open)(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err);
	/* Called once after all are open (unix peers and queues, epoll has its own); may be NULL. */
	int (*connect)(struct rst *r, struct err *err);
	/* Called once after descriptors are placed in all tasks, tasks can still run batches; may be NULL. */
	int (*attach)(struct rst *r, struct err *err);
};

extern const struct rst_file_kind rst_reg_kind, rst_memfd_kind, rst_pipe_kind, rst_chardev_kind,
	rst_eventfd_kind, rst_epoll_kind, rst_timerfd_kind, rst_signalfd_kind, rst_tty_kind, rst_unix_kind,
	rst_inet_kind, rst_pidfd_kind, rst_inotify_kind;

/* Watches begin, as the last thing that has to do with files: what is done before must cause no events.
 * rst/inotify.c */
int rst_inotify_watch(struct rst *r, struct err *err);

int rst_file_open_all(struct rst *r, struct err *err);
int rst_file_place(struct rst *r, struct err *err); /* fd tables, cwd, root, umask, owners */
int rst_file_attach(struct rst *r, struct err *err);
void rst_file_free(struct rst *r);
/* Opens a reg_obj with the given O_ flags through the VE's root; ghosts are made on first use. */
int rst_reg_open(struct rst *r, reg_id id, int flags, int *ret_fd, struct err *err);
/* The session's leader takes the terminal that the tree says, before others are forked from it. */
int rst_tty_early(struct rst *r, struct rst_task *t, struct err *err);
int rst_ghost_pages(struct rst *r, const struct img_pages *p, struct err *err);
void rst_sock_free(struct rst *r);
/* Runs fn with this thread in the VE's network namespace. */
int rst_in_netns(struct rst *r, int (*fn)(struct rst *r, void *arg, struct err *err), void *arg,
		 struct err *err);

/* --- rst/sock.c --- */
/* When packets flow again: every TCP connection asks its far end where it is, so that none waits for a timer.
 */
void rst_sock_kick(struct rst *r);

/* --- rst/mount.c, rst/fsent.c: as their records arrive; rst/netns.c --- */
int rst_mount_apply(struct rst *r, const struct mount_obj *m, struct err *err);
int rst_fsent_apply(struct rst *r, const struct fsent_obj *e, struct err *err);
int rst_clock_restore(struct rst *r, struct err *err); /* rst/clock.c */
/*
 * How much further one of the VE's clocks is than when it was stopped: it went on while this was built, and
 * so must its timers. Less than nothing if the VE is to wait until its clock is where it was. A clock of CPU
 * time stood still.
 */
int64_t rst_clock_passed_ns(const struct rst *r, int32_t clock);
int rst_uts_restore(struct rst *r, struct err *err); /* rst/uts.c */
int rst_ns_network(struct rst *r, struct err *err);  /* devices' state, addresses, routes, sysctls */

/* --- rst/cgroup.c --- */
/* Directories, controllers, owners; and each task into its own. */
int rst_cgroup_build(struct rst *r, struct err *err);
int rst_cgroup_limits(struct rst *r, struct err *err);	/* when nothing runs in the tasks any more */
int rst_cgroup_freezer(struct rst *r, struct err *err); /* when all are frozen with the VE */
/* One of the VE's that takes processes: that of init. */
int rst_cgroup_open_any(struct rst *r, int *ret_fd, struct err *err);

/* --- rst/task.c --- */
int rst_task_threads(struct rst *r, struct err *err); /* makes all threads */
int rst_task_state(struct rst *r, struct err *err);   /* signals, timers, limits, credentials last */
/* blob gone, registers set, detached: frozen in the cgroup */
int rst_task_seal(struct rst *r, struct err *err);

/* --- rst/stop.c --- */
/* t was let go with a stop signal; when this returns it has stopped, and its parent has heard of it if it had
 * before. */
int rst_stop(struct rst *r, const struct rst_task *t, struct err *err);

#endif
