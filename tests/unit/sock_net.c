// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/sock_net.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int new_netns(void)
{
	int fd;

	cr_assert_eq(unshare(CLONE_NEWNET), 0, "unshare: %s", strerror(errno));
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

static void run(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	cr_assert_eq(system(cmd), 0, "%s", cmd);
}

void net_make(struct net *net)
{
	net->peer_fd = new_netns();
	net->ve_fd = new_netns();
	run("ip link set lo up; ip link add skv type veth peer name skp netns /proc/%d/fd/%d;"
	    "ip addr add " NET_VE "/24 dev skv; ip addr add " NET_VE6 "/64 dev skv nodad; ip link set skv up",
	    getpid(), net->peer_fd);
	net_enter(net->peer_fd);
	run("ip link set lo up; ip addr add " NET_PEER "/24 dev skp; ip addr add " NET_PEER6
	    "/64 dev skp nodad;"
	    "ip link set skp up");
	net_enter(net->ve_fd);
}

void net_enter(int netns_fd)
{
	cr_assert_eq(setns(netns_fd, CLONE_NEWNET), 0);
}

int net_socket(int netns_fd, int family, int type)
{
	int fd;

	net_enter(netns_fd);
	fd = socket(family, type, 0);
	cr_assert_geq(fd, 0);
	return fd;
}

socklen_t net_addr(union net_addr *a, const char *ip, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (strchr(ip, ':')) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(port);
		cr_assert_eq(inet_pton(AF_INET6, ip, &a->in6.sin6_addr), 1);
		return sizeof(a->in6);
	}
	a->in.sin_family = AF_INET;
	a->in.sin_port = htons(port);
	cr_assert_eq(inet_pton(AF_INET, ip, &a->in.sin_addr), 1);
	return sizeof(a->in);
}

int net_listen(int netns_fd, const char *ip, uint16_t port, int backlog)
{
	union net_addr a;
	socklen_t len = net_addr(&a, ip, port);
	int fd = net_socket(netns_fd, a.sa.sa_family, SOCK_STREAM);

	net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	cr_assert_eq(bind(fd, &a.sa, len), 0, "bind: %s", strerror(errno));
	cr_assert_eq(listen(fd, backlog), 0);
	return fd;
}

int net_connect(int netns_fd, const char *ip, uint16_t port)
{
	union net_addr a;
	socklen_t len = net_addr(&a, ip, port);
	int fd = net_socket(netns_fd, a.sa.sa_family, SOCK_STREAM);

	if (!connect(fd, &a.sa, len))
		return fd;
	close(fd);
	return -1;
}

uint16_t net_port(int fd)
{
	union net_addr a;
	socklen_t len = sizeof(a);

	cr_assert_eq(getsockname(fd, &a.sa, &len), 0);
	return ntohs(a.in.sin_port);
}

bool net_read(int fd, void *p, size_t len_bytes)
{
	int64_t end_us = net_now_us() + 10000000;

	for (size_t at = 0; at < len_bytes;) {
		struct pollfd poll_fd = {fd, POLLIN, 0};
		ssize_t n;

		if (net_now_us() > end_us || poll(&poll_fd, 1, 10000) <= 0)
			return false;
		n = recv(fd, (char *)p + at, len_bytes - at, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN))
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

uint8_t net_pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 251 + i / 65521);
}

bool net_read_pattern(int fd, size_t from, size_t len_bytes)
{
	uint8_t *p = malloc(len_bytes + 1);
	bool good = net_read(fd, p, len_bytes);

	for (size_t i = 0; good && i < len_bytes; i++)
		good = p[i] == net_pattern(from + i);
	free(p);
	return good;
}

size_t net_write_pattern(int fd, size_t from, size_t len_bytes)
{
	uint8_t *p = malloc(len_bytes + 1);
	size_t at = 0;

	for (size_t i = 0; i < len_bytes; i++)
		p[i] = net_pattern(from + i);
	while (at < len_bytes) {
		ssize_t n = send(fd, p + at, len_bytes - at, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	free(p);
	return at;
}

int64_t net_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

int net_int(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	cr_assert_eq(getsockopt(fd, level, name, &value, &len), 0, "getsockopt %d %d: %s", level, name,
		     strerror(errno));
	return value;
}

void net_set(int fd, int level, int name, int value)
{
	cr_assert_eq(setsockopt(fd, level, name, &value, sizeof(value)), 0, "setsockopt %d %d: %s", level,
		     name, strerror(errno));
}

void net_deaf(int netns_fd, bool on)
{
	net_enter(netns_fd);
	if (on)
		run("nft 'add table inet t; add chain inet t i {type filter hook input priority 0; policy "
		    "drop;}'");
	else
		run("nft delete table inet t");
}
