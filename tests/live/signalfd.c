/* SPDX-License-Identifier: GPL-2.0-only */
/* Signal descriptors: mask, flags, signals that wait to be read. */
#include <sys/signalfd.h>

#include "tests/live/live.h"

static int fd, other;

static int sabotage(int nr)
{
	struct signalfd_siginfo info;
	sigset_t set;

	switch (nr) {
	case 1:
		return read(fd, &info, sizeof(info)) != sizeof(info);
	case 2:
		sigemptyset(&set);
		sigaddset(&set, SIGHUP);
		return signalfd(fd, &set, 0) < 0;
	case 3:
		return fcntl(fd, F_SETFL, 0) || fcntl(other, F_SETFL, O_NONBLOCK);
	}
	return -1;
}

int main(void)
{
	struct signalfd_siginfo info;
	struct pollfd pfd;
	sigset_t set, otherset;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 4);
	sigemptyset(&otherset);
	sigaddset(&otherset, SIGUSR2);
	fd = DO(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	other = DO(signalfd(-1, &otherset, 0));
	sigaddset(&set, SIGUSR2);
	DO(sigprocmask(SIG_BLOCK, &set, NULL));
	DO(sigqueue(getpid(), SIGRTMIN + 4, (union sigval){.sival_int = 31}));
	DO(sigqueue(getpid(), SIGRTMIN + 4, (union sigval){.sival_int = 32}));
	DO(kill(getpid(), SIGUSR2));

	live_wait(sabotage);

	CHECK(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == (uint32_t)SIGRTMIN + 4);
	CHECK_EQ(info.ssi_int, 31);
	CHECK(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_int == 32);
	CHECK_EQ(info.ssi_pid, getpid());
	CHECK_ERRNO(read(fd, &info, sizeof(info)), EAGAIN);
	DO(kill(getpid(), SIGUSR1));
	CHECK(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(other, F_GETFL) & O_NONBLOCK, 0);
	pfd = (struct pollfd){.fd = other, .events = POLLIN};
	CHECK_EQ(poll(&pfd, 1, 0), 1);
	CHECK(read(other, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR2);
	return live_end();
}
