/* SPDX-License-Identifier: GPL-2.0-only */
/* Interval timers and POSIX timers: what is left of them, intervals, ids, the signal with its value,
 * overruns. */
#include <sys/time.h>

#include "tests/live/live.h"

#define SLACK_NS 250000000ll

/* not libc's: its timer_t is not the kernel's id for every kind */
typedef int kernel_timer;

static kernel_timer ids[5];
static volatile int fired_value, fired_overrun;
static int64_t armed_at_ns;

static kernel_timer create(clockid_t clock, int sig, int value)
{
	struct sigevent event = {.sigev_notify = sig ? SIGEV_SIGNAL : SIGEV_NONE,
				 .sigev_signo = sig,
				 .sigev_value.sival_int = value};
	kernel_timer id;

	DO(syscall(SYS_timer_create, clock, &event, &id));
	return id;
}

static int settime(kernel_timer id, int64_t first_ns, int64_t interval_ns)
{
	struct itimerspec spec = {{interval_ns / 1000000000, interval_ns % 1000000000},
				  {first_ns / 1000000000, first_ns % 1000000000}};

	return (int)syscall(SYS_timer_settime, id, 0, &spec, NULL);
}

static int64_t left_ns(kernel_timer id, int64_t *ret_interval_ns)
{
	struct itimerspec spec;

	if (syscall(SYS_timer_gettime, id, &spec))
		return -1;
	*ret_interval_ns = spec.it_interval.tv_sec * 1000000000ll + spec.it_interval.tv_nsec;
	return spec.it_value.tv_sec * 1000000000ll + spec.it_value.tv_nsec;
}

static void on_timer(int sig, siginfo_t *info, void *context)
{
	fired_value = info->si_value.sival_int;
	fired_overrun = info->si_overrun;
}

static int sabotage(int nr)
{
	struct itimerval none = {0};

	switch (nr) {
	case 1:
		return setitimer(ITIMER_REAL, &none, NULL);
	case 2:
		return settime(ids[1], 1000000000000, 1000000000);
	case 3:
		return settime(ids[1], 500000000000, 3000000000);
	case 4:
		return (int)syscall(SYS_timer_delete, ids[2]);
	case 5:
		return settime(ids[3], 1000000000, 0);
	case 6:
		return setitimer(ITIMER_VIRTUAL, &none, NULL);
	case 7:
		return settime(ids[4], 1, 0);
	}
	return -1;
}

static void check_itimers(void)
{
	struct itimerval timer;
	int64_t gone_us = (live_now_ns(CLOCK_MONOTONIC) - armed_at_ns) / 1000;

	CHECK_EQ(getitimer(ITIMER_REAL, &timer), 0);
	CHECK_RANGE(timer.it_value.tv_sec * 1000000ll + timer.it_value.tv_usec,
		    900000000 - gone_us - SLACK_NS / 1000, 900000000 - gone_us + SLACK_NS / 1000);
	CHECK_EQ(timer.it_interval.tv_sec * 1000000ll + timer.it_interval.tv_usec, 7000123);
	CHECK_EQ(getitimer(ITIMER_VIRTUAL, &timer), 0);
	CHECK_RANGE(timer.it_value.tv_sec, 595, 600);
	CHECK_EQ(timer.it_interval.tv_sec, 11);
	CHECK_EQ(getitimer(ITIMER_PROF, &timer), 0);
	CHECK_EQ(timer.it_value.tv_sec, 0);
}

static void check_posix_timers(void)
{
	int64_t interval_ns = -1, gone_ns = live_now_ns(CLOCK_MONOTONIC) - armed_at_ns;
	int64_t left = left_ns(ids[1], &interval_ns);

	CHECK_RANGE(left, 500000000000 - gone_ns - SLACK_NS, 500000000000 - gone_ns + SLACK_NS);
	CHECK_EQ(interval_ns, 1000000000);
	left = left_ns(ids[2], &interval_ns);
	CHECK_RANGE(left, 300000000000 - gone_ns - 5000000000, 300000000000 - gone_ns + 5000000000);
	CHECK_EQ(left_ns(ids[3], &interval_ns), 0);
	CHECK_EQ(create(CLOCK_MONOTONIC, 0, 0) > ids[4], 1); /* ids go on where they were */
	CHECK_ERRNO(syscall(SYS_timer_gettime, ids[0], &(struct itimerspec){0}), EINVAL);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
	struct itimerval real = {{7, 123}, {900, 0}}, virtual_timer = {{11, 0}, {600, 0}};
	sigset_t set;

	sigaction(SIGRTMIN + 2, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	ids[0] = create(CLOCK_MONOTONIC, SIGRTMIN, 0);
	ids[1] = create(CLOCK_MONOTONIC, SIGRTMIN, 1);
	ids[2] = create(CLOCK_REALTIME, SIGRTMIN, 2);
	ids[3] = create(CLOCK_BOOTTIME, SIGRTMIN, 3); /* never armed */
	ids[4] = create(CLOCK_MONOTONIC, SIGRTMIN + 2, 4444);
	DO(syscall(SYS_timer_delete, ids[0])); /* a gap in the ids */
	armed_at_ns = live_now_ns(CLOCK_MONOTONIC);
	DO(setitimer(ITIMER_REAL, &real, NULL));
	DO(setitimer(ITIMER_VIRTUAL, &virtual_timer, NULL));
	DO(settime(ids[1], 500000000000, 1000000000));
	DO(settime(ids[2], 300000000000, 0));
	/* it has fired when we look, but its signal is blocked */
	DO(sigprocmask(SIG_BLOCK, &set, NULL));
	DO(settime(ids[4], 1000000, 20000000));
	poll(NULL, 0, 200);

	live_wait(sabotage);

	check_itimers();
	check_posix_timers();
	DO(sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK_EQ(fired_value, 4444);
	/* how many it missed while its signal was pending the kernel tells nobody before delivery: what a
	 * dump can't carry */
	CHECK_RANGE(fired_overrun, 0, 1 << 30);
	fired_value = 0;
	poll(NULL, 0, 60);
	CHECK_EQ(fired_value, 4444); /* and goes on */
	return live_end();
}
