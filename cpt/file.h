/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files' end of the dump shares among its kinds, and keeps from the first round to the end. */
#ifndef VERST_CPT_FILE_H
#define VERST_CPT_FILE_H

#include "cpt/cpt.h"
#include "kernel/filewalk.h"
#include "lib/idx.h"

/* One descriptor through which an open file can be reached, for kcmp(2). */
struct cpt_file_at {
	pid_t pid; /* of the host; our own for files that only were in flight */
	int fd;
	uint32_t flags;
	file_id id;
};

/* An open file as the kernel names it. */
struct cpt_file_pointer {
	uint64_t file;
	file_id id;
};

/* Open files of the same inode and flags, in the order of kcmp. */
struct cpt_file_group {
	dev_t dev;
	ino_t ino;
	uint32_t flags;
	VEC(struct cpt_file_at) members;
};

/* A file of the tree by what it is and how it is called. */
struct cpt_reg_known {
	dev_t dev;
	ino_t ino;
	reg_id id;
	bool verified_frozen; /* path and inode were found to belong together since the VE stands still */
};

/* What a line of /proc/PID/maps said of a file. */
struct cpt_reg_mapping {
	dev_t dev;
	ino_t ino;
	char *path;
	reg_id id;
};

struct cpt_ghost_known {
	dev_t dev;
	ino_t ino;
	ghost_id id;
	int fd; /* a copy of ours, for the content */
};

struct cpt_pipe_known {
	dev_t dev;
	ino_t ino;
	pipe_id id;
	bool readable, writable; /* an end of that sort is open in the VE */
	bool alone;		 /* poll(2) says that no other end is open anywhere */
	char where[64];
};

struct cpt_tty_known { /* [tty_id - 1] once frozen */
	bool console;
	uint32_t index;		 /* of the VE's devpts */
	int master_fd, slave_fd; /* copies of ours, -1: not open in the VE */
	char where[64];
};

/* An epoll set whose targets are looked up when all files are known. */
struct cpt_epoll_known {
	uint32_t id;
	pid_t pid;
	int fd;
	char where[64];
};

/* An inotify queue that somebody has. */
struct cpt_inotify_known {
	pid_t pid;
	uint64_t start_ticks;
	uint32_t fd;
};

/* A mount of the VE on which inodes are looked for. */
struct cpt_inotify_mount {
	dev_t dev;
	char *path;
	int fd; /* -1: not opened yet */
};

/* A process that is gone; several open files may name it. */
struct cpt_pidfd_known {
	ino_t ino; /* of pidfs */
	uint32_t id;
};

/* A name that was found for a file that had lost another. */
struct cpt_name_known {
	dev_t dev;
	ino_t ino;
	char *path; /* as readlink would tell it */
};

struct cpt_dir {
	char *path;
	int fd; /* O_PATH */
};

struct cpt_file_state {
	int proc_self;	       /* /proc/self of the host */
	struct filewalk *walk; /* NULL: few files are open, or the kernel cannot */
	filewalk_entries entries;
	struct idx pointer_idx; /* files that a walk told of */
	VEC(struct cpt_file_pointer) pointers;

	struct idx group_idx;
	size_t nr_grouped; /* of `first`: those that are in groups; the others are put there when somebody
			      asks by kcmp */
	VEC(struct cpt_file_group) groups;
	VEC(struct cpt_file_at) first; /* [file_id - 1]: where each open file was met first */
	VEC(struct stat) first_st;     /* [file_id - 1] */
	VEC(int) in_flight;	       /* copies of ours of files met in flight only */

	struct idx reg_idx, mapping_idx, ghost_idx, pipe_idx, dir_idx;
	VEC(struct cpt_reg_known) regs; /* [reg_id - 1] */
	VEC(struct cpt_reg_mapping) mappings;
	VEC(struct cpt_ghost_known) ghosts; /* [ghost_id - 1] */
	VEC(struct cpt_pipe_known) pipes;   /* [pipe_id - 1] once frozen */
	VEC(struct cpt_tty_known) ttys;
	VEC(struct cpt_epoll_known) epolls;
	VEC(struct cpt_pidfd_known) pidfds;
	VEC(struct cpt_inotify_known) inotifys;
	VEC(struct cpt_inotify_mount) inotify_mounts;
	VEC(struct cpt_dir) dirs;
	VEC(struct cpt_name_known) names;
	bool frozen_seen; /* what was only true of the running VE is forgotten */

	char root_prefix[PATH_MAX]; /* where the VE's root lies in its mount namespace, "" for its root */
	size_t root_prefix_bytes;
	struct buf text; /* of the fdinfo at hand */
};

struct cpt_file_state *cpt_file_state(struct cpt *c); /* made on first use */

/* Descriptors will be collected by a walk, if the kernel can. */
void cpt_file_use_walk(struct cpt *c);

/* --- cpt/fdopen.c: looking at one descriptor --- */
/* Fills *ret. 1: it is closed by now (only while the VE runs). Free with cpt_fdopen_close. */
int cpt_fdopen(struct cpt *c, struct cpt_task *t, unsigned fd, struct cpt_fd *ret, struct err *err);
/* The same when a walk has told most of it. */
int cpt_fdopen_walked(struct cpt *c, struct cpt_task *t, const struct filewalk_entry *e, struct cpt_fd *ret,
		      struct err *err);
/* The same of a descriptor of our own: task NULL, fd and local are it. */
int cpt_fdopen_own(struct cpt *c, int local, struct cpt_fd *ret, struct err *err);
void cpt_fdopen_close(struct cpt_fd *fd);
/* "task 42 (redis-server) fd 7", also for a file in flight. */
const char *cpt_fdopen_where(const struct cpt_fd *fd, char ret[static 64]);
/* Cuts what lies before the VE's root off a path; NULL if it is outside. */
const char *cpt_fdopen_in_root(struct cpt *c, const char *path);

/* --- cpt/fdid.c: which descriptors are the same open file --- */
/* The open file's id, or 0 after adding it as the newest one with the id *ret_new. */
int cpt_fdid_find(struct cpt *c, pid_t pid, int fd, const struct cpt_fd *facts, file_id *ret, bool *ret_new,
		  struct err *err);
/* The same when a walk has told which file it is; 0: it told of none like it, and cpt_fdid_learn is to be
 * called. */
file_id cpt_fdid_walked(const struct cpt *c, uint64_t file);
int cpt_fdid_learn(struct cpt *c, uint64_t file, pid_t pid, int fd, const struct cpt_fd *facts, file_id *ret,
		   bool *ret_new, struct err *err);
/* kcmp: 0 the same, 1 and 2 the order of those that are not, -1. */
int cpt_fdid_kcmp(pid_t a, pid_t b, int type, unsigned long x, unsigned long y, struct err *err);

/* Tasks that share nothing of the given type (KCMP_FILES, KCMP_FS). The vector is the caller's to free. */
struct cpt_task_set {
	int type;
	VEC(struct cpt_task *) tasks; /* in the order of kcmp */
};
/* The task of the set that shares with t, or NULL and t is in the set now. */
int cpt_fdid_task(struct cpt_task_set *set, struct cpt_task *t, struct cpt_task **ret_same, struct err *err);

/* --- cpt/fs.c: roots, working directories, umasks --- */
int cpt_fs_check(struct cpt *c, struct err *err);
int cpt_fs_collect(struct cpt *c, struct err *err);

/* --- cpt/reg.c --- */
/* Directories are kept open while paths are looked up; while the VE runs they may be renamed. */
void cpt_reg_forget_dirs(struct cpt *c);
/* Does the path lead to that inode in the VE's root? A symbolic link at its end is not followed. 1 yes, 0 no.
 */
int cpt_reg_leads_to(struct cpt *c, const char *path, dev_t dev, ino_t ino);
/* What is at the path in the VE's root: 0, or -1 with errno. */
int cpt_reg_stat(struct cpt *c, const char *path, struct stat *ret);

/* What the descriptor is, as a file of the tree; it may have lost its name. */
int cpt_reg_of_fd(struct cpt *c, const struct cpt_fd *fd, reg_id *ret, struct err *err);

/* --- cpt/inotify.c --- */
void cpt_inotify_forget_mounts(struct cpt *c);

/* --- cpt/names.c --- */
/* Another name of a file that has lost its name `path` (in the VE's root), as readlink would tell it. NULL:
 * none is found. */
const char *cpt_names_find(struct cpt *c, int fd, const struct stat *st, const char *path);

/* --- cpt/lock.c: from the text of an fdinfo that has "lock:" lines --- */
int cpt_lock_check(struct cpt *c, const struct cpt_fd *fd, const char *fdinfo, struct err *err);
int cpt_lock_collect(struct cpt *c, file_id id, files_id table, const char *fdinfo, struct err *err);

/* --- cpt/ghost.c --- */
/* A file without a name; fd is borrowed. path: its last name. */
int cpt_ghost_of(struct cpt *c, int fd, const struct stat *st, const char *path, ghost_id *ret,
		 struct err *err);
/* Frozen: size and time of those that were met earlier. */
int cpt_ghost_refresh(struct cpt *c, struct err *err);

/* --- what the end of a check adds, when all descriptors were seen --- */
void cpt_pipe_check_ends(struct cpt *c);
void cpt_tty_check_ends(struct cpt *c);
/* Is fd (of task pid) what the set's target says, by its number there? */
int cpt_epoll_same(pid_t pid, int fd, pid_t set_pid, int set_fd, uint32_t target_fd, uint32_t nth);

#endif
