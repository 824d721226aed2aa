// SPDX-License-Identifier: GPL-2.0-only
/* What is in one network namespace comes to be in another. Needs root and iproute2. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <string.h>

#include "cpt/cpt.h"
#include "cpt/ns.h"
#include "rst/rst.h"
#include "tests/unit/image_random.h"

static void run(const char *command)
{
	cr_assert_eq(system(command), 0, "%s", command);
}

/* This process is in it from then on. It has what the boot makes. */
static int new_netns(void)
{
	int fd;

	cr_assert_eq(unshare(CLONE_NEWNET), 0, "%s", strerror(errno));
	run("ip link add venet0 type veth peer name other");
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

static void change_it(void)
{
	run("ip link set lo up");
	run("ip link set venet0 address 02:00:00:00:00:01 mtu 1400 up");
	run("ip addr add 10.9.8.7/32 dev venet0");
	run("ip addr add 10.9.9.1/24 dev venet0 label venet0:1");
	run("ip addr add 127.0.0.5/8 dev lo");
	run("ip -6 addr add fd00:1::7/128 dev venet0");
	run("ip route add default via 169.254.1.1 dev venet0 onlink src 10.9.8.7 metric 7");
	run("ip route add 172.16.0.0/12 dev venet0 table 300");
	run("ip route add blackhole 192.0.2.0/24");
	run("ip -6 route add fd00:2::/64 dev venet0 metric 5");
	run("sysctl -qw net.core.somaxconn=1234 net.ipv4.ip_local_port_range='20000 30000'");
	run("sysctl -qw net.ipv4.ping_group_range='0 100'");
}

static void collect(int netns_fd, struct cpt *c)
{
	struct err err = ERR_INIT;

	*c = (struct cpt){.run = {.netns_fd = netns_fd}};
	cr_assert_eq(cpt_netns_collect(c, &err), 0, "%s", err.msg);
}

/* Link-local addresses come of the hardware address, which is not ours to choose; no number of a device says
 * anything. */
static void forget_what_differs(struct netns_obj *n)
{
	size_t nr = 0;

	vec_each(l, &n->links) {
		l->index = 0;
		free(l->mac.at);
		l->mac = (struct bytes){0};
	}
	vec_each(a, &n->addrs) {
		a->flags &= ~(uint32_t)IFA_F_NODAD; /* set on what is restored, so that it serves at once */
		if (a->scope != RT_SCOPE_LINK)
			n->addrs.at[nr++] = *a;
	}
	n->addrs.nr = nr;
}

static size_t routes_of(const struct netns_obj *n, uint32_t table)
{
	size_t nr = 0;

	vec_each(r, &n->routes)
		nr += r->table == table;
	return nr;
}

Test(netns, comes_back)
{
	struct err err = ERR_INIT;
	struct cpt a, b;
	struct rst r = {0};
	_fd_ int first = -1, second = -1;
	const char *what;

	if (geteuid())
		cr_skip_test("needs root");
	first = new_netns();
	change_it();
	collect(first, &a);
	cr_assert_eq(routes_of(&a.m.netns.at[0], 300), 1);

	second = new_netns();
	r.run.netns_fd = second;
	*vec_add(&r.m.netns) = a.m.netns.at[0];
	cr_assert_eq(rst_ns_network(&r, &err), 0, "%s", err.msg);
	collect(second, &b);
	forget_what_differs(&a.m.netns.at[0]);
	forget_what_differs(&b.m.netns.at[0]);
	what = random_difference(img_codecs[IMG_CODEC_netns].kind->table, &a.m.netns.at[0], &b.m.netns.at[0]);
	cr_assert_null(what, "%s", what);
}

static bool found(const struct findings *f, const char *words)
{
	vec_each(x, &f->list) {
		if (strstr(x->what, words))
			return true;
	}
	return false;
}

Test(netns, what_is_not_carried_is_said)
{
	struct findings findings = {0};
	struct err err = ERR_INIT;
	struct cpt c = {.findings = &findings};

	if (geteuid())
		cr_skip_test("needs root");
	c.run.netns_fd = new_netns();
	cr_assert_eq(cpt_netns_check(&c, &err), 0, "%s", err.msg);
	cr_assert_eq(findings.list.nr, 1);
	cr_assert_str_eq(findings.list.at[0].where, "network device other");
	run("ip link add br0 type bridge");
	run("nft add table inet filter");
	cr_assert_eq(cpt_netns_check(&c, &err), 0, "%s", err.msg);
	cr_assert(found(&findings, "of kind bridge"));
	cr_assert(found(&findings, "nftables"));
	close(c.run.netns_fd);
	findings_free(&findings);
}
