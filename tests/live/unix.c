/* SPDX-License-Identifier: GPL-2.0-only */
/* Unix sockets: pairs of every type with queued data and its boundaries, half-closed ones, options, a partner
 * that is gone. */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/live/live.h"

static int stream[2], seq[2], dgram[2], half[2], orphan, reader_gone, big[2], across;
#define BIG 150000

static int sabotage(int nr)
{
	char byte;
	int other[2];

	switch (nr) {
	case 1:
		return recv(stream[1], &byte, 1, 0) != 1;
	case 2:
		return recv(seq[1], &byte, 1, 0) != 1;
	case 3:
		return send(dgram[0], "x", 1, 0) != 1;
	case 4:
		return shutdown(stream[0], SHUT_WR);
	case 5:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, other) || dup2(other[0], half[1]) < 0 ||
		       fcntl(half[1], F_SETFL, O_NONBLOCK);
	case 6:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, other) || dup2(other[0], orphan) < 0 ||
		       fcntl(orphan, F_SETFL, O_NONBLOCK);
	case 7:
		return setsockopt(stream[0], SOL_SOCKET, SO_PASSCRED, &(int){0}, sizeof(int));
	case 8:
		return recv(big[1], &byte, 1, 0) != 1;
	case 9:
		return fcntl(seq[0], F_SETFL, 0);
	case 10:
		return setsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0},
				  sizeof(struct timeval));
	}
	return -1;
}

static void make(void)
{
	struct timeval timeout = {17, 500000};
	int ends[2];

	DO(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream));
	DO(send(stream[0], "first ", 6, 0));
	DO(send(stream[0], "second", 6, 0));
	DO(send(stream[1], "back", 4, 0));
	DO(setsockopt(stream[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)));
	DO(setsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
	DO(setsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &(int){40000}, sizeof(int)));
	DO(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, seq));
	DO(send(seq[0], "one", 3, 0));
	DO(send(seq[0], "three", 5, 0));
	DO(send(seq[0], "x", 1, 0));
	DO(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram));
	DO(send(dgram[0], "datagram", 8, 0));
	DO(send(dgram[0], "", 0, 0)); /* an empty one counts */
	DO(send(dgram[0], "another", 7, 0));
	DO(socketpair(AF_UNIX, SOCK_STREAM, 0, half));
	DO(send(half[0], "then no more", 12, 0));
	DO(shutdown(half[0], SHUT_WR));
	DO(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	DO(send(ends[1], "left behind", 11, 0));
	close(ends[1]);
	orphan = ends[0];
	DO(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
	close(ends[1]);
	reader_gone = ends[0];
}

static void make_big(void)
{
	unsigned char *content = malloc(BIG);

	live_fill(content, BIG, 6);
	DO(socketpair(AF_UNIX, SOCK_STREAM, 0, big));
	for (size_t at = 0; at < BIG; at += 10000)
		if (send(big[0], content + at, 10000, MSG_DONTWAIT) != 10000)
			live_die("send");
	free(content);
}

static void child(void)
{
	char buf[32];

	live_child_ready();
	CHECK(recv(across, buf, sizeof(buf), 0) == 4 &&
	      !memcmp(buf, "ping", 4)); /* waits here during the dump */
	CHECK_EQ(send(across, "pong", 4, 0), 4);
	live_child_end();
}

static void check_stream(void)
{
	struct timeval timeout;
	socklen_t len = sizeof(timeout);
	int value = 0, queued;
	char buf[64];

	CHECK(!ioctl(stream[1], FIONREAD, &queued) && queued == 12);
	CHECK(recv(stream[1], buf, sizeof(buf), 0) == 12 && !memcmp(buf, "first second", 12));
	CHECK(recv(stream[0], buf, sizeof(buf), 0) == 4 && !memcmp(buf, "back", 4));
	CHECK(send(stream[0], "more", 4, MSG_NOSIGNAL) == 4 && recv(stream[1], buf, sizeof(buf), 0) == 4);
	CHECK_EQ(fcntl(stream[0], F_GETFD), FD_CLOEXEC);
	CHECK(!getsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, &len));
	CHECK_EQ(timeout.tv_sec * 1000000 + timeout.tv_usec, 17500000);
	len = sizeof(value);
	CHECK(!getsockopt(stream[0], SOL_SOCKET, SO_PASSCRED, &value, &len) && value == 1);
	CHECK(!getsockopt(stream[1], SOL_SOCKET, SO_PASSCRED, &value, &len) && value == 0);
	CHECK(!getsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &value, &len) && value == 80000);
}

static void check_messages(void)
{
	char buf[64];

	CHECK(recv(seq[1], buf, sizeof(buf), 0) == 3 && !memcmp(buf, "one", 3));
	CHECK(recv(seq[1], buf, sizeof(buf), 0) == 5 && !memcmp(buf, "three", 5));
	CHECK_EQ(recv(seq[1], buf, sizeof(buf), 0), 1);
	CHECK_ERRNO(recv(seq[1], buf, sizeof(buf), 0), EAGAIN);
	CHECK_EQ(fcntl(seq[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK(recv(dgram[1], buf, sizeof(buf), MSG_DONTWAIT) == 8 && !memcmp(buf, "datagram", 8));
	CHECK_EQ(recv(dgram[1], buf, sizeof(buf), MSG_DONTWAIT), 0);
	CHECK(recv(dgram[1], buf, sizeof(buf), MSG_DONTWAIT) == 7 && !memcmp(buf, "another", 7));
	CHECK_ERRNO(recv(dgram[1], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

static void check_ends(void)
{
	char buf[64];

	CHECK(recv(half[1], buf, sizeof(buf), 0) == 12 && !memcmp(buf, "then no more", 12));
	CHECK_EQ(recv(half[1], buf, sizeof(buf), MSG_DONTWAIT), 0);
	CHECK_ERRNO(send(half[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK(send(half[1], "still", 5, MSG_NOSIGNAL) == 5 && recv(half[0], buf, sizeof(buf), 0) == 5);
	CHECK(recv(orphan, buf, sizeof(buf), 0) == 11 && !memcmp(buf, "left behind", 11));
	CHECK_EQ(recv(orphan, buf, sizeof(buf), MSG_DONTWAIT), 0);
	CHECK_ERRNO(send(orphan, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_ERRNO(send(reader_gone, "x", 1, MSG_NOSIGNAL), ECONNREFUSED);
}

static void check_big(void)
{
	unsigned char *content = malloc(BIG);
	size_t got = 0;
	ssize_t n;

	while (got < BIG && (n = recv(big[1], content + got, BIG - got, MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	CHECK_EQ(got, BIG);
	CHECK(live_same(content, BIG, 6));
	free(content);
}

int main(void)
{
	int ends[2];
	char buf[32];
	pid_t pid;

	make();
	make_big();
	DO(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	across = ends[1];
	pid = live_fork();
	if (!pid)
		child();
	close(across);

	live_wait(sabotage);

	check_stream();
	check_messages();
	check_ends();
	check_big();
	CHECK_EQ(send(ends[0], "ping", 4, MSG_NOSIGNAL), 4);
	CHECK(recv(ends[0], buf, sizeof(buf), 0) == 4 && !memcmp(buf, "pong", 4));
	live_reap(pid);
	CHECK_EQ(recv(ends[0], buf, sizeof(buf), 0), 0);
	return live_end();
}
