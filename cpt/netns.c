// SPDX-License-Identifier: GPL-2.0-only
/* The VE's network: devices, addresses, routes, and the settings a server changes; what else there is, is
 * refused. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <stdio.h>

#include "cpt/cpt.h"
#include "cpt/ns.h"
#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "model/netns.h"

static struct bytes attr_bytes(const struct nlattr *a)
{
	return bytes_dup(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
}

static int put_kind(const struct nlattr *a, void *arg)
{
	if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
		*(char **)arg = mem_strdup(mnl_attr_get_str(a));
	return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct netns_obj *ret = arg;
	struct link_obj *link = vec_add(&ret->links);
	const struct nlattr *a;

	link->index = (uint32_t)ifi->ifi_index;
	link->flags = ifi->ifi_flags & (IFF_UP | IFF_NOARP | IFF_MULTICAST | IFF_ALLMULTI | IFF_PROMISC);
	mnl_attr_for_each(a, nlh, sizeof(*ifi))
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			link->name = mem_strdup(mnl_attr_get_str(a));
			break;
		case IFLA_MTU:
			link->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_ADDRESS:
			link->mac = attr_bytes(a);
			break;
		case IFLA_LINKINFO:
			mnl_attr_parse_nested(a, put_kind, &link->kind);
			break;
		}
	}
	if (!link->kind)
		link->kind = mem_strdup("");
	if (!link->name)
		link->name = mem_strdup("");
	return MNL_CB_OK;
}

static const char *link_name(const struct netns_obj *net, uint32_t index)
{
	vec_each(l, &net->links)
		if (l->index == index)
			return l->name;
	return "";
}

static int on_addr(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct netns_obj *ret = arg;
	struct addr_obj *addr = vec_add(&ret->addrs);
	const struct nlattr *a;

	addr->link = mem_strdup(link_name(ret, ifa->ifa_index));
	addr->family = ifa->ifa_family;
	addr->prefix_len = ifa->ifa_prefixlen;
	addr->scope = ifa->ifa_scope;
	mnl_attr_for_each(a, nlh, sizeof(*ifa))
	{
		switch (mnl_attr_get_type(a)) {
		case IFA_LOCAL:
			addr->local = attr_bytes(a);
			break;
		case IFA_ADDRESS:
			addr->peer = attr_bytes(a);
			break;
		case IFA_BROADCAST:
			addr->broadcast = attr_bytes(a);
			break;
		case IFA_LABEL:
			addr->label = mem_strdup(mnl_attr_get_str(a));
			break;
		case IFA_FLAGS:
			addr->flags =
				mnl_attr_get_u32(a) & (IFA_F_NODAD | IFA_F_NOPREFIXROUTE | IFA_F_HOMEADDRESS);
			break;
		}
	}
	if (!addr->local.len_bytes) { /* IPv6 without a peer has IFA_ADDRESS alone */
		addr->local = addr->peer;
		addr->peer = (struct bytes){0};
	}
	return MNL_CB_OK;
}

/* Routes that somebody set. Those the kernel makes itself come with addresses and links. */
static int on_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct netns_obj *ret = arg;
	struct route_obj *route;
	const struct nlattr *a;

	if (rtm->rtm_protocol == RTPROT_KERNEL || rtm->rtm_flags & RTM_F_CLONED)
		return MNL_CB_OK;
	route = vec_add(&ret->routes);
	route->family = rtm->rtm_family;
	route->table = rtm->rtm_table;
	route->type = rtm->rtm_type;
	route->scope = rtm->rtm_scope;
	route->protocol = rtm->rtm_protocol;
	route->flags = rtm->rtm_flags & RTNH_F_ONLINK;
	route->dst_len = rtm->rtm_dst_len;
	route->src_len = rtm->rtm_src_len;
	route->tos = rtm->rtm_tos;
	mnl_attr_for_each(a, nlh, sizeof(*rtm))
	{
		switch (mnl_attr_get_type(a)) {
		case RTA_DST:
			route->dst = attr_bytes(a);
			break;
		case RTA_GATEWAY:
			route->gateway = attr_bytes(a);
			break;
		case RTA_PREFSRC:
			route->prefsrc = attr_bytes(a);
			break;
		case RTA_OIF:
			route->link = mem_strdup(link_name(ret, mnl_attr_get_u32(a)));
			break;
		case RTA_PRIORITY:
			route->priority = mnl_attr_get_u32(a);
			break;
		case RTA_TABLE:
			route->table = mnl_attr_get_u32(a);
			break;
		}
	}
	if (!route->link)
		route->link = mem_strdup("");
	return MNL_CB_OK;
}

static int dump(struct rtnl *rtnl, uint16_t type, size_t header_bytes, mnl_cb_t cb, void *arg,
		struct err *err)
{
	struct nlmsghdr *nlh;

	rtnl_begin(rtnl, type, NLM_F_DUMP, header_bytes, &nlh);
	return rtnl_ask(rtnl, nlh, cb, arg, err);
}

static int read_sysctls(struct netns_obj *ret, struct err *err)
{
	for (size_t i = 0; i < netns_sysctls_nr; i++) {
		char path[256];
		struct buf text;
		struct sysctl_obj *s;

		snprintf(path, sizeof(path), "/proc/sys/net/%s", netns_sysctls[i]);
		if (io_read_file(AT_FDCWD, path, 4096, &text, err)) {
			if (err->sys_errno == ENOENT)
				continue;
			return -1;
		}
		text.at[strcspn((char *)text.at, "\n")] = 0;
		s = vec_add(&ret->sysctls);
		s->name = mem_strdup(netns_sysctls[i]);
		s->value = (char *)text.at;
	}
	return 0;
}

static int read_links(struct cpt *c, struct rtnl *rtnl, struct netns_obj *ret, struct err *err)
{
	if (rtnl_open(rtnl, c->run.netns_fd, err))
		return -1;
	return dump(rtnl, RTM_GETLINK, sizeof(struct ifinfomsg), on_link, ret, err);
}

int cpt_netns_collect(struct cpt *c, struct err *err)
{
	struct netns_obj *net = vec_add(&c->m.netns);
	struct rtnl rtnl = {0};
	_netns_ struct netns_scope scope = NETNS_NONE;
	int ret = read_links(c, &rtnl, net, err) ||
		  dump(&rtnl, RTM_GETADDR, sizeof(struct ifaddrmsg), on_addr, net, err) ||
		  dump(&rtnl, RTM_GETROUTE, sizeof(struct rtmsg), on_route, net, err);

	rtnl_close(&rtnl);
	if (!ret && !netns_enter(&scope, c->run.netns_fd, err))
		ret = read_sysctls(net, err);
	return ret ? -1 : 0;
}

/* --- what cannot be carried --- */

/* Devices that the kernel puts into every network namespace when the module is loaded. */
static bool is_fallback_device(const char *name)
{
	static const char *const names[] = {"tunl0",	"gre0", "gretap0", "erspan0", "ip_vti0",
					    "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static int count_one(const struct nlmsghdr *nlh, void *arg)
{
	(*(unsigned *)arg)++;
	return MNL_CB_OK;
}

/* Tables of nf_tables in the namespace that the thread is in. A kernel without it has none. */
static unsigned count_nft_tables(void)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char buf[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;
	unsigned found = 0;
	ssize_t n;

	if (!nl)
		return 0;
	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	if (!mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) && mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) > 0)
		while ((n = mnl_socket_recvfrom(nl, buf, sizeof(buf))) > 0)
			if (mnl_cb_run(buf, (size_t)n, 0, mnl_socket_get_portid(nl), count_one, &found) <=
			    MNL_CB_STOP)
				break;
	mnl_socket_close(nl);
	return found;
}

static bool has_text(const char *path)
{
	struct err ignored;
	struct buf text;
	bool any;

	if (io_read_file(AT_FDCWD, path, 65536, &text, &ignored))
		return false;
	any = text.len_bytes > 0;
	buf_free(&text);
	return any;
}

int cpt_netns_check(struct cpt *c, struct err *err)
{
	struct netns_obj net = {0};
	struct rtnl rtnl = {0};
	_netns_ struct netns_scope scope = NETNS_NONE;
	int ret = read_links(c, &rtnl, &net, err);

	rtnl_close(&rtnl);
	vec_each(l, &net.links) {
		char where[64];

		if (!strcmp(l->name, "lo") || !strcmp(l->name, "venet0") || is_fallback_device(l->name))
			continue;
		snprintf(where, sizeof(where), "network device %s", l->name);
		findings_add(c->findings, where, "ip link del inside the VE",
			     "a device of kind %s that the VE made", *l->kind ? l->kind : "unknown");
	}
	model_free_netns(&net);
	if (ret || netns_enter(&scope, c->run.netns_fd, err))
		return -1;
	if (count_nft_tables())
		findings_add(c->findings, "network", "nft flush ruleset inside the VE",
			     "it has nftables rules");
	if (has_text("/proc/thread-self/net/ip_tables_names") ||
	    has_text("/proc/thread-self/net/ip6_tables_names"))
		findings_add(c->findings, "network", NULL, "it has iptables (legacy) tables");
	return 0;
}
