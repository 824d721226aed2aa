/* SPDX-License-Identifier: GPL-2.0-only */
/* Open files (what dup and fork share), descriptor tables, and the kinds of things that are open. */
#ifndef VERST_MODEL_FILE_H
#define VERST_MODEL_FILE_H

#include "model/base.h"

enum file_kind {
	FILE_REG = 1, /* regular file, directory, O_PATH of anything: reg */
	FILE_MEMFD,   /* shm */
	FILE_PIPE,    /* pipe or FIFO */
	FILE_CHARDEV,
	FILE_EVENTFD,
	FILE_EPOLL,
	FILE_TIMERFD,
	FILE_SIGNALFD,
	FILE_TTY, /* pty master, slave, or the VE's console */
	FILE_UNIX,
	FILE_INET, /* TCP and UDP, both families */
	FILE_PIDFD,
	FILE_INOTIFY,
	FILE_KINDS
};

enum file_lock_kind { FILE_LOCK_FLOCK = 1, FILE_LOCK_POSIX = 2, FILE_LOCK_OFD = 3 };

/* A lock that was granted. FLOCK and OFD belong to the open file, POSIX to those who share a descriptor
 * table. */
struct file_lock_obj {
	enum file_lock_kind kind;
	bool write;
	uint64_t start, end; /* bytes, end included; UINT64_MAX: to the end of the file, however far */
	files_id table;	     /* POSIX */
};

struct file_obj {
	file_id id;
	enum file_kind kind;
	uint32_t of;	/* id of the object of that kind */
	uint32_t flags; /* F_GETFL: access mode, O_APPEND, O_NONBLOCK, O_DIRECT, O_PATH, ... */
	int64_t pos;
	int32_t owner_pid; /* F_GETOWN_EX: negative for a group, 0 none; in the VE */
	int32_t owner_type;
	uint32_t owner_signal;
	bool tty_master; /* FILE_TTY: which end */
	VEC(struct file_lock_obj) locks;
};

struct fd_entry {
	uint32_t fd;
	file_id file;
	bool cloexec;
};

struct files_obj {
	files_id id;
	VEC(struct fd_entry) fds;
};

/* A file of the VE's file tree, named by path; shared by open files and mappings. */
struct reg_obj {
	reg_id id;
	char *path;    /* in the VE's root */
	uint32_t mode; /* st_mode */
	uint64_t size_bytes;
	int64_t mtime_ns;
	ghost_id ghost; /* not 0: it has no name any more, its content travels */
};

/* A file without a name. Content: PAGES_GHOST records. */
struct ghost_obj {
	ghost_id id;
	uint32_t mode, uid, gid;
	uint64_t size_bytes;
	int64_t mtime_ns;
	char *dir; /* where it is to be made: directory of its last name */
};

struct chardev_obj {
	uint32_t id;
	char *path;
	uint32_t major, minor;
};

struct pipe_chunk {
	struct bytes data;
	bool packet; /* boundary of O_DIRECT mode */
};

struct pipe_obj {
	pipe_id id;
	char *fifo_path; /* NULL: a pipe */
	uint32_t capacity_bytes;
	VEC(struct pipe_chunk) chunks;
};

struct eventfd_obj {
	uint32_t id;
	uint64_t count;
	bool semaphore;
};

struct epoll_target {
	uint32_t fd; /* number it was added under */
	file_id file;
	uint32_t events; /* armed as now: EPOLLONESHOT that fired has none */
	uint64_t data;
};

struct epoll_obj {
	uint32_t id;
	VEC(struct epoll_target) targets;
};

struct timerfd_obj {
	uint32_t id;
	int32_t clock;
	uint32_t settime_flags;
	int64_t left_ns, interval_ns; /* left 0: not armed */
	int64_t absolute_ns;	      /* CLOCK_REALTIME with TFD_TIMER_ABSTIME: when, on that clock */
	uint64_t ticks;		      /* expired and not read */
};

struct signalfd_obj {
	uint32_t id;
	uint64_t mask;
};

/* A process by descriptor. */
struct pidfd_obj {
	uint32_t id;
	uint32_t pid;	    /* in the VE, perhaps a zombie; 0: it is gone, its parent knows of it */
	uint32_t exit_code; /* wait status of one that is gone; 0 too where the kernel does not tell it */
};

#define INOTIFY_WD_MAX (1u << 18) /* a restore counts up to it */

struct inotify_watch {
	uint32_t wd;   /* ascending */
	uint32_t mask; /* events, IN_ONESHOT, IN_EXCL_UNLINK */
	reg_id reg;
};

/* Its queue is empty. */
struct inotify_obj {
	uint32_t id;
	VEC(struct inotify_watch) watches;
};

/* A pseudo-terminal pair, or the VE's console (index 0, no data: its other end is the supervisor's). */
struct tty_obj {
	tty_id id;
	bool console;
	uint32_t index;
	uint32_t iflag, oflag, cflag, lflag, line, ispeed, ospeed;
	struct bytes cc;
	uint16_t rows, cols, xpixel, ypixel;
	bool slave_locked, packet, exclusive;
	bool has_master, has_slave; /* open somewhere in the VE */
	bool slave_closed;	    /* the slave was open and is not any more: the master reads an end */
	bool stopped;		    /* output is stopped (^S) */
	uint32_t uid, gid, mode;    /* of the slave's node */
	/* written, not yet read; in canonical mode an end of file is the VEOF character */
	struct bytes to_slave, to_master;
};

#endif
