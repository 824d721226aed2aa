// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/netlock.h"
#include "lib/lib.h"
#include "tests/unit/sock_net.h"

static bool arrives(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, 100) == 1;
}

static void send_to(int fd, const char *ip, uint16_t port)
{
	union net_addr a;
	socklen_t len = net_addr(&a, ip, port);

	(void)sendto(fd, "x", 1, 0, &a.sa, len);
}

static int udp_at(int netns_fd, const char *ip, uint16_t port)
{
	union net_addr a;
	socklen_t len = net_addr(&a, ip, port);
	int fd = net_socket(netns_fd, a.sa.sa_family, SOCK_DGRAM);

	cr_assert_eq(bind(fd, &a.sa, len), 0);
	return fd;
}

static void drain(int fd)
{
	char c[8];

	while (recv(fd, c, sizeof(c), MSG_DONTWAIT) >= 0)
		;
}

struct place {
	const char *from_ip, *to_ip;
	int from_fd, to_fd;
};

Test(sock_netlock, nothing_passes_but_the_mark)
{
	struct err err = ERR_INIT;
	struct netlock *lock = NULL;
	struct net net;

	net_make(&net);
	cr_assert_eq(netlock_prepare(net.ve_fd, -1, &lock, &err), 0, "%s", err.msg);
	struct place places[] = {
		{NET_PEER, NET_VE, net.peer_fd, net.ve_fd},
		{NET_VE, NET_PEER, net.ve_fd, net.peer_fd},
		{NET_PEER6, NET_VE6, net.peer_fd, net.ve_fd},
		{NET_VE6, NET_PEER6, net.ve_fd, net.peer_fd},
		{"127.0.0.1", "127.0.0.1", net.ve_fd, net.ve_fd},
		{"::1", "::1", net.ve_fd, net.ve_fd},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		struct place *p = &places[i];
		int from = udp_at(p->from_fd, p->from_ip, 1000), to = udp_at(p->to_fd, p->to_ip, 2000);

		send_to(from, p->to_ip, 2000);
		cr_expect(arrives(to), "%s: before", p->to_ip);
		drain(to);
		cr_assert_eq(netlock_take(lock, &err), 0, "%s", err.msg);
		send_to(from, p->to_ip, 2000);
		cr_expect(!arrives(to), "%s: locked", p->to_ip);
		net_set(from, SOL_SOCKET, SO_MARK, (int)netlock_mark(lock));
		send_to(from, p->to_ip, 2000);
		/* a mark does not leave its namespace */
		cr_expect_eq(arrives(to), p->from_fd == net.ve_fd, "%s: marked", p->to_ip);
		drain(to);
		net_set(from, SOL_SOCKET, SO_MARK, 0);
		netlock_release(lock);
		send_to(from, p->to_ip, 2000);
		cr_expect(arrives(to), "%s: after", p->to_ip);
		close(from);
		close(to);
	}
	netlock_free(lock);
}

/* No socket, no reset; the connection is made by a retransmitted SYN once the lock is gone. */
Test(sock_netlock, no_reset_goes_out)
{
	struct err err = ERR_INIT;
	struct netlock *lock = NULL;
	struct net net;
	union net_addr a;
	socklen_t len = net_addr(&a, NET_VE, 80);
	int client, listener;

	net_make(&net);
	client = net_connect(net.peer_fd, NET_VE, 80);
	cr_assert_eq(client, -1, "refused without a lock");
	cr_assert_eq(netlock_prepare(net.ve_fd, -1, &lock, &err), 0, "%s", err.msg);
	cr_assert_eq(netlock_take(lock, &err), 0, "%s", err.msg);
	client = net_socket(net.peer_fd, AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
	(void)connect(client, &a.sa, len);
	usleep(50000);
	listener = net_listen(net.ve_fd, NET_VE, 80, 5);
	netlock_free(lock);
	struct pollfd p = {listener, POLLIN, 0};
	cr_expect_eq(poll(&p, 1, 5000), 1);
}

/* Where the kernel has no netfilter programs: what the sockets of a cgroup send and get. */
Test(sock_netlock, by_cgroup)
{
	char dir[64], procs[80];
	struct err err = ERR_INIT;
	struct netlock *lock = NULL;
	struct net net;

	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/unified/sk-lock-%d", getpid());
	if (mkdir(dir, 0755))
		cr_skip_test("no cgroup v2 at /sys/fs/cgroup/unified");
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	net_make(&net);
	int cgroup_fd = open(dir, O_RDONLY | O_DIRECTORY);
	int out = udp_at(net.peer_fd, NET_PEER, 1000), old = udp_at(net.ve_fd, NET_VE, 2000);
	cr_assert_eq(io_write_file(AT_FDCWD, procs, "0", &err), 0, "%s", err.msg);
	int in = udp_at(net.ve_fd, NET_VE, 2001);
	cr_assert_eq(netlock_prepare(-1, cgroup_fd, &lock, &err), 0, "%s", err.msg);
	for (int locked = 0; locked < 3; locked++) { /* before, while, after */
		if (locked == 1)
			cr_assert_eq(netlock_take(lock, &err), 0, "%s", err.msg);
		else
			netlock_release(lock);
		send_to(out, NET_VE, 2001);
		cr_expect_eq(arrives(in), locked != 1);
		drain(in);
		send_to(in, NET_PEER, 1000);
		cr_expect_eq(arrives(out), locked != 1);
		drain(out);
		send_to(out, NET_VE, 2000);
		cr_expect(arrives(old), "of another cgroup");
		drain(old);
	}
	netlock_free(lock);
	close(in);
	cr_assert_eq(io_write_file(AT_FDCWD, "/sys/fs/cgroup/unified/cgroup.procs", "0", &err), 0, "%s",
		     err.msg);
	cr_expect_eq(rmdir(dir), 0);
}

Test(sock_netlock, cost)
{
	struct err err = ERR_INIT;
	struct netlock *lock = NULL;
	struct net net;
	int64_t at_us[4];

	net_make(&net);
	at_us[0] = net_now_us();
	cr_assert_eq(netlock_prepare(net.ve_fd, -1, &lock, &err), 0, "%s", err.msg);
	at_us[1] = net_now_us();
	cr_assert_eq(netlock_take(lock, &err), 0, "%s", err.msg);
	at_us[2] = net_now_us();
	netlock_release(lock);
	at_us[3] = net_now_us();
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(netlock_take(lock, &err), 0, "%s", err.msg);
		netlock_release(lock);
	}
	cr_log_info("network lock: prepare %ld us, take %ld us, release %ld us, again %ld us\n",
		    at_us[1] - at_us[0], at_us[2] - at_us[1], at_us[3] - at_us[2],
		    (net_now_us() - at_us[3]) / 100);
	cr_expect_lt(at_us[2] - at_us[1], 20000);
	netlock_free(lock);
}
