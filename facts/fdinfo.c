// SPDX-License-Identifier: GPL-2.0-only
#include "facts/fdinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

int fdinfo_read(int proc_fd, unsigned fd, struct buf *b, struct err *err)
{
	char name[32];
	_fd_ int file = -1;

	snprintf(name, sizeof(name), "fdinfo/%u", fd);
	file = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return err_sys(err, "%s", name);
	buf_clear(b);
	for (;;) {
		void *room = buf_reserve(b, 4096);
		ssize_t n = read(file, room, b->cap_bytes - b->len_bytes - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "%s", name);
		if (n == 0)
			break;
		b->len_bytes += (size_t)n;
	}
	b->at[b->len_bytes] = 0;
	return 0;
}

/* What follows "key" at the beginning of a line, without blanks; NULL if no line begins so. */
static const char *value_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && *text) {
		if (!strncmp(text, key, len)) {
			text += len;
			while (*text == ' ' || *text == '\t')
				text++;
			return text;
		}
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return NULL;
}

static int number_of(const char *text, const char *key, int base, uint64_t *ret, struct err *err)
{
	const char *value = value_of(text, key);
	char *end;
	uint64_t v;

	if (!value)
		return err_set(err, ERR_SYSTEM, "fdinfo has no line \"%s\"", key);
	v = strtoull(value, &end, base);
	if (end == value || (*end && *end != '\n'))
		return err_set(err, ERR_SYSTEM, "fdinfo: \"%s %.20s\" is not understood", key, value);
	*ret = v;
	return 0;
}

int fdinfo_common_parse(const char *text, struct fdinfo_common *ret, struct err *err)
{
	struct fdinfo_common v = {0};
	uint64_t pos;

	if (number_of(text, "flags:", 8, &v.flags, err) || number_of(text, "pos:", 10, &pos, err))
		return -1;
	v.pos = (int64_t)pos;
	for (const char *at = text; (at = value_of(at, "lock:")); v.locks++)
		;
	*ret = v;
	return 0;
}

int fdinfo_eventfd_parse(const char *text, struct fdinfo_eventfd *ret, struct err *err)
{
	struct fdinfo_eventfd v = {0};
	uint64_t semaphore = 0;

	/* fs/eventfd.c prints the count in hex */
	if (number_of(text, "eventfd-count:", 16, &v.count, err))
		return -1;
	v.semaphore_known = value_of(text, "eventfd-semaphore:") != NULL;
	if (v.semaphore_known && number_of(text, "eventfd-semaphore:", 10, &semaphore, err))
		return -1;
	v.semaphore = semaphore != 0;
	*ret = v;
	return 0;
}

/* "(seconds, nanoseconds)" */
static int pair_of(const char *text, const char *key, int64_t *ret_ns, struct err *err)
{
	const char *value = value_of(text, key);
	int64_t sec, nsec;

	if (!value || sscanf(value, "(%" SCNd64 ", %" SCNd64 ")", &sec, &nsec) != 2 || sec < 0 || nsec < 0 ||
	    nsec > 999999999)
		return err_set(err, ERR_SYSTEM, "fdinfo has no sound line \"%s\"", key);
	if (__builtin_mul_overflow(sec, (int64_t)1000000000, &sec) ||
	    __builtin_add_overflow(sec, nsec, ret_ns))
		*ret_ns = INT64_MAX;
	return 0;
}

int fdinfo_timerfd_parse(const char *text, struct fdinfo_timerfd *ret, struct err *err)
{
	struct fdinfo_timerfd v = {0};
	uint64_t clock, flags;

	/* fs/timerfd.c prints the flags in octal */
	if (number_of(text, "clockid:", 10, &clock, err) || number_of(text, "ticks:", 10, &v.ticks, err) ||
	    number_of(text, "settime flags:", 8, &flags, err) ||
	    pair_of(text, "it_value:", &v.left_ns, err) || pair_of(text, "it_interval:", &v.interval_ns, err))
		return -1;
	v.clock = (int32_t)clock;
	v.settime_flags = (uint32_t)flags;
	*ret = v;
	return 0;
}

int fdinfo_signalfd_parse(const char *text, uint64_t *ret_mask, struct err *err)
{
	return number_of(text, "sigmask:", 16, ret_mask, err);
}

int fdinfo_pidfd_parse(const char *text, int32_t *ret_pid, struct err *err)
{
	uint64_t pid;

	if (number_of(text, "Pid:", 10, &pid, err))
		return -1;
	*ret_pid = (int32_t)pid;
	return 0;
}

int fdinfo_epoll_parse(const char *text, fdinfo_epoll_targets *ret, struct err *err)
{
	fdinfo_epoll_targets targets = {0};

	for (const char *at = text; (at = value_of(at, "tfd:"));) {
		struct fdinfo_epoll_target t = {0};
		uint64_t dev;

		/* fs/eventpoll.c ep_show_fdinfo; sdev is a device number as the kernel keeps it: 20 bits for
		 * the minor */
		if (sscanf(at,
			   "%" SCNu32 " events: %" SCNx32 " data: %" SCNx64 " pos:%*d ino:%" SCNx64
			   " sdev:%" SCNx64,
			   &t.fd, &t.events, &t.data, &t.ino, &dev) != 5) {
			vec_free(&targets);
			return err_set(err, ERR_SYSTEM, "fdinfo: \"tfd: %.40s\" is not understood", at);
		}
		t.dev = makedev(dev >> 20, dev & 0xfffff);
		vec_push(&targets, t);
	}
	*ret = targets;
	return 0;
}

/* "c:81 f_handle:679671..." after fhandle-bytes */
static void handle_parse(const char *at, struct fdinfo_inotify_watch *ret)
{
	uint32_t bytes;
	int32_t type;
	int used = 0;

	if (sscanf(at, " fhandle-bytes:%" SCNx32 " fhandle-type:%" SCNx32 " f_handle:%n", &bytes,
		   (uint32_t *)&type, &used) != 2 ||
	    !used || bytes > sizeof(ret->handle))
		return;
	at += used;
	for (uint32_t i = 0; i < bytes; i++, at += 2)
		if (sscanf(at, "%2" SCNx8, &ret->handle[i]) != 1)
			return;
	ret->handle_type = type;
	ret->handle_bytes = bytes;
}

static int by_wd(const void *a, const void *b)
{
	uint32_t x = ((const struct fdinfo_inotify_watch *)a)->wd,
		 y = ((const struct fdinfo_inotify_watch *)b)->wd;

	return x < y ? -1 : x > y;
}

int fdinfo_inotify_parse(const char *text, fdinfo_inotify_watches *ret, struct err *err)
{
	fdinfo_inotify_watches watches = {0};

	for (const char *at = text; (at = value_of(at, "inotify wd:"));) {
		struct fdinfo_inotify_watch w = {0};
		uint64_t dev;
		int used = 0;

		/* fs/notify/fdinfo.c inotify_fdinfo, all in hex */
		if (sscanf(at,
			   "%" SCNx32 " ino:%" SCNx64 " sdev:%" SCNx64 " mask:%" SCNx32 " ignored_mask:%*x%n",
			   &w.wd, &w.ino, &dev, &w.mask, &used) != 4 ||
		    !used) {
			vec_free(&watches);
			return err_set(err, ERR_SYSTEM, "fdinfo: \"inotify wd:%.60s\" is not understood", at);
		}
		w.dev = makedev(dev >> 20, dev & 0xfffff);
		handle_parse(at + used, &w);
		vec_push(&watches, w);
	}
	if (watches.nr)
		qsort(watches.at, watches.nr, sizeof(*watches.at), by_wd);
	*ret = watches;
	return 0;
}

/* "1: -> POSIX  ADVISORY  WRITE 1234 fe:00:5678 0 EOF", the number already cut off */
static int lock_parse(const char *at, struct fdinfo_lock *ret)
{
	struct fdinfo_lock l = {0};
	char mode[16], type[16], end[32];
	unsigned major, minor;
	int pid;

	while (*at == ' ')
		at++;
	if (!strncmp(at, "->", 2)) {
		l.waiting = true;
		at += 2;
	}
	if (sscanf(at, " %15s %15s %15s %d %x:%x:%lu %" SCNu64 " %31s", l.kind, mode, type, &pid, &major,
		   &minor, &l.ino, &l.start, end) != 9)
		return -1;
	l.write = !strcmp(type, "WRITE");
	l.pid = pid;
	l.dev = makedev(major, minor);
	l.end = strcmp(end, "EOF") ? strtoull(end, NULL, 10) : UINT64_MAX;
	*ret = l;
	return 0;
}

int fdinfo_locks_parse(const char *text, fdinfo_locks *ret, struct err *err)
{
	fdinfo_locks locks = {0};

	for (const char *line = text; *line;) {
		const char *next = strchrnul(line, '\n'), *at = line, *colon;
		bool of_fdinfo = !strncmp(line, "lock:\t", 6);
		struct fdinfo_lock l;

		at += of_fdinfo ? 6 : 0;
		colon = at + strspn(at, "0123456789");
		if (colon > at && *colon == ':') {
			if (lock_parse(colon + 1, &l)) {
				vec_free(&locks);
				return err_set(err, ERR_SYSTEM, "lock line \"%.60s\" is not understood", at);
			}
			vec_push(&locks, l);
		}
		line = *next ? next + 1 : next;
	}
	*ret = locks;
	return 0;
}
