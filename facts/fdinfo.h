/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /proc/PID/fdinfo/N says, beyond what a copy of the descriptor can be asked. Reading it costs ten times
 * as much as fstat(2), so it is read only for kinds that tell of themselves nowhere else. Parsers take the
 * whole text and fail (ERR_SYSTEM) when a line they need is missing or is not what fs/proc of the known
 * kernels prints.
 */
#ifndef VERST_FACTS_FDINFO_H
#define VERST_FACTS_FDINFO_H

#include <sys/types.h>

#include "lib/buf.h"
#include "lib/lib.h"

/* The text, NUL-terminated (the NUL is not counted), into the memory of `b`, which is reused. */
int fdinfo_read(int proc_fd, unsigned fd, struct buf *b, struct err *err);

struct fdinfo_common {
	uint64_t flags; /* with O_CLOEXEC, which fcntl(F_GETFL) does not tell */
	int64_t pos;
	uint32_t locks; /* "lock:" lines: flock, POSIX and OFD locks, leases */
};
int fdinfo_common_parse(const char *text, struct fdinfo_common *ret, struct err *err);

struct fdinfo_eventfd {
	uint64_t count;
	bool semaphore_known; /* from Linux 6.5 on */
	bool semaphore;
};
int fdinfo_eventfd_parse(const char *text, struct fdinfo_eventfd *ret, struct err *err);

struct fdinfo_timerfd {
	int32_t clock;
	uint64_t ticks;
	uint32_t settime_flags;
	int64_t left_ns, interval_ns; /* capped at INT64_MAX */
};
int fdinfo_timerfd_parse(const char *text, struct fdinfo_timerfd *ret, struct err *err);

int fdinfo_signalfd_parse(const char *text, uint64_t *ret_mask, struct err *err);

/* The process's number as the reader's proc sees it; -1: it is gone, 0: it cannot be seen from there. */
int fdinfo_pidfd_parse(const char *text, int32_t *ret_pid, struct err *err);

struct fdinfo_epoll_target {
	uint32_t fd, events;
	uint64_t data;
	uint64_t ino;
	dev_t dev;
};
typedef VEC(struct fdinfo_epoll_target) fdinfo_epoll_targets;
/* In the order of the lines, which is that of the kernel's tree: KCMP_EPOLL_TFD counts equal numbers in it.
 */
int fdinfo_epoll_parse(const char *text, fdinfo_epoll_targets *ret, struct err *err);

struct fdinfo_inotify_watch {
	uint32_t wd, mask;
	uint64_t ino; /* as the filesystem keeps it, stat(2) may tell others */
	dev_t dev;    /* of the filesystem, as in mountinfo */
	int32_t handle_type;
	uint32_t handle_bytes; /* 0: the filesystem has none */
	uint8_t handle[128];   /* MAX_HANDLE_SZ */
};
typedef VEC(struct fdinfo_inotify_watch) fdinfo_inotify_watches;
/* By ascending wd. */
int fdinfo_inotify_parse(const char *text, fdinfo_inotify_watches *ret, struct err *err);

/* One line of /proc/locks. */
struct fdinfo_lock {
	char kind[16]; /* FLOCK, POSIX, OFDLCK, LEASE, DELEG */
	bool write, waiting;
	pid_t pid; /* of the reader's namespace; -1 OFDLCK */
	dev_t dev;
	ino_t ino;
	uint64_t start, end; /* end UINT64_MAX: to the end of the file */
};
typedef VEC(struct fdinfo_lock) fdinfo_locks;
/* Both of /proc/locks and of the "lock:" lines of an fdinfo; other lines are skipped. */
int fdinfo_locks_parse(const char *text, fdinfo_locks *ret, struct err *err);

#endif
