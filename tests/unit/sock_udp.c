// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/udp.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/sock_world.h"

static int udp_at(int netns_fd, const char *ip, uint16_t port, bool reuse)
{
	union net_addr a;
	socklen_t len = net_addr(&a, ip, port);
	int fd = net_socket(netns_fd, a.sa.sa_family, SOCK_DGRAM);

	if (reuse)
		net_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	cr_assert_eq(bind(fd, &a.sa, len), 0, "%s", strerror(errno));
	return fd;
}

static void put(int fd, const char *ip, uint16_t port, size_t from, size_t len_bytes)
{
	union net_addr a;
	socklen_t len = net_addr(&a, ip, port);
	uint8_t p[65536];
	ssize_t n;

	for (size_t i = 0; i < len_bytes; i++)
		p[i] = net_pattern(from + i);
	for (int i = 0; (n = sendto(fd, p, len_bytes, 0, &a.sa, len)) < 0 && errno == ENETUNREACH && i < 100;
	     i++)
		usleep(20000); /* IPv6 needs a moment on a new device */
	cr_assert_eq((size_t)n, len_bytes, "%s: %s", ip, strerror(errno));
}

/* "3000 from 10.66.0.2:99" with " to IP" if the socket tells; "wrong" if the bytes are not those of the
 * pattern. */
static const char *get(int fd, size_t pattern_from)
{
	static char text[200];
	char control[128], ip[INET6_ADDRSTRLEN];
	uint8_t p[65536];
	union net_addr a;
	struct iovec iov = {p, sizeof(p)};
	struct msghdr msg = {.msg_name = &a,
			     .msg_namelen = sizeof(a),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	if (n < 0)
		return strerrorname_np(errno);
	for (ssize_t i = 0; i < n; i++)
		if (p[i] != net_pattern(pattern_from + (size_t)i))
			return "wrong";
	inet_ntop(a.sa.sa_family,
		  a.sa.sa_family == AF_INET ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr, ip,
		  sizeof(ip));
	snprintf(text, sizeof(text), "%zd from %s:%d", n, ip, ntohs(a.in.sin_port));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct in_pktinfo info;
		struct in6_pktinfo info6;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			inet_ntop(AF_INET, &info.ipi_addr, ip, sizeof(ip));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			inet_ntop(AF_INET6, &info6.ipi6_addr, ip, sizeof(ip));
		} else {
			continue;
		}
		sprintf(text + strlen(text), " to %s", ip);
	}
	return text;
}

Test(sock_udp, queue_with_sources)
{
	struct world w;
	int fds[2];

	sock_world_make(&w);
	int p4 = udp_at(w.net.peer_fd, NET_PEER, 99, false), p6 = udp_at(w.net.peer_fd, NET_PEER6, 98, false);
	int lo = udp_at(w.net.ve_fd, "127.0.0.1", 97, false);
	fds[0] = udp_at(w.net.ve_fd, "0.0.0.0", 53, false);
	fds[1] = udp_at(w.net.ve_fd, NET_VE6, 54, false);
	put(p4, NET_VE, 53, 0, 3000);
	put(lo, "127.0.0.1", 53, 5, 1);
	put(p4, NET_VE, 53, 9, 0);
	put(p4, NET_VE, 53, 7, 40001);
	put(p6, NET_VE6, 54, 1, 2001);
	put(p6, NET_VE6, 54, 2, 30000);
	usleep(50000);
	sock_world_move(&w, fds, 2);
	cr_expect_str_eq(get(fds[0], 0), "3000 from 10.66.0.2:99");
	cr_expect_str_eq(get(fds[0], 5), "1 from 127.0.0.1:97");
	cr_expect_str_eq(get(fds[0], 9), "0 from 10.66.0.2:99");
	cr_expect_str_eq(get(fds[0], 7), "40001 from 10.66.0.2:99");
	cr_expect_str_eq(get(fds[0], 0), "EAGAIN");
	cr_expect_str_eq(get(fds[1], 1), "2001 from fd66::2:98");
	cr_expect_str_eq(get(fds[1], 2), "30000 from fd66::2:98");
	put(p4, NET_VE, 53, 4, 40);
	put(fds[0], NET_PEER, 99, 6, 60);
	usleep(20000);
	cr_expect_str_eq(get(fds[0], 4), "40 from 10.66.0.2:99");
	cr_expect_str_eq(get(p4, 6), "60 from 10.66.0.1:53");
	sock_world_free(&w);
}

/* Connected, with datagrams from before that and from others. */
Test(sock_udp, connected)
{
	struct world w;
	union net_addr a;
	socklen_t len = net_addr(&a, NET_PEER, 99);
	int fds[3];

	sock_world_make(&w);
	int p1 = udp_at(w.net.peer_fd, NET_PEER, 99, false), p2 = udp_at(w.net.peer_fd, NET_PEER, 100, false);
	fds[0] = udp_at(w.net.ve_fd, NET_VE, 53, false);
	put(p2, NET_VE, 53, 0, 10);
	usleep(20000);
	cr_assert_eq(connect(fds[0], &a.sa, len), 0);
	put(p1, NET_VE, 53, 1, 11);
	fds[1] = net_socket(w.net.ve_fd, AF_INET, SOCK_DGRAM);
	fds[2] = net_socket(w.net.ve_fd, AF_INET6, SOCK_DGRAM);
	len = net_addr(&a, NET_PEER6, 5);
	cr_assert_eq(connect(fds[2], &a.sa, len), 0);
	usleep(20000);
	sock_world_move(&w, fds, 3);
	cr_expect_str_eq(get(fds[0], 0), "10 from 10.66.0.2:100");
	cr_expect_str_eq(get(fds[0], 1), "11 from 10.66.0.2:99");
	put(p2, NET_VE, 53, 0, 10);
	cr_assert_eq(send(fds[0], "", 0, 0), 0);
	usleep(20000);
	cr_expect_str_eq(get(fds[0], 0), "EAGAIN", "not from others");
	cr_expect_str_eq(get(p1, 0), "0 from 10.66.0.1:53");
	cr_expect_eq(net_port(fds[1]), 0);
	len = sizeof(a);
	cr_expect_eq(getpeername(fds[2], &a.sa, &len), 0);
	cr_expect_eq(ntohs(a.in6.sin6_port), 5);
	sock_world_free(&w);
}

/* A server on all addresses learns to which one a datagram was sent. */
Test(sock_udp, destinations)
{
	struct world w;
	int fds[3];

	sock_world_make(&w);
	int p4 = udp_at(w.net.peer_fd, NET_PEER, 99, false), p6 = udp_at(w.net.peer_fd, NET_PEER6, 98, false);
	fds[0] = udp_at(w.net.ve_fd, "0.0.0.0", 53, false);
	net_set(fds[0], IPPROTO_IP, IP_PKTINFO, 1);
	fds[1] = net_socket(w.net.ve_fd, AF_INET6, SOCK_DGRAM);
	union net_addr a;
	socklen_t len = net_addr(&a, "::", 54);
	net_set(fds[1], IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	cr_assert_eq(bind(fds[1], &a.sa, len), 0);
	fds[2] = udp_at(w.net.ve_fd, "::", 55, false);
	put(p4, NET_VE, 53, 0, 10);
	put(p6, NET_VE6, 54, 0, 20);
	put(p4, NET_VE, 54, 0, 30);
	put(p4, NET_VE, 55, 0, 40);
	put(p6, NET_VE6, 55, 0, 50);
	usleep(20000);
	sock_world_move(&w, fds, 3);
	cr_expect_str_eq(get(fds[0], 0), "10 from 10.66.0.2:99 to 10.66.0.1");
	cr_expect_str_eq(get(fds[1], 0), "20 from fd66::2:98 to fd66::1");
	cr_expect_str_eq(get(fds[1], 0), "30 from ::ffff:10.66.0.2:99 to ::ffff:10.66.0.1");
	cr_expect_str_eq(get(fds[2], 0), "40 from ::ffff:10.66.0.2:99");
	cr_expect_str_eq(get(fds[2], 0), "50 from fd66::2:98");
	sock_world_free(&w);
}

/* Sockets that share a port keep their own datagrams. */
Test(sock_udp, port_shared)
{
	enum { N = 4, DATAGRAMS = 40 };
	struct world w;
	int fds[N], total = 0, before[N] = {0};

	sock_world_make(&w);
	for (int i = 0; i < N; i++)
		fds[i] = udp_at(w.net.ve_fd, "0.0.0.0", 53, true);
	for (int i = 0; i < DATAGRAMS; i++) {
		int p = udp_at(w.net.peer_fd, NET_PEER, (uint16_t)(1000 + i), false);

		put(p, NET_VE, 53, 0, 100);
		close(p);
	}
	usleep(50000);
	net_enter(w.net.ve_fd);
	cr_assert_eq(sock_world_dump(&w, fds, N), 0, "%s", w.err.msg);
	for (int i = 0; i < N; i++)
		before[i] = (int)w.r.m.inets.at[i].queue.nr;
	cr_assert_eq(sock_world_restore(&w, fds), 0, "%s", w.err.msg);
	for (int i = 0; i < N; i++) {
		int n = 0;

		while (!strncmp(get(fds[i], 0), "100 from", 8))
			n++;
		cr_expect_eq(n, before[i]);
		total += n;
	}
	cr_expect_eq(total, DATAGRAMS);
	sock_world_free(&w);
}

/* As much as fits, in a socket whose buffer is then as it was. */
Test(sock_udp, full)
{
	struct world w;
	int fds[1], n = 0, rcvbuf;

	sock_world_make(&w);
	int p = udp_at(w.net.peer_fd, NET_PEER, 99, false);
	fds[0] = udp_at(w.net.ve_fd, NET_VE, 53, false);
	rcvbuf = net_int(fds[0], SOL_SOCKET, SO_RCVBUF);
	for (int i = 0; i < 3000; i++)
		put(p, NET_VE, 53, (size_t)i, 200);
	usleep(50000);
	cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
	size_t queued = w.r.m.inets.at[0].queue.nr;
	cr_assert_gt(queued, 50);
	cr_assert_eq(sock_world_restore(&w, fds), 0, "%s", w.err.msg);
	cr_log_info("UDP with %zu datagrams: dump %ld us, restore %ld us\n", queued, w.dump_us, w.restore_us);
	while (!strcmp(get(fds[0], (size_t)n), "200 from 10.66.0.2:99"))
		n++;
	cr_expect_eq(n, (int)queued);
	cr_expect_eq(net_int(fds[0], SOL_SOCKET, SO_RCVBUF), rcvbuf);
	cr_expect_eq(net_int(fds[0], SOL_SOCKET, 72 /* SO_BUF_LOCK */), 0);
	sock_world_free(&w);
}

Test(sock_udp, device_and_options)
{
	struct world w;
	char device[16] = "";
	socklen_t len = sizeof(device);
	int fds[1];

	sock_world_make(&w);
	int p = udp_at(w.net.peer_fd, NET_PEER, 99, false);
	fds[0] = udp_at(w.net.ve_fd, "0.0.0.0", 53, false);
	cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_BINDTODEVICE, "skv", 3), 0);
	net_set(fds[0], SOL_SOCKET, SO_BROADCAST, 1);
	net_set(fds[0], IPPROTO_IP, IP_RECVERR, 1);
	net_set(fds[0], IPPROTO_IP, IP_MULTICAST_TTL, 7);
	net_set(fds[0], IPPROTO_UDP, UDP_GRO, 1);
	put(p, NET_VE, 53, 0, 10);
	usleep(20000);
	sock_world_move(&w, fds, 1);
	cr_expect_str_eq(get(fds[0], 0), "10 from 10.66.0.2:99");
	cr_expect_eq(getsockopt(fds[0], SOL_SOCKET, SO_BINDTODEVICE, device, &len), 0);
	cr_expect_str_eq(device, "skv");
	cr_expect_eq(net_int(fds[0], SOL_SOCKET, SO_BROADCAST), 1);
	cr_expect_eq(net_int(fds[0], IPPROTO_IP, IP_RECVERR), 1);
	cr_expect_eq(net_int(fds[0], IPPROTO_IP, IP_MULTICAST_TTL), 7);
	cr_expect_eq(net_int(fds[0], IPPROTO_UDP, UDP_GRO), 1);
	sock_world_free(&w);
}

static void join(int fd, const char *ip, const char *device)
{
	struct group_req req = {.gr_interface = if_nametoindex(device)};
	union net_addr a;

	net_addr(&a, ip, 0);
	memcpy(&req.gr_group, &a, sizeof(a));
	cr_assert_eq(setsockopt(fd, a.sa.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, MCAST_JOIN_GROUP,
				&req, sizeof(req)),
		     0);
}

Test(sock_udp, multicast_groups)
{
	struct world w;
	struct group_source_req source = {0};
	union net_addr a;
	int fds[3];

	sock_world_make(&w);
	int p4 = udp_at(w.net.peer_fd, NET_PEER, 99, false), p6 = udp_at(w.net.peer_fd, NET_PEER6, 98, false);
	struct ip_mreqn out = {.imr_ifindex = (int)if_nametoindex("skp")};
	cr_assert_eq(setsockopt(p4, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)), 0);
	net_set(p6, IPPROTO_IPV6, IPV6_MULTICAST_IF, out.imr_ifindex);
	fds[0] = udp_at(w.net.ve_fd, "0.0.0.0", 5353, false);
	fds[1] = udp_at(w.net.ve_fd, "::", 5354, false);
	fds[2] = udp_at(w.net.ve_fd, "0.0.0.0", 5355, false);
	join(fds[0], "239.1.2.3", "skv");
	join(fds[0], "239.1.2.4", "skv");
	join(fds[1], "ff05::1234", "skv");
	cr_expect_str_eq(sock_world_check(&w, fds, 3), "");
	sock_world_move(&w, fds, 2);
	put(p4, "239.1.2.3", 5353, 1, 10);
	put(p4, "239.1.2.4", 5353, 2, 20);
	put(p6, "ff05::1234", 5354, 3, 30);
	usleep(50000);
	cr_expect_str_eq(get(fds[0], 1), "10 from 10.66.0.2:99");
	cr_expect_str_eq(get(fds[0], 2), "20 from 10.66.0.2:99");
	cr_expect_str_eq(get(fds[1], 3), "30 from fd66::2:98");
	net_enter(w.net.ve_fd);
	source.gsr_interface = if_nametoindex("skv");
	net_addr(&a, "239.1.2.5", 0);
	memcpy(&source.gsr_group, &a, sizeof(a));
	net_addr(&a, NET_PEER, 0);
	memcpy(&source.gsr_source, &a, sizeof(a));
	cr_assert_eq(setsockopt(fds[2], IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &source, sizeof(source)), 0);
	cr_expect(strstr(sock_world_check(&w, fds + 2, 1), "list of senders"));
	sock_world_free(&w);
}

Test(sock_udp, obstacles)
{
	struct world w;

	sock_world_make(&w);
	int fd = udp_at(w.net.ve_fd, NET_VE, 53, false);
	cr_expect_str_eq(sock_world_check(&w, &fd, 1), "");
	net_set(fd, IPPROTO_UDP, UDP_CORK, 1);
	cr_expect(strstr(sock_world_check(&w, &fd, 1), "corked"));
	cr_expect_eq(sock_world_look(&w, &fd, 1), -1);
	sock_world_free(&w);
}

Test(sock_udp, nonsense_in_the_image)
{
	for (int i = 0; i < 3; i++) {
		struct world w;
		int fds[1];

		sock_world_make(&w);
		int p = udp_at(w.net.peer_fd, NET_PEER, 99, false);
		fds[0] = udp_at(w.net.ve_fd, NET_VE, 53, false);
		put(p, NET_VE, 53, 0, 10);
		usleep(20000);
		cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
		struct sock_packet *packet = &w.r.m.inets.at[0].queue.at[0];
		switch (i) {
		case 0:
			packet->from.len_bytes = 2;
			break;
		case 1:
			free(packet->data.at);
			packet->data = (struct bytes){mem_alloc(70000), 70000};
			break;
		case 2:
			packet->to = bytes_dup("abc", 3);
			break;
		}
		cr_expect_eq(sock_world_restore(&w, fds), -1, "case %d", i);
		cr_expect(w.err.msg[0]);
		sock_world_free(&w);
	}
}
