// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "rst/file.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t) /* include/uapi/linux/timerfd.h */
#endif

static struct timespec of_ns(int64_t ns)
{
	return (struct timespec){ns / 1000000000, ns % 1000000000};
}

struct state {
	int64_t left_ns; /* 0: not armed */
	uint64_t ticks;
};

/* The timer as it is by now: those times that have passed meanwhile are expirations. */
static struct state state_now(const struct rst *r, const struct timerfd_obj *t)
{
	struct state s = {t->left_ns, t->ticks};
	int64_t over_ns;

	if (!t->left_ns || t->absolute_ns)
		return s;
	if (__builtin_sub_overflow(rst_clock_passed_ns(r, t->clock), t->left_ns, &over_ns) ||
	    over_ns == INT64_MIN)
		return s; /* it never expires */
	if (over_ns < 0) {
		s.left_ns = -over_ns;
		return s;
	}
	s.ticks += 1 + (t->interval_ns ? (uint64_t)(over_ns / t->interval_ns) : 0);
	s.left_ns = t->interval_ns ? t->interval_ns - over_ns % t->interval_ns : 0;
	return s;
}

static int arm(struct rst *r, int fd, const struct timerfd_obj *t, struct err *err)
{
	struct state s = state_now(r, t);
	struct itimerspec spec = {.it_value = of_ns(t->absolute_ns ? t->absolute_ns : s.left_ns),
				  .it_interval = of_ns(t->interval_ns)};
	int flags =
		t->absolute_ns ? (int)t->settime_flags & (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) : 0;

	if ((t->left_ns || t->interval_ns) && timerfd_settime(fd, flags, &spec, NULL))
		return err_sys(err, "timerfd_settime");
	/* setting the time has cleared them */
	if (s.ticks && ioctl(fd, TFD_IOC_SET_TICKS, &s.ticks))
		return err_sys(err, "TFD_IOC_SET_TICKS");
	return 0;
}

static int timerfd_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	const struct timerfd_obj *obj = model_timerfd(&r->m, f->of);
	_fd_ int fd = timerfd_create(obj->clock, TFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "timerfd of clock %d", obj->clock);
	if (arm(r, fd, obj, err))
		return -1;
	*ret_fd = fd_take(&fd);
	return 0;
}

const struct rst_file_kind rst_timerfd_kind = {.kind = FILE_TIMERFD, .open = timerfd_open};
