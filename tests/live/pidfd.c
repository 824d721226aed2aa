/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes by descriptor: of ourselves, of a child and a child's child, of a zombie, of two that are gone
 * (one of them open twice), without waiting, of one thread only, in an epoll set.
 */
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "tests/live/live.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* include/uapi/linux/pidfd.h, Linux 6.15 */
struct info {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, uid_gid[8];
	int32_t exit_code;
};
#define INFO_EXIT (1ull << 3)
#define GET_INFO  _IOWR(0xff, 11, struct info)

static int self, living, remote, zombie, gone, gone_again, killed, one_thread = -1, set, told[2];
static pid_t child, zombie_pid;
static bool has_info; /* the kernel knows how those ended that are gone */

static int open_pidfd(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int send(int fd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

static long long pid_of(int fd)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	live_read_file(path, text, sizeof(text));
	return (int)live_field(text, "Pid", 10);
}

static bool has_ended(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1 && p.revents & POLLIN;
}

static int exit_code_of(int fd)
{
	struct info info = {.mask = INFO_EXIT};

	return !ioctl(fd, GET_INFO, &info) && info.mask & INFO_EXIT ? info.exit_code : -1;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return dup2(living, self) < 0;
	case 2:
		return dup2(self, zombie) < 0;
	case 3:
		return dup2(living, gone) < 0;
	case 4:
		return dup2(self, killed) < 0;
	case 5:
		return fcntl(living, F_SETFL, 0);
	case 6:
		return dup2(DO(open_pidfd(child, 0)), one_thread < 0 ? living : one_thread) < 0;
	case 7:
		return epoll_ctl(set, EPOLL_CTL_DEL, living, NULL);
	case 8:
		return dup2(living, remote) < 0;
	case 9:
		return waitpid(zombie_pid, NULL, 0) < 0;
	case 10:
		return dup2(gone, gone_again) < 0 || fcntl(gone, F_SETFL, O_NONBLOCK);
	}
	return -1;
}

/* Ends when it is told by a signal, after its own child has. */
static void run_child(int to_parent)
{
	sigset_t set_of_one;
	int sig;
	pid_t pid;

	sigemptyset(&set_of_one);
	sigaddset(&set_of_one, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set_of_one, NULL);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigwait(&set_of_one, &sig);
		_exit(5);
	}
	if (pid < 0 || write(to_parent, &pid, sizeof(pid)) != sizeof(pid))
		_exit(96);
	live_child_ready();
	sigwait(&set_of_one, &sig);
	waitpid(pid, NULL, 0);
	_exit(4);
}

/* A child that ends at once, and its descriptor. */
static pid_t start_dying(int sig, int *ret_fd)
{
	siginfo_t info;
	pid_t pid = DO(fork());

	if (!pid) {
		if (sig)
			kill(getpid(), sig);
		_exit(3);
	}
	*ret_fd = DO(open_pidfd(pid, 0));
	DO(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	return pid;
}

static void make(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77};
	pid_t pid, grandchild;

	DO(pipe2(told, O_CLOEXEC));
	child = live_fork();
	if (!child)
		run_child(told[1]);
	if (read(told[0], &grandchild, sizeof(grandchild)) != sizeof(grandchild))
		live_die("no grandchild");
	self = DO(open_pidfd(getpid(), 0));
	living = DO(open_pidfd(child, O_NONBLOCK));
	remote = DO(open_pidfd(grandchild, 0));
	zombie_pid = start_dying(0, &zombie);
	pid = start_dying(0, &gone);
	gone_again = DO(open_pidfd(pid, O_NONBLOCK));
	DO(waitpid(pid, NULL, 0));
	DO(waitpid(start_dying(SIGTERM, &killed), NULL, 0));
	has_info = exit_code_of(gone) >= 0;
	one_thread = open_pidfd(child, O_EXCL); /* PIDFD_THREAD, Linux 6.9 */
	set = DO(epoll_create1(EPOLL_CLOEXEC));
	DO(epoll_ctl(set, EPOLL_CTL_ADD, living, &event));
}

static void check_gone(int fd, int exit_code)
{
	siginfo_t info;

	CHECK_EQ(pid_of(fd), -1);
	CHECK(has_ended(fd, 0));
	CHECK_ERRNO(send(fd, 0), ESRCH);
	CHECK_ERRNO(waitid(P_PIDFD, (id_t)fd, &info, WEXITED), ECHILD);
	if (has_info)
		CHECK_EQ(exit_code_of(fd), exit_code);
}

static void check_living(void)
{
	struct epoll_event event = {0};
	siginfo_t info = {0};

	CHECK_EQ(pid_of(living), child);
	CHECK_EQ(fcntl(living, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(living, F_GETFD), FD_CLOEXEC);
	CHECK(!has_ended(living, 0) && !has_ended(remote, 0));
	CHECK_EQ(epoll_wait(set, &event, 1, 0), 0);
	CHECK_ERRNO(waitid(P_PIDFD, (id_t)living, &info, WEXITED), EAGAIN);
	if (one_thread >= 0) {
		CHECK_EQ(pid_of(one_thread), child);
		CHECK(fcntl(one_thread, F_GETFL) & O_EXCL);
	}
	/* the child ends only when both have got theirs */
	CHECK_EQ(send(remote, SIGUSR1), 0);
	CHECK(has_ended(remote, 10000));
	CHECK(!has_ended(living, 0));
	CHECK_EQ(send(living, SIGUSR1), 0);
	CHECK_EQ(epoll_wait(set, &event, 1, 10000), 1);
	CHECK_EQ(event.data.u64, 77);
	CHECK_EQ(waitid(P_PIDFD, (id_t)living, &info, WEXITED), 0);
	CHECK_EQ(info.si_pid, child);
	CHECK_EQ(info.si_status, 4);
}

int main(void)
{
	siginfo_t info = {0};

	make();
	live_wait(sabotage);

	CHECK_EQ(pid_of(self), getpid());
	CHECK_EQ(pid_of(zombie), zombie_pid);
	CHECK(has_ended(zombie, 0));
	CHECK_EQ(waitid(P_PIDFD, (id_t)zombie, &info, WEXITED), 0);
	CHECK(info.si_pid == zombie_pid && info.si_status == 3);
	check_gone(gone, 0x300);
	check_gone(gone_again, 0x300);
	CHECK_EQ(fcntl(gone, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(fcntl(gone_again, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	check_gone(killed, SIGTERM);
	check_living();
	return live_end();
}
