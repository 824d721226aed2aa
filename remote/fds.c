// SPDX-License-Identifier: GPL-2.0-only
/* Descriptors into a task: over a socket pair that the task makes and whose one end we take out of it. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "remote/internal.h"

#define FDS_A_MESSAGE 253 /* SCM_MAX_FD of include/net/scm.h */
#define MESSAGES      32  /* a round; they wait in the socket meanwhile */

struct fd_message { /* as recvmsg in the task needs it; its pointers are to the task's memory */
	struct msghdr header;
	struct iovec iov;
	char byte[16];
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(FDS_A_MESSAGE * sizeof(int))];
	} control;
};

static int take_fd(pid_t tid, int fd, struct err *err)
{
	_fd_ int pidfd = syscall(SYS_pidfd_open, tid, 0);
	int got;

	if (pidfd < 0)
		return err_sys(err, "pidfd of task %d", tid);
	got = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	return got < 0 ? err_sys(err, "pidfd_getfd from task %d", tid) : got;
}

static int send_one(int sock, const int *fds, size_t nr, struct err *err)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(FDS_A_MESSAGE * sizeof(int))];
	} control = {0};
	struct iovec iov = {(char[]){0}, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = CMSG_SPACE(nr * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	if (sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return err_sys(err, "sending %zu descriptors", nr);
	return 0;
}

static void add_receive(struct remote_batch *b, int sock, size_t *ret_at)
{
	struct fd_message m = {.header = {.msg_iovlen = 1, .msg_controllen = sizeof(m.control)},
			       .iov = {.iov_len = 1}};
	size_t at = remote_batch_data(b, &m, sizeof(m));

	remote_batch_pointer(b, at + offsetof(struct fd_message, header.msg_iov),
			     at + offsetof(struct fd_message, iov));
	remote_batch_pointer(b, at + offsetof(struct fd_message, header.msg_control),
			     at + offsetof(struct fd_message, control));
	remote_batch_pointer(b, at + offsetof(struct fd_message, iov.iov_base),
			     at + offsetof(struct fd_message, byte));
	remote_call(b, "recvmsg", 0, SYS_recvmsg, ra_num(sock), ra_data(at), ra_num(0));
	*ret_at = at;
}

static int take_numbers(const struct remote_batch *b, size_t at, size_t nr, int *ret_fds, struct err *err)
{
	const struct fd_message *m = remote_batch_out(b, at);
	const struct cmsghdr *c = &m->control.align;

	if (m->header.msg_controllen < sizeof(*c) || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(nr * sizeof(int)))
		return err_set(err, ERR_RESOURCES, "the task has no room for %zu more descriptors", nr);
	memcpy(ret_fds, CMSG_DATA(c), nr * sizeof(int));
	return 0;
}

/* Up to MESSAGES messages: all are sent, then all are received in one batch. */
static int send_round(struct remote *r, int ours, int theirs, const int *fds, size_t nr, int *ret_fds,
		      struct err *err)
{
	struct remote_batch *b = remote_batch_new();
	size_t at[MESSAGES], nr_messages = 0;
	int failed = 0;

	for (size_t i = 0; i < nr && !failed; i += FDS_A_MESSAGE) {
		failed = send_one(ours, fds + i, MIN(nr - i, (size_t)FDS_A_MESSAGE), err);
		add_receive(b, theirs, &at[nr_messages++]);
	}
	failed = failed || remote_batch_run(r, b, err);
	for (size_t i = 0, m = 0; i < nr && !failed; i += FDS_A_MESSAGE, m++)
		failed = take_numbers(b, at[m], MIN(nr - i, (size_t)FDS_A_MESSAGE), ret_fds + i, err);
	remote_batch_free(b);
	return failed ? -1 : 0;
}

static int make_pair(struct remote *r, int ret_pair[2], struct err *err)
{
	struct remote_batch *b = remote_batch_new();
	size_t pair = remote_batch_data(b, NULL, 2 * sizeof(int));
	int failed;

	remote_call(b, "socketpair", 0, SYS_socketpair, ra_num(AF_UNIX),
		    ra_num(SOCK_SEQPACKET | SOCK_CLOEXEC), ra_num(0), ra_data(pair));
	failed = remote_batch_run(r, b, err);
	if (!failed)
		memcpy(ret_pair, remote_batch_out(b, pair), 2 * sizeof(int));
	remote_batch_free(b);
	return failed;
}

static int close_pair(struct remote *r, const int pair[2], struct err *err)
{
	struct remote_batch *b = remote_batch_new();
	int failed;

	remote_call(b, "close", 0, SYS_close, ra_num(pair[0]));
	remote_call(b, "close", 0, SYS_close, ra_num(pair[1]));
	failed = remote_batch_run(r, b, err);
	remote_batch_free(b);
	return failed;
}

int remote_send_fds(struct remote *r, const int *fds, size_t nr, int *ret_fds, struct err *err)
{
	const size_t a_round = FDS_A_MESSAGE * MESSAGES;
	_free_ int *got = mem_alloc(nr * sizeof(int));
	_fd_ int ours = -1;
	int pair[2];

	if (!nr)
		return 0;
	if (make_pair(r, pair, err) < 0)
		return -1;
	ours = take_fd(r->tid, pair[0], err);
	if (ours < 0)
		return -1;
	for (size_t i = 0; i < nr; i += a_round)
		if (send_round(r, ours, pair[1], fds + i, MIN(nr - i, a_round), got + i, err) < 0)
			return -1;
	if (close_pair(r, pair, err) < 0)
		return -1;
	memcpy(ret_fds, got, nr * sizeof(int));
	return 0;
}
