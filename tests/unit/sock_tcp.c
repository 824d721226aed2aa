// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "facts/kernel.h"
#include "tests/unit/sock_world.h"

struct pair {
	int listener, ve, peer;
};

static struct pair connect_pair(struct world *w, const char *ip, uint16_t port, int peer_netns)
{
	struct pair p = {.listener = net_listen(w->net.ve_fd, ip, port, 5)};

	p.peer = net_connect(peer_netns, ip, port);
	cr_assert_geq(p.peer, 0);
	p.ve = accept(p.listener, NULL, NULL);
	cr_assert_geq(p.ve, 0);
	return p;
}

static int tcp_state(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_state;
}

static void echo(int a, int b, size_t from)
{
	cr_expect_eq(net_write_pattern(a, from, 5000), 5000);
	cr_expect(net_read_pattern(b, from, 5000), "there");
	cr_expect_eq(net_write_pattern(b, from, 5000), 5000);
	cr_expect(net_read_pattern(a, from, 5000), "and back");
}

static size_t fill(int fd, int reader_fd, size_t len_bytes)
{
	size_t n;

	net_set(reader_fd, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	net_set(fd, SOL_SOCKET, SO_SNDBUF, 1 << 20);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	n = net_write_pattern(fd, 0, len_bytes);
	fcntl(fd, F_SETFL, 0);
	return n;
}

static const char *const far[][2] = {{NET_VE, NULL}, {NET_VE6, NULL}};

/* 300 KB in the receive queue, more in the send queue than the other end takes: sent, unsent and unread. */
Test(sock_tcp, queues_in_both_directions, .timeout = 60)
{
	for (size_t i = 0; i < 2; i++) {
		struct world w;

		sock_world_make(&w);
		struct pair p = connect_pair(&w, far[i][0], 80, w.net.peer_fd);
		int fds[] = {p.ve, p.listener};
		size_t in = fill(p.peer, p.ve, 300000), out = fill(p.ve, p.peer, 3000000);
		int unsent;

		cr_assert_eq(in, 300000);
		usleep(100000);
		cr_assert_eq(ioctl(p.ve, SIOCOUTQNSD, &unsent), 0);
		cr_assert_gt(unsent, 10000);
		sock_world_move(&w, fds, 2);
		cr_expect(net_read_pattern(fds[0], 0, in), "what waited in the VE");
		cr_expect(net_read_pattern(p.peer, 0, out), "%zu bytes to the peer", out);
		echo(fds[0], p.peer, out);
		int again = net_connect(w.net.peer_fd, far[i][0], 80);
		cr_expect_geq(again, 0, "the listener listens");
		cr_log_info("TCP with %zu + %zu bytes: dump %ld us, restore %ld us\n", in, out, w.dump_us,
			    w.restore_us);
		sock_world_free(&w);
	}
}

/* Data that was sent, but lost: in the send queue without an acknowledgement. */
Test(sock_tcp, sent_and_not_acknowledged, .timeout = 60)
{
	struct world w;
	int fds[2], outq;

	sock_world_make(&w);
	struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
	net_deaf(w.net.peer_fd, true);
	cr_assert_eq(net_write_pattern(p.ve, 0, 8000), 8000);
	cr_assert_eq(ioctl(p.ve, SIOCOUTQ, &outq), 0);
	cr_assert_eq(outq, 8000);
	fds[0] = p.ve;
	cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
	cr_expect_eq(w.r.m.inets.at[0].send_queue.len_bytes, 8000);
	cr_expect_eq(w.r.m.inets.at[0].unsent_bytes, 0);
	net_deaf(w.net.peer_fd, false);
	net_enter(w.net.ve_fd);
	cr_assert_eq(sock_world_restore(&w, fds), 0, "%s", w.err.msg);
	cr_expect(net_read_pattern(p.peer, 0, 8000));
	echo(fds[0], p.peer, 8000);
	sock_world_free(&w);
}

/* What the peer sends while the VE is away comes by retransmission. */
Test(sock_tcp, peer_sends_meanwhile, .timeout = 60)
{
	struct world w;
	int fds[1];

	sock_world_make(&w);
	struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
	fds[0] = p.ve;
	cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
	cr_assert_eq(net_write_pattern(p.peer, 0, 30000), 30000);
	usleep(50000);
	cr_assert_eq(sock_world_restore(&w, fds), 0, "%s", w.err.msg);
	cr_expect(net_read_pattern(fds[0], 0, 30000));
	echo(fds[0], p.peer, 30000);
	sock_world_free(&w);
}

Test(sock_tcp, both_ends_inside, .timeout = 60)
{
	const char *const ips[] = {"127.0.0.1", "::1"};

	for (size_t i = 0; i < 2; i++) {
		struct world w;

		sock_world_make(&w);
		struct pair p = connect_pair(&w, ips[i], 80, w.net.ve_fd);
		int fds[] = {p.ve, p.peer, p.listener};

		cr_assert_eq(net_write_pattern(p.ve, 0, 40000), 40000);
		cr_assert_eq(net_write_pattern(p.peer, 0, 50000), 50000);
		usleep(50000);
		sock_world_move(&w, fds, 3);
		cr_expect(net_read_pattern(fds[0], 0, 50000));
		cr_expect(net_read_pattern(fds[1], 0, 40000));
		echo(fds[0], fds[1], 50000);
		sock_world_free(&w);
	}
}

/* An IPv6 socket that is used by IPv4. */
Test(sock_tcp, mapped, .timeout = 60)
{
	struct world w;
	int fds[2];

	sock_world_make(&w);
	struct pair p = {.listener = net_listen(w.net.ve_fd, "::", 80, 5)};
	p.peer = net_connect(w.net.peer_fd, NET_VE, 80);
	p.ve = accept(p.listener, NULL, NULL);
	fds[0] = p.ve;
	fds[1] = p.listener;
	cr_assert_eq(net_write_pattern(p.peer, 0, 5000), 5000);
	cr_assert_eq(shutdown(p.peer, SHUT_WR), 0);
	usleep(50000);
	sock_world_move(&w, fds, 2);
	cr_expect(net_read_pattern(fds[0], 0, 5000));
	cr_expect_eq(recv(fds[0], &(char){0}, 1, MSG_DONTWAIT), 0);
	cr_expect_eq(net_write_pattern(fds[0], 0, 5000), 5000);
	cr_expect(net_read_pattern(p.peer, 0, 5000));
	cr_expect_geq(net_connect(w.net.peer_fd, NET_VE6, 80), 0);
	cr_expect_geq(net_connect(w.net.peer_fd, NET_VE, 80), 0);
	sock_world_free(&w);
}

static bool at_end(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	char byte;

	return poll(&p, 1, 5000) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* The peer has finished; the VE reads what is left and the end, and can still write. */
Test(sock_tcp, close_wait, .timeout = 60)
{
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		int fds[1];

		sock_world_make(&w);
		struct pair p = connect_pair(&w, far[i][0], 80, w.net.peer_fd);
		cr_assert_eq(net_write_pattern(p.peer, 0, 7000), 7000);
		shutdown(p.peer, SHUT_WR);
		usleep(50000);
		cr_assert_eq(tcp_state(p.ve), TCP_CLOSE_WAIT);
		fds[0] = p.ve;
		sock_world_move(&w, fds, 1);
		cr_expect_eq(tcp_state(fds[0]), TCP_CLOSE_WAIT);
		cr_expect(net_read_pattern(fds[0], 0, 7000));
		cr_expect(at_end(fds[0]));
		cr_expect_eq(net_write_pattern(fds[0], 0, 9000), 9000);
		cr_expect(net_read_pattern(p.peer, 0, 9000));
		close(fds[0]);
		cr_expect(at_end(p.peer));
		sock_world_free(&w);
	}
}

Test(sock_tcp, fin_wait2, .timeout = 60)
{
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		int fds[1];

		sock_world_make(&w);
		struct pair p = connect_pair(&w, far[i][0], 80, w.net.peer_fd);
		shutdown(p.ve, SHUT_WR);
		usleep(50000);
		cr_assert_eq(tcp_state(p.ve), TCP_FIN_WAIT2);
		fds[0] = p.ve;
		sock_world_move(&w, fds, 1);
		cr_expect_eq(tcp_state(fds[0]), TCP_FIN_WAIT2);
		cr_expect(at_end(p.peer));
		cr_expect_eq(net_write_pattern(p.peer, 0, 9000), 9000);
		cr_expect(net_read_pattern(fds[0], 0, 9000));
		shutdown(p.peer, SHUT_WR);
		cr_expect(at_end(fds[0]));
		sock_world_free(&w);
	}
}

/* A FIN that is not acknowledged, sent or behind data that the peer does not take. */
Test(sock_tcp, fin_wait1, .timeout = 60)
{
	for (int full = 0; full < 2; full++) {
		struct world w;
		int fds[1];
		size_t out;

		sock_world_make(&w);
		struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
		if (full) {
			out = fill(p.ve, p.peer, 3000000);
		} else {
			net_deaf(w.net.peer_fd, true);
			out = net_write_pattern(p.ve, 0, 3000);
		}
		shutdown(p.ve, SHUT_WR);
		usleep(50000);
		cr_assert_eq(tcp_state(p.ve), TCP_FIN_WAIT1);
		fds[0] = p.ve;
		cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
		cr_expect_eq(w.r.m.inets.at[0].fin_unsent, full);
		if (!full)
			net_deaf(w.net.peer_fd, false);
		net_enter(w.net.ve_fd);
		cr_assert_eq(sock_world_restore(&w, fds), 0, "%s", w.err.msg);
		cr_expect_eq(tcp_state(fds[0]), TCP_FIN_WAIT1);
		cr_expect(net_read_pattern(p.peer, 0, out));
		cr_expect(at_end(p.peer));
		cr_expect_eq(net_write_pattern(p.peer, 0, 9000), 9000);
		cr_expect(net_read_pattern(fds[0], 0, 9000));
		sock_world_free(&w);
	}
}

/* Both have finished, ours is not acknowledged: first the peer (LAST_ACK), or both at once (CLOSING). */
Test(sock_tcp, last_ack_and_closing, .timeout = 60)
{
	for (int closing = 0; closing < 2; closing++) {
		struct world w;
		int fds[1];

		sock_world_make(&w);
		struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
		cr_assert_eq(net_write_pattern(p.peer, 0, 1000), 1000);
		if (!closing)
			shutdown(p.peer, SHUT_WR);
		usleep(50000);
		/* what the peer sends arrives, what the VE sends does not */
		cr_assert_eq(system("nft 'add table inet t; add chain inet t o {type filter hook output "
				    "priority 0; policy drop;}'"),
			     0);
		cr_assert_eq(net_write_pattern(p.ve, 0, 1000), 1000);
		shutdown(p.ve, SHUT_WR);
		if (closing)
			shutdown(p.peer, SHUT_WR);
		usleep(50000);
		fds[0] = p.ve;
		cr_assert_eq(tcp_state(p.ve), closing ? TCP_FIN_WAIT1 : TCP_LAST_ACK);
		if (closing) { /* the FIN of the VE did not go out: that it was sent comes with a
				  retransmission */
			cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
			w.r.m.inets.at[0].state = TCP_CLOSING;
			w.r.m.inets.at[0].fin_received = true;
			w.r.m.inets.at[0].fin_unsent = false;
			w.r.m.inets.at[0].unsent_bytes = 0;
		} else {
			cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
		}
		cr_assert_eq(system("nft delete table inet t"), 0);
		cr_assert_eq(sock_world_restore(&w, fds), 0, "%s", w.err.msg);
		cr_expect(net_read_pattern(fds[0], 0, 1000));
		cr_expect(at_end(fds[0]));
		cr_expect(net_read_pattern(p.peer, 0, 1000));
		cr_expect(at_end(p.peer));
		sock_world_free(&w);
	}
}

/* The connection was reset, its owner has not looked yet. */
Test(sock_tcp, dead, .timeout = 60)
{
	for (int seen = 0; seen < 2; seen++) {
		struct world w;
		struct linger at_once = {1, 0};
		int fds[1];

		sock_world_make(&w);
		struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
		cr_assert_eq(net_write_pattern(p.peer, 0, 1000), 1000);
		usleep(20000);
		setsockopt(p.peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(p.peer);
		usleep(20000);
		cr_assert_eq(tcp_state(p.ve), TCP_CLOSE);
		if (seen)
			cr_expect_eq(net_int(p.ve, SOL_SOCKET, SO_ERROR), ECONNRESET);
		fds[0] = p.ve;
		sock_world_move(&w, fds, 1);
		cr_expect_eq(tcp_state(fds[0]), TCP_CLOSE);
		cr_expect_eq(net_int(fds[0], SOL_SOCKET, SO_ERROR), seen ? 0 : ECONNRESET);
		cr_expect_eq(send(fds[0], "x", 1, MSG_NOSIGNAL), -1);
		cr_expect(net_read_pattern(fds[0], 0, 1000));
		cr_expect(at_end(fds[0]));
		sock_world_free(&w);
	}
}

Test(sock_tcp, connecting, .timeout = 60)
{
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		const char *to = i ? NET_PEER6 : NET_PEER;
		union net_addr a;
		socklen_t len = net_addr(&a, to, 80);
		int fds[1];

		sock_world_make(&w);
		fds[0] = net_socket(w.net.ve_fd, a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK);
		net_deaf(w.net.peer_fd, true);
		net_enter(w.net.ve_fd);
		cr_assert_eq(connect(fds[0], &a.sa, len), -1);
		cr_assert_eq(tcp_state(fds[0]), TCP_SYN_SENT);
		cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
		net_deaf(w.net.peer_fd, false);
		int listener = net_listen(w.net.peer_fd, to, 80, 5);
		net_enter(w.net.ve_fd);
		cr_assert_eq(sock_world_restore(&w, fds), 0, "%s", w.err.msg);
		cr_expect(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
		int peer = accept(listener, NULL, NULL);
		cr_expect_geq(peer, 0);
		fcntl(fds[0], F_SETFL, 0);
		echo(fds[0], peer, 0);
		sock_world_free(&w);
	}
}

/* The VE goes on after a dump: nothing in its sockets has changed. */
Test(sock_tcp, dump_and_go_on, .timeout = 60)
{
	struct world w;

	sock_world_make(&w);
	struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
	int fds[] = {p.ve, p.listener};
	cr_assert_eq(net_write_pattern(p.ve, 0, 3000), 3000);
	cr_assert_eq(net_write_pattern(p.peer, 0, 3000), 3000);
	usleep(20000);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(sock_world_look(&w, fds, 2), 0, "%s", w.err.msg);
	cr_expect_eq(net_int(p.ve, SOL_SOCKET, SO_REUSEADDR), 1);
	cr_expect_eq(net_int(p.ve, IPPROTO_TCP, TCP_REPAIR), 0);
	cr_expect(net_read_pattern(p.ve, 0, 3000));
	cr_expect(net_read_pattern(p.peer, 0, 3000));
	echo(p.ve, p.peer, 3000);
	sock_world_free(&w);
}

/* Listeners of all sorts on one port, and connections to them. */
Test(sock_tcp, ports_shared, .timeout = 60)
{
	struct world w;
	union net_addr a;
	socklen_t len = net_addr(&a, "0.0.0.0", 81);
	int fds[8], n = 0;

	sock_world_make(&w);
	struct pair p =
		connect_pair(&w, NET_VE, 80, w.net.peer_fd); /* the connection comes first in the dump */
	fds[n++] = p.ve;
	fds[n++] = p.listener;
	for (int i = 0; i < 3; i++) {
		int fd = net_socket(w.net.ve_fd, AF_INET, SOCK_STREAM);

		net_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		cr_assert_eq(bind(fd, &a.sa, len), 0);
		cr_assert_eq(listen(fd, 100 + i), 0);
		fds[n++] = fd;
	}
	int bound = net_socket(w.net.ve_fd, AF_INET, SOCK_STREAM);
	len = net_addr(&a, NET_VE, 82);
	cr_assert_eq(bind(bound, &a.sa, len), 0);
	fds[n++] = bound;
	fds[n++] = net_socket(w.net.ve_fd, AF_INET6, SOCK_STREAM);
	sock_world_move(&w, fds, (size_t)n);
	echo(fds[0], p.peer, 0);
	for (int i = 2; i < 5; i++) {
		struct tcp_info info;

		len = sizeof(info);
		cr_assert_eq(getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
		cr_expect_eq(info.tcpi_state, TCP_LISTEN);
		cr_expect_eq(info.tcpi_sacked, 98 + (unsigned)i, "backlog");
		cr_expect_eq(net_int(fds[i], SOL_SOCKET, SO_REUSEPORT), 1);
	}
	cr_expect_eq(net_port(fds[5]), 82);
	cr_expect_eq(net_port(fds[6]), 0);
	cr_expect_geq(net_connect(w.net.peer_fd, NET_VE, 81), 0);
	/* a program of the VE joins the group later: same owner */
	int more = net_socket(w.net.ve_fd, AF_INET, SOCK_STREAM);
	net_set(more, SOL_SOCKET, SO_REUSEPORT, 1);
	len = net_addr(&a, "0.0.0.0", 81);
	cr_expect_eq(bind(more, &a.sa, len), 0, "%s", strerror(errno));
	sock_world_free(&w);
}

static int accept_now(int listener)
{
	struct pollfd p = {listener, POLLIN, 0};

	return poll(&p, 1, 2000) == 1 ? accept(listener, NULL, NULL) : -1;
}

/* Connections that nobody has accepted, with data, with an end, with nothing; moved, or put back when the VE
 * goes on. */
Test(sock_tcp, accept_queue, .timeout = 60)
{
	static const char *const bound[][2] = {{NET_VE, NET_VE}, {NET_VE6, NET_VE6}, {"::", NET_VE}};

	if (!kernel_has_function(KERNEL_ACCEPT_QUEUE))
		cr_skip_test("this kernel cannot (Linux 6.9)");
	for (int i = 0; i < 6; i++) {
		const char *ip = bound[i / 2][0], *to = bound[i / 2][1];
		struct world w;
		int peers[3], fds[3], listener;

		sock_world_make(&w);
		listener = net_listen(w.net.ve_fd, ip, 80, 5);
		for (int k = 0; k < 3; k++)
			peers[k] = net_connect(w.net.peer_fd, to, 80);
		cr_assert_eq(net_write_pattern(peers[0], 0, 50000), 50000);
		cr_assert_eq(net_write_pattern(peers[1], 0, 300), 300);
		shutdown(peers[1], SHUT_WR);
		usleep(50000);
		cr_expect_str_eq(sock_world_check(&w, &listener, 1), "");
		if (i % 2) {
			sock_world_move(&w, &listener, 1);
			if (i == 1)
				cr_log_info("TCP accept queue of 3: dump %ld us, restore %ld us\n", w.dump_us,
					    w.restore_us);
		} else {
			cr_expect_eq(sock_world_look(&w, &listener, 1), 0, "%s", w.err.msg);
		}
		for (int k = 0; k < 3; k++) {
			fds[k] = accept_now(listener);
			cr_assert_geq(fds[k], 0, "case %d, connection %d", i, k);
		}
		cr_expect(net_read_pattern(fds[0], 0, 50000));
		cr_expect(net_read_pattern(fds[1], 0, 300));
		cr_expect(at_end(fds[1]));
		echo(fds[0], peers[0], 50000);
		echo(fds[2], peers[2], 0);
		cr_expect_eq(net_write_pattern(fds[1], 0, 70000), 70000);
		cr_expect(net_read_pattern(peers[1], 0, 70000));
		cr_expect_geq(net_connect(w.net.peer_fd, to, 80), 0);
		sock_world_free(&w);
	}
}

Test(sock_tcp, obstacles)
{
	struct world w;

	sock_world_make(&w);
	struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
	cr_assert_eq(strcmp(sock_world_check(&w, &p.ve, 1), ""), 0);
	cr_assert_geq(net_connect(w.net.peer_fd, NET_VE, 80), 0);
	usleep(20000);
	if (!kernel_has_function(KERNEL_ACCEPT_QUEUE))
		cr_expect(strstr(sock_world_check(&w, &p.listener, 1), "1 connections not accepted"));
	int fd = net_socket(w.net.peer_fd, AF_INET, SOCK_STREAM);
	cr_expect(strstr(sock_world_check(&w, &fd, 1), "another network namespace"));
	net_enter(w.net.ve_fd);
	fd = socket(AF_NETLINK, SOCK_RAW, 0);
	cr_expect(strstr(sock_world_check(&w, &fd, 1), "netlink socket"));
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	cr_expect(strstr(sock_world_check(&w, &fd, 1), "raw IP socket"));
	fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	if (fd >= 0)
		cr_expect(strstr(sock_world_check(&w, &fd, 1), "multipath TCP socket"));
	sock_world_free(&w);
}

/* A hostile image: refused, not believed. */
Test(sock_tcp, nonsense_in_the_image)
{
	struct world w;
	int fds[1];

	for (int i = 0; i < 6; i++) {
		sock_world_make(&w);
		struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
		fds[0] = p.ve;
		cr_assert_eq(sock_world_dump(&w, fds, 1), 0, "%s", w.err.msg);
		struct inet_obj *obj = &w.r.m.inets.at[0];
		switch (i) {
		case 0:
			obj->unsent_bytes = 5;
			break;
		case 1:
			obj->src.len_bytes = 3;
			break;
		case 2:
			obj->state = 12;
			break;
		case 3:
			obj->snd_wnd = 0xffffffff;
			break;
		case 4:
			obj->snd_wscale = 200;
			break;
		case 5:
			vec_push(&obj->options, ((struct sockopt_obj){1, 12, bytes_dup("xx", 2)}));
			break;
		}
		cr_expect_eq(sock_world_restore(&w, fds), -1, "case %d", i);
		cr_expect(w.err.msg[0]);
		sock_world_free(&w);
	}
}

Test(sock_tcp, options, .timeout = 60)
{
	static const struct {
		int level, name, value;
	} opts[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{SOL_SOCKET, SO_OOBINLINE, 1},
		{SOL_SOCKET, SO_PRIORITY, 3},
		{SOL_SOCKET, SO_MARK, 77},
		{SOL_SOCKET, SO_RCVLOWAT, 3},
		{IPPROTO_TCP, TCP_NODELAY, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 33},
		{IPPROTO_TCP, TCP_KEEPINTVL, 44},
		{IPPROTO_TCP, TCP_KEEPCNT, 5},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, 55000},
		{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384},
		{IPPROTO_IP, IP_TOS, 0x10},
		{IPPROTO_IP, IP_TTL, 9},
		{IPPROTO_TCP, TCP_SYNCNT, 4},
		{IPPROTO_TCP, TCP_LINGER2, 12},
		{SOL_SOCKET, SO_TIMESTAMP, 1},
		{IPPROTO_TCP, TCP_CORK, 1},
	};
	struct world w;
	struct timeval tv = {3, 500000}, now;
	struct linger linger = {1, 7}, linger_now;
	socklen_t len;
	int fds[2], before[sizeof(opts) / sizeof(*opts)], sndbuf, rcvbuf;
	char name[16] = "";

	sock_world_make(&w);
	struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
	for (size_t i = 0; i < sizeof(opts) / sizeof(*opts); i++)
		net_set(p.ve, opts[i].level, opts[i].name, opts[i].value);
	for (size_t i = 0; i < sizeof(opts) / sizeof(*opts); i++) /* some set others */
		before[i] = net_int(p.ve, opts[i].level, opts[i].name);
	setsockopt(p.ve, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(p.ve, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	net_set(p.ve, SOL_SOCKET, SO_SNDBUF, 50000);
	sndbuf = net_int(p.ve, SOL_SOCKET, SO_SNDBUF);
	rcvbuf = net_int(p.ve, SOL_SOCKET, SO_RCVBUF);
	cr_assert_eq(setsockopt(p.ve, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	net_set(p.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	int defer = net_int(p.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT);
	fds[0] = p.ve;
	fds[1] = p.listener;
	sock_world_move(&w, fds, 2);
	for (size_t i = 0; i < sizeof(opts) / sizeof(*opts); i++)
		cr_expect_eq(net_int(fds[0], opts[i].level, opts[i].name), before[i], "option %d of level %d",
			     opts[i].name, opts[i].level);
	len = sizeof(now);
	getsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &now, &len);
	cr_expect(now.tv_sec == 3 && now.tv_usec == 500000);
	len = sizeof(linger_now);
	getsockopt(fds[0], SOL_SOCKET, SO_LINGER, &linger_now, &len);
	cr_expect(linger_now.l_onoff == 1 && linger_now.l_linger == 7);
	len = sizeof(name);
	getsockopt(fds[0], IPPROTO_TCP, TCP_CONGESTION, name, &len);
	cr_expect_str_eq(name, "reno");
	cr_expect_eq(net_int(fds[0], SOL_SOCKET, SO_SNDBUF), sndbuf);
	cr_expect_eq(net_int(fds[0], SOL_SOCKET, SO_RCVBUF), rcvbuf);
	cr_expect_eq(net_int(fds[0], SOL_SOCKET, 72 /* SO_BUF_LOCK */), 1);
	cr_expect_eq(net_int(fds[0], SOL_SOCKET, SO_REUSEADDR), 1);
	cr_expect_eq(net_int(fds[1], SOL_SOCKET, 72), 0);
	cr_expect_eq(net_int(fds[1], IPPROTO_TCP, TCP_DEFER_ACCEPT), defer);
	sock_world_free(&w);
}

/* Restored sockets belong to the VE's cgroup, not to that of the engine. */
Test(sock_tcp, cgroup)
{
	char dir[64], command[160];
	struct world w;

	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/unified/sk-tcp-%d", getpid());
	if (mkdir(dir, 0755))
		cr_skip_test("no cgroup v2 at /sys/fs/cgroup/unified");
	sock_world_make(&w);
	struct pair p = connect_pair(&w, NET_VE, 80, w.net.peer_fd);
	w.r.run.cgroup_fd = open(dir, O_RDONLY | O_DIRECTORY);
	sock_world_move(&w, &p.ve, 1);
	net_enter(w.net.ve_fd);
	snprintf(command, sizeof(command), "ss -Htn --cgroup src " NET_VE ":80 | grep -q '%s'",
		 strrchr(dir, '/'));
	cr_expect_eq(system(command), 0);
	echo(p.ve, p.peer, 0);
	close(p.ve);
	sock_world_free(&w);
	usleep(50000);
	cr_expect_eq(rmdir(dir), 0);
}

Test(sock_tcp, cost, .timeout = 60)
{
	enum { N = 100 };
	struct world w;
	int fds[N + 1], peers[N];

	sock_world_make(&w);
	fds[N] = net_listen(w.net.ve_fd, NET_VE, 80, N);
	for (int i = 0; i < N; i++) {
		peers[i] = net_connect(w.net.peer_fd, NET_VE, 80);
		fds[i] = accept(fds[N], NULL, NULL);
		cr_assert_eq(net_write_pattern(peers[i], 0, 500), 500);
	}
	usleep(50000);
	sock_world_check(&w, fds, 1);
	sock_world_move(&w, fds, N + 1);
	for (int i = 0; i < N; i++)
		cr_expect(net_read_pattern(fds[i], 0, 500));
	echo(fds[7], peers[7], 500);
	cr_log_info("%d TCP connections: dump %.1f us each, restore %.1f us each\n", N, (double)w.dump_us / N,
		    (double)w.restore_us / N);
	sock_world_free(&w);
}
