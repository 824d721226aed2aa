/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The dump engine's inside: what its phases share. One file per object kind; cpt/engine.c runs the phases:
 *
 *	check    cpt_*_check    nothing is stopped: every obstacle into c->findings
 *	track    cpt_mm_track   dirty tracking on (tasks are stopped one at a time, for microseconds)
 *	rounds   cpt_mm_round   while the VE runs
 *	freeze   engine         cgroup freeze, seize all threads, thaw (they stay stopped), network lock
 *	collect  cpt_*_collect  facts into c->m
 *	pages    cpt_mm_final   the rest of memory
 *	write    engine         all objects of c->m through img_put_*, END
 */
#ifndef VERST_CPT_CPT_H
#define VERST_CPT_CPT_H

#include <sys/stat.h>

#include "images/images.h"
#include "include/verst.h"
#include "lib/findings.h"
#include "lib/lib.h"
#include "model/model.h"
#include "remote/remote.h"
#include "ve/ve.h"

struct cpt_thread {
	pid_t tid;	  /* of the host */
	uint32_t vtid;	  /* of the VE */
	struct remote *r; /* while stopped, else NULL */
};

struct cpt_task {
	pid_t pid;     /* of the host */
	uint32_t vpid; /* of the VE */
	uint32_t vppid, vpgid, vsid;
	char comm[16];
	uint64_t start_ticks; /* field 22 of stat: tells a pid from its next user */
	uint32_t tty_nr;      /* field 7 of stat: its controlling terminal */
	bool zombie;
	int pidfd;
	int proc_fd;			/* directory /proc/PID of the host */
	VEC(struct cpt_thread) threads; /* the leader first */
	mm_id mm; /* given by cpt_mm as soon as tracking knows the task; stable over the rounds */
	files_id files;
	fs_id fs;
	sighand_id sighand;
};

/* A process that is in a cgroup below the VE's own. */
struct cpt_member {
	pid_t pid;
	char *path; /* of an object of c->m.cgroups */
};

struct cpt {
	struct ve ve;
	struct ve_run run;
	struct verst_dump_opts opts;
	struct img_writer *w;
	struct findings *findings; /* of the check phase */
	struct model m;
	VEC(struct cpt_task) tasks; /* parents before children; refreshed by cpt_task_list */
	bool frozen;
	size_t ghosts_written, regs_written, shms_written; /* in m, from the beginning */
	VEC(struct cpt_member) members;			   /* by pid. cpt/cgroup.c */
	struct undo undo;
	struct cpt_mm_state *mm;     /* cpt/mm.c */
	struct cpt_file_state *file; /* cpt/file.c */
	struct cpt_sock_state *sock; /* cpt/sock.c */
	struct netlock *netlock;     /* kernel/netlock.h */
	struct verst_dump_stats stats;
};

/* "task 42 (redis-server)" and "task 42 (redis-server) fd 7" for findings and errors; static per call site's
 * buffer. */
const char *cpt_where(const struct cpt_task *t, int fd, char ret[static 64]);

/* Writes GHOST, REG and SHM records that were not written yet, so that MM records may name them. cpt/engine.c
 */
int cpt_write_named(struct cpt *c, struct err *err);

/* Everything that was found out about the VE so far. cpt/engine.c */
void cpt_forget(struct cpt *c);

/* --- cpt/obstacles.c --- */
/* All of them, each seen several times, as the VE runs; a list of none is no error. */
int cpt_obstacles(struct cpt *c, struct verst_findings *ret, struct err *err);

/* --- cpt/task.c: the tree, threads, signals, timers, credentials --- */
int cpt_task_list(struct cpt *c,
		  struct err *err); /* finds all tasks, fills c->tasks; ids of known ones are kept */
void cpt_task_free(struct cpt *c);
/* Is a child in its parent's memory, as between vfork and exec? Such a moment cannot be dumped. */
bool cpt_task_in_vfork(const struct cpt *c);
int cpt_task_check(struct cpt *c, struct err *err);
/* Processes of a cgroup that are not of the VE. */
int cpt_task_check_entered(struct cpt *c, int cgroup_fd, struct err *err);
int cpt_task_collect(struct cpt *c, struct err *err); /* cpt/thread.c */
/* A TREE record of what c->tasks is now. */
int cpt_task_write_tree(struct cpt *c, uint32_t round, bool frozen, struct err *err);

/* --- cpt/cgroup.c --- */
int cpt_cgroup_check(struct cpt *c, struct err *err);
/* Between rounds: an error if something came up that cannot be carried. What is injected into a task that the
 * VE has frozen would not run. */
int cpt_cgroup_look(struct cpt *c, struct err *err);
int cpt_cgroup_collect(struct cpt *c, struct err *err); /* frozen, before anything is injected */
/* The cgroup of a task as task_obj has it, from what was collected. */
const char *cpt_cgroup_of(const struct cpt *c, const struct cpt_task *t);

/* --- cpt/mm.c, cpt/shm.c, cpt/track.c: memory --- */
int cpt_mm_check(struct cpt *c, struct err *err);
int cpt_mm_track(struct cpt *c, struct err *err); /* before each TREE of a round too: tasks come, and exec */
/* One round: TREE is written by the engine before; writes REG and SHM records first needed, MM records, and
 * pages. */
int cpt_mm_round(struct cpt *c, struct verst_round *ret, struct err *err);
/* Frozen: mm ids of all tasks (kcmp for shared ones), VMAs and the rest of mm_obj into the model ... */
int cpt_mm_collect(struct cpt *c, struct err *err);
/* ... and then MM records and all pages that no round has sent as they are now. */
int cpt_mm_final(struct cpt *c, struct verst_round *ret, struct err *err);
void cpt_mm_free(struct cpt *c);
/* A memfd that is open as a file: its shm id (same id as for its mappings). */
int cpt_mm_shm_of_fd(struct cpt *c, int fd, const struct stat *st, shm_id *ret, struct err *err);
/* For tree records: mm id of a task (0 zombie), the pid it inherits from, and whether earlier rounds stand
 * for nothing. */
void cpt_mm_tree(struct cpt *c, const struct cpt_task *t, struct tree_task *ret);

/* Records of System V segments that are gone since the last round, before others need their keys. */
int cpt_shm_write_gone(struct cpt *c, struct err *err);

/* --- cpt/file.c and one file per kind --- */

/* One descriptor of one task under examination. */
struct cpt_fd {
	struct cpt_task *task; /* NULL: received from a socket's queue, fd and local are a copy of ours */
	int fd;		       /* its number there */
	int local; /* a copy of ours (pidfd_getfd), closed by the caller of the kind's functions */
	struct stat st;
	char link[4096]; /* of /proc/PID/fd/N */
	bool deleted;	 /* link ended in " (deleted)", which was cut off */
	uint32_t flags;	 /* F_GETFL */
	int64_t pos;
	const char *fdinfo; /* its text, of anonymous inodes ("anon_inode:...") only, until the next
			       descriptor; else NULL */
};

struct cpt_file_kind {
	enum file_kind kind;
	/* Is it one of mine? Asked in the order of the registry (FILE_REG last, as it takes what has a path).
	 */
	bool (*match)(const struct cpt_fd *fd);
	/* Obstacles, before the freeze; may be NULL. */
	int (*check)(struct cpt *c, const struct cpt_fd *fd, struct err *err);
	/* Frozen. Called once per open file (not per descriptor): adds the object to c->m, sets ret->of (and
	 * tty_master). */
	int (*collect)(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err);
	/* Frozen, once after all files are known (epoll targets, unix peers); may be NULL. */
	int (*finish)(struct cpt *c, struct err *err);
};

extern const struct cpt_file_kind cpt_reg_kind, cpt_memfd_kind, cpt_pipe_kind, cpt_chardev_kind,
	cpt_eventfd_kind, cpt_epoll_kind, cpt_timerfd_kind, cpt_signalfd_kind, cpt_tty_kind, cpt_unix_kind,
	cpt_inet_kind, cpt_pidfd_kind, cpt_inotify_kind;

/* --- cpt/inotify.c --- */
/* While the VE runs: which queues there are. Then, as often as it is stopped: does one hold events? Those
 * cannot be put back into another queue, so its readers must be let go on. ret says which. */
int cpt_inotify_list(struct cpt *c, struct err *err);
bool cpt_inotify_busy(struct cpt *c, char ret[static 64]);

int cpt_file_check(struct cpt *c, struct err *err);
int cpt_file_collect(struct cpt *c, struct err *err); /* fd tables, open files, fs (root, cwd, umask) */
void cpt_file_free(struct cpt *c);
/* The file_obj of descriptor fd of task t as collected; 0 if there is none. For epoll targets and the like.
 */
file_id cpt_file_of(const struct cpt *c, const struct cpt_task *t, int fd);
/* A file received in passing (SCM_RIGHTS in a queue): finds or makes its file_obj. local is borrowed. */
file_id cpt_file_of_local(struct cpt *c, int local, struct err *err); /* 0 on error */
/* A file of the tree that is mapped: works while the VE runs and when it is frozen; same file, same id. dev,
 * inode and path as /proc/PID/maps says, addr for map_files. */
int cpt_reg_of_mapping(struct cpt *c, const struct cpt_task *t, uint64_t start, uint64_t end, dev_t dev,
		       ino_t ino, const char *path, reg_id *ret, struct err *err);
/* An executable, by /proc/PID/exe. */
int cpt_reg_of_exe(struct cpt *c, const struct cpt_task *t, reg_id *ret, struct err *err);
/* The terminal of a session's leader, as collected; 0: none, or it leads none. */
tty_id cpt_tty_of_leader(const struct cpt *c, const struct cpt_task *t);
/* The same for tree_task.tty, also while the VE runs. */
uint32_t cpt_tty_in_tree(struct cpt *c, const struct cpt_task *t);
/* Contents of nameless files: PAGES_GHOST records. */
int cpt_ghost_write(struct cpt *c, struct err *err);

/* --- cpt/sock.c: what sock_diag tells of all sockets of the VE, read once --- */
int cpt_sock_collect(struct cpt *c, struct err *err); /* frozen and locked, before cpt_file_collect */
/* The VE goes on: gives back what was taken out of sockets. Before tasks run and packets flow. */
void cpt_sock_resume(struct cpt *c);
void cpt_sock_free(struct cpt *c);

/* --- cpt/ns.c: hostname, mounts, tmpfs contents, network devices, addresses, routes --- */
int cpt_ns_check(struct cpt *c, struct err *err);
int cpt_ns_collect(struct cpt *c, struct err *err);
/* FSENT records of a mount, if it is a tmpfs. cpt/fsent.c */
int cpt_fsent_write(struct cpt *c, const struct mount_obj *m, struct err *err);

#endif
