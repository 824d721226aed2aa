// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* The child of ns_make_user: holds the namespace until it is told to go. */
static void hold_user_ns(int fd)
{
	struct err err = ERR_INIT;
	int e = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The namespace takes over its maker's limits as its own for good: create_user_ns(),
	 * kernel/user_namespace.c. */
	if (ns_set_rlimits(&err) || unshare(CLONE_NEWUSER))
		e = errno;
	if (write(fd, &e, sizeof(e)) == sizeof(e) && !e)
		while (read(fd, &e, 1) > 0)
			;
	_exit(0);
}

static int map_ids(pid_t pid, unsigned uid_base, struct err *err)
{
	char path[64], map[64];

	snprintf(map, sizeof(map), "0 %u %u\n", uid_base, NS_NR_IDS);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	if (io_write_file(AT_FDCWD, path, map, err))
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
	return io_write_file(AT_FDCWD, path, map, err);
}

int ns_make_user(unsigned uid_base, int *ret_fd, struct err *err)
{
	int pair[2], e = EIO, fd = -1;
	char path[64];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, "socketpair");
	pid = fork();
	if (!pid) {
		close(pair[0]);
		hold_user_ns(pair[1]);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_sys(err, "fork");
	}
	if (read(pair[0], &e, sizeof(e)) != sizeof(e) || e) {
		errno = e;
		err_sys(err, "user namespace");
	} else if (!map_ids(pid, uid_base, err)) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			err_sys(err, "%s", path);
	}
	close(pair[0]);
	waitpid(pid, NULL, 0);
	if (fd < 0)
		return -1;
	*ret_fd = fd;
	return 0;
}

static int write_offsets(int fd, const struct ns_offsets *offsets, struct err *err)
{
	const int64_t ns[] = {offsets->monotonic_ns, offsets->boottime_ns};
	static const char *const clock[] = {"monotonic", "boottime"};
	char text[128];
	int len = 0;

	for (int i = 0; i < 2; i++) {
		int64_t sec = ns[i] / 1000000000, rest = ns[i] % 1000000000;

		if (rest < 0) {
			sec--;
			rest += 1000000000;
		}
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s %lld %lld\n", clock[i],
				(long long)sec, (long long)rest);
	}
	if (write(fd, text, (size_t)len) != len)
		return err_sys(err, "time namespace: offsets %s", text);
	return 0;
}

int ns_enter_user(int userns_fd, const struct ns_offsets *offsets, struct err *err)
{
	/* Opened now: afterwards the file is no longer ours to open, but what counts is who opened it. */
	_fd_ int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "/proc/self/timens_offsets");
	if (setns(userns_fd, CLONE_NEWUSER))
		return err_sys(err, "setns of the user namespace");
	if (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		return err_sys(err, "becoming the VE's root");
	if (unshare(CLONE_NEWTIME))
		return err_sys(err, "time namespace");
	return write_offsets(fd, offsets, err);
}

pid_t ns_fork_init(struct err *err)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
			 CLONE_NEWUTS | CLONE_NEWCGROUP,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		err_sys(err, "clone3 of the VE's init");
	return pid;
}

int ns_set_rlimits(struct err *err)
{
	static const struct {
		int what;
		rlim_t soft, hard;
	} limits[] = {
		{RLIMIT_CORE, 0, RLIM_INFINITY},
		{RLIMIT_STACK, 8 << 20, RLIM_INFINITY},
		{RLIMIT_NOFILE, 1024, 524288},
		{RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_SIGPENDING, RLIM_INFINITY, RLIM_INFINITY},
		{RLIMIT_MEMLOCK, 8 << 20, 8 << 20},
		{RLIMIT_MSGQUEUE, 819200, 819200},
		{RLIMIT_NICE, 0, 0},
		{RLIMIT_RTPRIO, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rlimit now, want;

		if (getrlimit((unsigned)limits[i].what, &now))
			return err_sys(err, "getrlimit");
		/* Raising a hard limit needs CAP_SYS_RESOURCE, which a node need not have. */
		want.rlim_max = MIN(limits[i].hard, now.rlim_max);
		want.rlim_cur = MIN(limits[i].soft, want.rlim_max);
		if (setrlimit((unsigned)limits[i].what, &want))
			return err_sys(err, "setrlimit %d", limits[i].what);
	}
	return 0;
}
