// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "cpt/file.h"
#include "facts/fdinfo.h"
#include "facts/proc.h"

static bool timerfd_match(const struct cpt_fd *fd)
{
	return !strcmp(fd->link, "anon_inode:[timerfd]");
}

static int64_t saturating(struct timespec ts)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)ts.tv_sec, (int64_t)1000000000, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)ts.tv_nsec, &ns))
		return INT64_MAX;
	return ns;
}

/* fdinfo is read anew: what was read before is from before the question below. */
static int read_again(struct cpt *c, const struct cpt_fd *fd, struct fdinfo_timerfd *ret, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	_fd_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (self < 0)
		return err_sys(err, "/proc/self");
	if (fdinfo_read(self, (unsigned)fd->local, &s->text, err))
		return -1;
	return fdinfo_timerfd_parse((const char *)s->text.at, ret, err);
}

static int timerfd_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct itimerspec now;
	struct timespec clock;
	struct fdinfo_timerfd info;
	struct timerfd_obj *obj;

	/*
	 * An interval timer that has expired rests until somebody asks (fs/timerfd.c do_timerfd_gettime):
	 * asking adds the missed ticks and winds it up again. Without that its line would say that no time is
	 * left.
	 */
	if (timerfd_gettime(fd->local, &now))
		return err_sys(err, "timerfd");
	if (read_again(c, fd, &info, err))
		return err_ctx(err, "timerfd");
	obj = vec_add(&c->m.timerfds);
	obj->id = (uint32_t)c->m.timerfds.nr;
	obj->clock = info.clock;
	obj->settime_flags = info.settime_flags;
	obj->left_ns = info.left_ns;
	obj->interval_ns = info.interval_ns;
	obj->ticks = info.ticks;
	if ((info.clock == CLOCK_REALTIME || info.clock == CLOCK_REALTIME_ALARM) &&
	    info.settime_flags & TFD_TIMER_ABSTIME && info.left_ns) {
		clock_gettime(CLOCK_REALTIME, &clock);
		if (__builtin_add_overflow(saturating(clock), info.left_ns, &obj->absolute_ns))
			obj->absolute_ns = INT64_MAX;
	}
	ret->of = obj->id;
	return 0;
}

const struct cpt_file_kind cpt_timerfd_kind = {
	.kind = FILE_TIMERFD,
	.match = timerfd_match,
	.collect = timerfd_collect,
};
