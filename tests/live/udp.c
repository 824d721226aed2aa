/* SPDX-License-Identifier: GPL-2.0-only */
/* UDP: queued datagrams with their senders, connected and unconnected sockets and options. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "tests/live/live.h"

static int receiver, sender, connected, six[2], quiet;
static struct sockaddr_in receiver_addr, sender_addr;

static int bound(struct sockaddr_in *ret)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(*ret);
	int fd = DO(socket(AF_INET, SOCK_DGRAM, 0));

	DO(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	DO(getsockname(fd, (struct sockaddr *)ret, &len));
	return fd;
}

static int sabotage(int nr)
{
	char byte;

	switch (nr) {
	case 1:
		return recv(receiver, &byte, 1, 0) != 1;
	case 2:
		return connect(connected, (struct sockaddr *)&sender_addr, sizeof(sender_addr));
	case 3:
		return setsockopt(receiver, SOL_SOCKET, SO_BROADCAST, &(int){0}, sizeof(int));
	case 4:
		return close(six[1]) || dup2(quiet, six[1]) < 0;
	case 5:
		return sendto(sender, "x", 1, 0, (struct sockaddr *)&receiver_addr, sizeof(receiver_addr)) !=
		       1;
	case 6:
		return dup2(DO(socket(AF_INET, SOCK_DGRAM, 0)), sender) < 0;
	}
	return -1;
}

static void make_six(void)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	socklen_t len = sizeof(addr);

	six[0] = DO(socket(AF_INET6, SOCK_DGRAM, 0));
	DO(bind(six[0], (struct sockaddr *)&addr, sizeof(addr)));
	DO(getsockname(six[0], (struct sockaddr *)&addr, &len));
	six[1] = DO(socket(AF_INET6, SOCK_DGRAM, 0));
	DO(connect(six[1], (struct sockaddr *)&addr, sizeof(addr)));
	DO(send(six[1], "sixth sense", 11, 0));
}

static void check_queue(void)
{
	static const char *const texts[] = {"one", "", "three three three"};
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[64];

	for (size_t i = 0; i < 3; i++) {
		ssize_t n =
			recvfrom(receiver, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len);

		CHECK_EQ(n, strlen(texts[i]));
		CHECK(n >= 0 && !memcmp(buf, texts[i], strlen(texts[i])));
		CHECK(from.sin_port == sender_addr.sin_port &&
		      from.sin_addr.s_addr == sender_addr.sin_addr.s_addr);
	}
	CHECK_ERRNO(recv(receiver, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

int main(void)
{
	struct sockaddr_in addr = {0};
	socklen_t len = sizeof(addr);
	int value = 0;
	char buf[64];

	receiver = bound(&receiver_addr);
	sender = bound(&sender_addr);
	DO(setsockopt(receiver, SOL_SOCKET, SO_BROADCAST, &(int){1}, sizeof(int)));
	DO(setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &(int){50000}, sizeof(int)));
	DO(sendto(sender, "one", 3, 0, (struct sockaddr *)&receiver_addr, sizeof(receiver_addr)));
	DO(sendto(sender, "", 0, 0, (struct sockaddr *)&receiver_addr, sizeof(receiver_addr)));
	DO(sendto(sender, "three three three", 17, 0, (struct sockaddr *)&receiver_addr,
		  sizeof(receiver_addr)));
	connected = DO(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	DO(connect(connected, (struct sockaddr *)&receiver_addr, sizeof(receiver_addr)));
	quiet = DO(socket(AF_INET, SOCK_DGRAM, 0)); /* neither bound nor connected */
	make_six();

	live_wait(sabotage);

	check_queue();
	CHECK(!getpeername(connected, (struct sockaddr *)&addr, &len) &&
	      addr.sin_port == receiver_addr.sin_port);
	CHECK_EQ(fcntl(connected, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK(send(connected, "more", 4, 0) == 4 && recv(receiver, buf, sizeof(buf), 0) == 4);
	len = sizeof(value);
	CHECK(!getsockopt(receiver, SOL_SOCKET, SO_BROADCAST, &value, &len) && value == 1);
	CHECK(!getsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &value, &len) && value == 100000);
	CHECK(sendto(receiver, "back", 4, 0, (struct sockaddr *)&sender_addr, sizeof(sender_addr)) == 4);
	CHECK(poll(&(struct pollfd){.fd = sender, .events = POLLIN}, 1, 500) == 1 &&
	      recv(sender, buf, sizeof(buf), 0) == 4);
	CHECK(recv(six[0], buf, sizeof(buf), MSG_DONTWAIT) == 11 && !memcmp(buf, "sixth sense", 11));
	CHECK(send(six[1], "again", 5, 0) == 5);
	CHECK(poll(&(struct pollfd){.fd = six[0], .events = POLLIN}, 1, 500) == 1);
	len = sizeof(addr);
	CHECK(!getsockname(quiet, (struct sockaddr *)&addr, &len) && addr.sin_port == 0);
	return live_end();
}
