/* SPDX-License-Identifier: GPL-2.0-only */
/* Timer descriptors: time left, interval, expirations not yet read, flags, clocks. */
#include <sys/timerfd.h>

#include "tests/live/live.h"

#define SLACK_NS 250000000ll

static int armed, ticking, expired, idle, absolute, fresh;
static int64_t armed_at_ns, absolute_at_s;

static int make(clockid_t clock, int flags, int64_t first_ns, int64_t interval_ns)
{
	struct itimerspec spec = {{interval_ns / 1000000000, interval_ns % 1000000000},
				  {first_ns / 1000000000, first_ns % 1000000000}};
	int fd = DO(timerfd_create(clock, flags));

	DO(timerfd_settime(fd, 0, &spec, NULL));
	return fd;
}

static int64_t left_ns(int fd, int64_t *ret_interval_ns)
{
	struct itimerspec spec;

	if (timerfd_gettime(fd, &spec))
		return -1;
	*ret_interval_ns = spec.it_interval.tv_sec * 1000000000ll + spec.it_interval.tv_nsec;
	return spec.it_value.tv_sec * 1000000000ll + spec.it_value.tv_nsec;
}

static int sabotage(int nr)
{
	uint64_t ticks;

	switch (nr) {
	case 1:
		return timerfd_settime(armed, 0, &(struct itimerspec){{2, 0}, {777, 0}}, NULL);
	case 2:
		return timerfd_settime(armed, 0, &(struct itimerspec){{3, 0}, {600, 0}}, NULL);
	case 3:
		return read(ticking, &ticks, 8) != 8;
	case 4:
		return read(expired, &ticks, 8) != 8;
	case 5:
		return timerfd_settime(idle, 0, &(struct itimerspec){.it_value.tv_sec = 5}, NULL);
	case 6:
		return fcntl(expired, F_SETFL, 0);
	case 7:
		return timerfd_settime(absolute, 0, &(struct itimerspec){.it_value.tv_sec = 2000}, NULL);
	case 8:
		return close(fresh);
	}
	return -1;
}

static void check_left(void)
{
	int64_t interval_ns = -1, gone_ns = live_now_ns(CLOCK_MONOTONIC) - armed_at_ns,
		left = left_ns(armed, &interval_ns);

	CHECK_RANGE(left, 600000000000 - gone_ns - SLACK_NS, 600000000000 - gone_ns + SLACK_NS);
	CHECK_EQ(interval_ns, 2000000000);
	left = left_ns(absolute, &interval_ns);
	CHECK_RANGE(left / 1000000000 + live_now_ns(CLOCK_REALTIME) / 1000000000, absolute_at_s - 5,
		    absolute_at_s + 5);
	CHECK_EQ(left_ns(idle, &interval_ns), 0);
}

static void check_ticks(void)
{
	int64_t should = (live_now_ns(CLOCK_MONOTONIC) - armed_at_ns) / 50000000;
	uint64_t ticks = 0;

	CHECK_EQ(read(ticking, &ticks, 8), 8);
	CHECK_RANGE(ticks, should - 6, should + 6); /* those from before the dump too */
	CHECK_EQ(read(ticking, &ticks, 8), 8);
	CHECK_EQ(ticks, 1);
	CHECK_EQ(read(expired, &ticks, 8), 8);
	CHECK_EQ(ticks, 1);
	CHECK_ERRNO(read(expired, &ticks, 8), EAGAIN);
	CHECK_ERRNO(read(idle, &ticks, 8), EAGAIN);
}

int main(void)
{
	struct itimerspec spec = {0};
	uint64_t ticks;

	armed_at_ns = live_now_ns(CLOCK_MONOTONIC);
	armed = make(CLOCK_MONOTONIC, TFD_CLOEXEC, 600000000000, 2000000000);
	ticking = make(CLOCK_MONOTONIC, 0, 50000000, 50000000);
	expired = make(CLOCK_BOOTTIME, TFD_NONBLOCK, 1000000, 0);
	idle = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, 0);
	fresh = DO(timerfd_create(CLOCK_REALTIME, 0));
	absolute = DO(timerfd_create(CLOCK_REALTIME, 0));
	spec.it_value.tv_sec = absolute_at_s = live_now_ns(CLOCK_REALTIME) / 1000000000 + 1000;
	DO(timerfd_settime(absolute, TFD_TIMER_ABSTIME, &spec, NULL));
	poll(NULL, 0, 600);

	live_wait(sabotage);

	check_left();
	check_ticks();
	CHECK_EQ(fcntl(armed, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(expired, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(ticking, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(timerfd_settime(fresh, 0, &(struct itimerspec){.it_value.tv_nsec = 1000000}, NULL), 0);
	CHECK_EQ(read(fresh, &ticks, 8), 8);
	return live_end();
}
