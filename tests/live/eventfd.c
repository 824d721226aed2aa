/* SPDX-License-Identifier: GPL-2.0-only */
/* Event counters: value, semaphore mode, flags, one shared by two processes, one at its maximum. */
#include <sys/eventfd.h>

#include "tests/live/live.h"

static int counter, semaphore, zero, shared, most;

static int sabotage(int nr)
{
	eventfd_t value;

	switch (nr) {
	case 1:
		return eventfd_write(counter, 1);
	case 2:
		return eventfd_read(semaphore, &value);
	case 3:
		return eventfd_write(zero, 1);
	case 4:
		return dup2(DO(eventfd(0, EFD_NONBLOCK)), shared) < 0;
	case 5:
		return eventfd_read(most, &value);
	case 6:
		return dup2(DO(eventfd(3, EFD_CLOEXEC)), semaphore) < 0;
	}
	return -1;
}

static void child(void)
{
	live_child_ready();
	live_go();
	CHECK_EQ(eventfd_write(shared, 5), 0);
	live_child_end();
}

int main(void)
{
	eventfd_t value = 0;
	pid_t pid;

	counter = DO(eventfd(0, EFD_CLOEXEC));
	DO(eventfd_write(counter, 0x123456789abcull));
	semaphore = DO(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	zero = DO(eventfd(0, EFD_NONBLOCK));
	shared = DO(eventfd(2, EFD_NONBLOCK));
	most = DO(eventfd(0, EFD_NONBLOCK));
	DO(eventfd_write(most, UINT64_MAX - 1));
	pid = live_fork();
	if (!pid)
		child();

	live_wait(sabotage);

	live_reap(pid);
	CHECK_EQ(eventfd_read(counter, &value), 0);
	CHECK_EQ(value, 0x123456789abcull);
	CHECK_EQ(fcntl(counter, F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 3; i++)
		CHECK(eventfd_read(semaphore, &value) == 0 && value == 1);
	CHECK_ERRNO(eventfd_read(semaphore, &value), EAGAIN);
	CHECK_ERRNO(eventfd_read(zero, &value), EAGAIN);
	CHECK(eventfd_read(shared, &value) == 0 && value == 7);
	CHECK_ERRNO(eventfd_write(most, 1), EAGAIN);
	CHECK(eventfd_read(most, &value) == 0 && value == UINT64_MAX - 1);
	return live_end();
}
