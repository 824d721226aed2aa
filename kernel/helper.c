// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/helper.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

int helper_send(int sock, const struct err *result, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)result, sizeof(*result)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == sizeof(*result) ? 0 : -1;
}

int helper_recv(int sock, int *ret_fd, struct err *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct err result;
	struct iovec iov = {&result, sizeof(result)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	_fd_ int fd = -1;
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "helper process");
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (n != sizeof(result))
		return err_set(err, ERR_SYSTEM, "a helper process died");
	if (result.code) {
		*err = result;
		return -1;
	}
	if (ret_fd)
		*ret_fd = fd_take(&fd);
	return 0;
}

int helper_run(helper_fn *fn, void *arg, int *ret_fd, struct err *err)
{
	pid_t pid;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, "socketpair");
	pid = fork();
	if (!pid) {
		struct err result = ERR_INIT;
		int fd = -1;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		fn(arg, &fd, &result);
		_exit(helper_send(pair[1], &result, fd) ? 1 : 0);
	}
	close(pair[1]);
	r = pid < 0 ? err_sys(err, "fork") : helper_recv(pair[0], ret_fd, err);
	close(pair[0]);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	return r;
}
