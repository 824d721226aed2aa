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

/* What is left runs on from here; only a time of day stays the time of day. */
static int arm(int fd, const struct timerfd_obj *t, struct err *err)
{
	struct itimerspec spec = {.it_value = of_ns(t->absolute_ns ? t->absolute_ns : t->left_ns),
				  .it_interval = of_ns(t->interval_ns)};
	int flags =
		t->absolute_ns ? (int)t->settime_flags & (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) : 0;

	if ((t->left_ns || t->interval_ns) && timerfd_settime(fd, flags, &spec, NULL))
		return err_sys(err, "timerfd_settime");
	/* setting the time has cleared them */
	if (t->ticks && ioctl(fd, TFD_IOC_SET_TICKS, &t->ticks))
		return err_sys(err, "TFD_IOC_SET_TICKS");
	return 0;
}

static int timerfd_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	const struct timerfd_obj *obj = model_timerfd(&r->m, f->of);
	_fd_ int fd = timerfd_create(obj->clock, TFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "timerfd of clock %d", obj->clock);
	if (arm(fd, obj, err))
		return -1;
	*ret_fd = fd_take(&fd);
	return 0;
}

const struct rst_file_kind rst_timerfd_kind = {.kind = FILE_TIMERFD, .open = timerfd_open};
