/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that their listener has not accepted yet: TCP with data and an end, unix without data. */
#include <arpa/inet.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/live/live.h"

static int listener, client[3], unix_listener, unix_client;

static int listening(int family, const void *addr, socklen_t len)
{
	int fd = DO(socket(family, SOCK_STREAM, 0));

	DO(bind(fd, addr, len));
	DO(listen(fd, 8));
	return fd;
}

static void make_tcp(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);

	listener = listening(AF_INET, &addr, sizeof(addr));
	DO(getsockname(listener, (struct sockaddr *)&addr, &len));
	for (int i = 0; i < 3; i++) {
		client[i] = DO(socket(AF_INET, SOCK_STREAM, 0));
		DO(connect(client[i], (struct sockaddr *)&addr, sizeof(addr)));
	}
	DO(send(client[0], "a request", 9, 0));
	DO(send(client[1], "the last one", 12, 0));
	DO(shutdown(client[1], SHUT_WR));
}

static void make_unix(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "\0live-waiting"};
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof("\0live-waiting") - 1;

	unix_listener = listening(AF_UNIX, &addr, len);
	unix_client = DO(socket(AF_UNIX, SOCK_STREAM, 0));
	DO(connect(unix_client, (struct sockaddr *)&addr, len));
}

static int sabotage(int nr)
{
	char byte;

	switch (nr) {
	case 1: /* the first is lost */
		return close(DO(accept(listener, NULL, NULL)));
	case 2: /* a queue of connections that is in another order */
		close(DO(accept(listener, NULL, NULL)));
		return send(client[2], "a request", 9, 0) != 9;
	case 3:
		return send(client[0], "x", 1, 0) != 1;
	case 4:
		return close(DO(accept(unix_listener, NULL, NULL)));
	case 5:
		return shutdown(client[2], SHUT_WR) || recv(client[2], &byte, 1, MSG_DONTWAIT) >= 0;
	}
	return -1;
}

static int next(int from)
{
	struct pollfd p = {.fd = from, .events = POLLIN};

	CHECK(poll(&p, 1, 5000) == 1);
	return DO(accept(from, NULL, NULL));
}

static void check_echo(int a, int b)
{
	char buf[16];

	CHECK(send(a, "there", 5, MSG_NOSIGNAL) == 5 && recv(b, buf, sizeof(buf), 0) == 5);
	CHECK(send(b, "back", 4, MSG_NOSIGNAL) == 4 && recv(a, buf, sizeof(buf), 0) == 4);
}

int main(void)
{
	char buf[64];
	int fd;

	make_tcp();
	make_unix();

	live_wait(sabotage);

	fd = next(listener);
	CHECK(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 9 && !memcmp(buf, "a request", 9));
	check_echo(fd, client[0]);
	fd = next(listener);
	CHECK(recv(fd, buf, sizeof(buf), 0) == 12 && !memcmp(buf, "the last one", 12));
	CHECK_EQ(recv(fd, buf, sizeof(buf), 0), 0);
	CHECK(send(fd, "answer", 6, MSG_NOSIGNAL) == 6 && recv(client[1], buf, sizeof(buf), 0) == 6);
	fd = next(listener);
	CHECK_ERRNO(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	check_echo(fd, client[2]);
	check_echo(next(unix_listener), unix_client);
	return live_end();
}
