/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An interval timer that has expired and whose signal nobody has taken yet: the kernel has stopped it until
 * then (kernel/signal.c, dequeue_signal), says that nothing is left of it, and starts it again when the
 * signal is taken.
 */
#include <sys/time.h>

#include "tests/live/live.h"

static volatile int alarms;

static void on_alarm(int sig)
{
	alarms++;
}

static int sabotage(int nr)
{
	return nr == 1 ? setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) : -1;
}

int main(void)
{
	struct itimerval timer = {{0, 20000}, {0, 20000}};
	sigset_t set;

	signal(SIGALRM, on_alarm);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	DO(sigprocmask(SIG_BLOCK, &set, NULL));
	DO(setitimer(ITIMER_REAL, &timer, NULL));
	poll(NULL, 0, 50);

	live_wait(sabotage);

	CHECK_EQ(alarms, 0);
	DO(sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK_EQ(alarms, 1);
	for (int i = 0; i < 50 && alarms < 4; i++)
		poll(NULL, 0, 20);
	CHECK(alarms >= 4);
	return live_end();
}
