/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP inside of the VE: connections with both queues filled, half-closed ones, options, listeners. IPv4 and
 * IPv6. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tests/live/live.h"

#define BIG 3000000

static int listener, listener6, plain[2], full[2], half[2], closed_peer, six[2], across;
static size_t full_bytes;
static pid_t pid;

static int listen_on(int family, int backlog)
{
	struct sockaddr_in6 addr = {
		.sin6_family = (sa_family_t)family}; /* port 0, and any address, in both families */
	int fd = DO(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));

	DO(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
	if (family == AF_INET6)
		DO(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int)));
	DO(bind(fd, (struct sockaddr *)&addr, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(addr)));
	DO(listen(fd, backlog));
	return fd;
}

/* ret[0] connected, ret[1] accepted */
static void pair(int from, int ret[2])
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	DO(getsockname(from, (struct sockaddr *)&addr, &len));
	if (addr.ss_family == AF_INET)
		((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&addr)->sin6_addr = in6addr_loopback;
	ret[0] = DO(socket(addr.ss_family, SOCK_STREAM, 0));
	DO(connect(ret[0], (struct sockaddr *)&addr, len));
	ret[1] = DO(accept(from, NULL, NULL));
}

/* as much as both kernels take: the receive queue of one end, the send queue of the other */
static void fill(void)
{
	unsigned char *content = malloc(BIG);
	ssize_t n;

	live_fill(content, BIG, 8);
	while (full_bytes < BIG &&
	       (n = send(full[0], content + full_bytes, BIG - full_bytes, MSG_DONTWAIT)) > 0)
		full_bytes += (size_t)n;
	free(content);
}

static void set_options(int fd)
{
	DO(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
	DO(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)));
	DO(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){321}, sizeof(int)));
	DO(setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){32}, sizeof(int)));
	DO(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){5}, sizeof(int)));
	DO(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(int){45678}, sizeof(int)));
	DO(setsockopt(fd, IPPROTO_IP, IP_TOS, &(int){0x10}, sizeof(int)));
	DO(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 9}, sizeof(struct linger)));
	DO(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &(int){4}, sizeof(int)));
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? -1 : value;
}

static int sabotage(int nr)
{
	char byte;

	switch (nr) {
	case 1:
		return recv(plain[1], &byte, 1, 0) != 1;
	case 2:
		return recv(full[1], &byte, 1, 0) != 1;
	case 3:
		return shutdown(plain[0], SHUT_WR);
	case 4:
		return close(listener6);
	case 5:
		return setsockopt(plain[0], IPPROTO_TCP, TCP_KEEPIDLE, &(int){320}, sizeof(int));
	case 6:
		return send(half[0], "x", 1, MSG_NOSIGNAL) >= 0 || dup2(plain[0], half[1]) < 0;
	case 7: /* the connection is reset */
		return setsockopt(six[0], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
				  sizeof(struct linger)) ||
		       close(six[0]);
	case 8:
		return dup2(plain[0], closed_peer) < 0;
	}
	return -1;
}

static void check_options(void)
{
	struct linger linger = {0};
	socklen_t len = sizeof(linger);
	int fd = plain[0];

	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 321);
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 32);
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 5);
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 45678);
	CHECK_EQ(option(fd, IPPROTO_IP, IP_TOS), 0x10);
	CHECK_EQ(option(fd, SOL_SOCKET, SO_PRIORITY), 4);
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) && linger.l_onoff == 1 &&
	      linger.l_linger == 9);
	CHECK_EQ(option(listener, SOL_SOCKET, SO_REUSEADDR), 1);
	CHECK_EQ(option(listener6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	CHECK_EQ(option(plain[1], IPPROTO_TCP, TCP_NODELAY), 0);
	CHECK_EQ(fcntl(listener, F_GETFD), FD_CLOEXEC);
}

static void check_plain(void)
{
	char buf[64];

	CHECK(recv(plain[1], buf, sizeof(buf), MSG_DONTWAIT) == 11 && !memcmp(buf, "hello there", 11));
	CHECK(recv(plain[0], buf, sizeof(buf), MSG_DONTWAIT) == 6 && !memcmp(buf, "answer", 6));
	CHECK_ERRNO(recv(plain[0], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(plain[0], "more", 4, MSG_NOSIGNAL), 4);
	CHECK(recv(plain[1], buf, sizeof(buf), 0) == 4 && !memcmp(buf, "more", 4));
	CHECK(recv(six[1], buf, sizeof(buf), MSG_DONTWAIT) == 3 && !memcmp(buf, "six", 3));
	CHECK(send(six[1], "xis", 3, MSG_NOSIGNAL) == 3 && recv(six[0], buf, sizeof(buf), 0) == 3);
}

static void check_closed(void)
{
	char buf[64];

	CHECK(recv(half[1], buf, sizeof(buf), MSG_DONTWAIT) == 4 && !memcmp(buf, "last", 4));
	CHECK_EQ(recv(half[1], buf, sizeof(buf), MSG_DONTWAIT), 0);
	CHECK_ERRNO(send(half[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK(send(half[1], "still", 5, MSG_NOSIGNAL) == 5 && recv(half[0], buf, sizeof(buf), 0) == 5);
	CHECK(recv(closed_peer, buf, sizeof(buf), MSG_DONTWAIT) == 3 && !memcmp(buf, "bye", 3));
	CHECK_EQ(recv(closed_peer, buf, sizeof(buf), MSG_DONTWAIT), 0);
}

static void check_full(void)
{
	unsigned char *content = malloc(BIG);
	size_t got = 0;
	ssize_t n;

	while (got < full_bytes && (n = recv(full[1], content + got, BIG - got, 0)) > 0)
		got += (size_t)n;
	CHECK_EQ(got, full_bytes);
	CHECK(live_same(content, got, 8));
	CHECK_ERRNO(recv(full[1], content, 1, MSG_DONTWAIT), EAGAIN);
	free(content);
}

static void child(void)
{
	char buf[8];

	live_child_ready();
	CHECK(recv(across, buf, sizeof(buf), 0) == 4 && !memcmp(buf, "ping", 4));
	CHECK_EQ(send(across, "pong", 4, 0), 4);
	live_child_end();
}

static void check_listeners(void)
{
	int ends[2] = {-1, -1};
	char buf[8];

	CHECK_EQ(option(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
	CHECK_EQ(option(listener6, SOL_SOCKET, SO_ACCEPTCONN), 1);
	if (option(listener6, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return;
	pair(listener, ends);
	CHECK(send(ends[0], "new", 3, MSG_NOSIGNAL) == 3 && recv(ends[1], buf, sizeof(buf), 0) == 3);
	pair(listener6, ends);
	CHECK(send(ends[0], "new", 3, MSG_NOSIGNAL) == 3 && recv(ends[1], buf, sizeof(buf), 0) == 3);
}

int main(void)
{
	int ends[2], between[2];
	char buf[8];

	listener = listen_on(AF_INET, 5);
	listener6 = listen_on(AF_INET6, 6);
	pair(listener, plain);
	set_options(plain[0]);
	DO(send(plain[0], "hello there", 11, 0));
	DO(send(plain[1], "answer", 6, 0));
	pair(listener6, six);
	DO(send(six[0], "six", 3, 0));
	pair(listener, full);
	fill();
	pair(listener, half);
	DO(send(half[0], "last", 4, 0));
	DO(shutdown(half[0], SHUT_WR));
	pair(listener, ends);
	DO(send(ends[0], "bye", 3, 0));
	close(ends[0]);
	closed_peer = ends[1];
	pair(listener, between);
	across = between[1];
	pid = live_fork();
	if (!pid)
		child();
	close(across);

	live_wait(sabotage);

	check_options();
	check_plain();
	check_closed();
	check_full();
	CHECK_EQ(send(between[0], "ping", 4, MSG_NOSIGNAL), 4);
	CHECK(recv(between[0], buf, sizeof(buf), 0) == 4 && !memcmp(buf, "pong", 4));
	live_reap(pid);
	CHECK_EQ(recv(between[0], buf, sizeof(buf), 0), 0);
	check_listeners();
	return live_end();
}
