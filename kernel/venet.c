// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/venet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>

#include "kernel/arp.h"
#include "kernel/rtnl.h"

#define INSIDE	"venet0"
#define GATEWAY 0xa9fe0101u /* 169.254.1.1: never asked for by ARP, it only names the far end */

static const uint8_t mac[6] = {0x02, 'V', 'E', 'R', 'S', 'T'};

static const char *text_of(struct in_addr addr, char ret[static INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &addr, ret, INET_ADDRSTRLEN);
}

static void put_link(struct nlmsghdr *nlh, struct ifinfomsg *ifi, const char *name)
{
	ifi->ifi_flags = ifi->ifi_change = IFF_NOARP;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	mnl_attr_put(nlh, IFLA_ADDRESS, sizeof(mac), mac);
}

static int make_pair(struct rtnl *rtnl, const char *host, int netns_fd, struct err *err)
{
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;

	ifi = rtnl_begin(rtnl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*ifi), &nlh);
	put_link(nlh, ifi, host);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	put_link(nlh, ifi, INSIDE);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)netns_fd);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return rtnl_talk(rtnl, nlh, err) ? err_ctx(err, "%s", host) : 0;
}

static int index_cb(const struct nlmsghdr *nlh, void *arg)
{
	*(int *)arg = ((struct ifinfomsg *)mnl_nlmsg_get_payload(nlh))->ifi_index;
	return MNL_CB_OK;
}

/* By netlink, as if_nametoindex(3) knows only the caller's own namespace. */
static int index_of(struct rtnl *rtnl, const char *name, struct err *err)
{
	struct nlmsghdr *nlh;
	int index = 0;

	rtnl_begin(rtnl, RTM_GETLINK, 0, sizeof(struct ifinfomsg), &nlh);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	if (rtnl_ask(rtnl, nlh, index_cb, &index, err)) {
		err_ctx(err, "%s", name);
		return 0;
	}
	return index;
}

static int change_addr(struct rtnl *rtnl, uint16_t type, int index, struct in_addr addr, struct err *err)
{
	char text[INET_ADDRSTRLEN];
	struct ifaddrmsg *ifa;
	struct nlmsghdr *nlh;

	ifa = rtnl_begin(rtnl, type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*ifa),
			 &nlh);
	ifa->ifa_family = AF_INET;
	ifa->ifa_prefixlen = 32;
	ifa->ifa_index = (unsigned)index;
	mnl_attr_put(nlh, IFA_LOCAL, 4, &addr);
	mnl_attr_put(nlh, IFA_ADDRESS, 4, &addr);
	return rtnl_talk(rtnl, nlh, err) ? err_ctx(err, "address %s", text_of(addr, text)) : 0;
}

struct route {
	struct in_addr dst;
	unsigned char dst_len;
	bool via_gateway;
	int index;
};

static int change_route(struct rtnl *rtnl, uint16_t type, const struct route *route, struct err *err)
{
	struct in_addr gateway = {htonl(GATEWAY)};
	struct nlmsghdr *nlh;
	struct rtmsg *rt;

	rt = rtnl_begin(rtnl, type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*rt),
			&nlh);
	rt->rtm_family = AF_INET;
	rt->rtm_dst_len = route->dst_len;
	rt->rtm_table = RT_TABLE_MAIN;
	rt->rtm_type = RTN_UNICAST;
	rt->rtm_protocol = type == RTM_NEWROUTE ? RTPROT_BOOT : 0;
	rt->rtm_scope = route->via_gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	if (route->dst_len)
		mnl_attr_put(nlh, RTA_DST, 4, &route->dst);
	if (route->via_gateway) {
		rt->rtm_flags = RTNH_F_ONLINK;
		mnl_attr_put(nlh, RTA_GATEWAY, 4, &gateway);
	}
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)route->index);
	return rtnl_talk(rtnl, nlh, err) ? err_ctx(err, "route") : 0;
}

static int up(struct rtnl *rtnl, int index, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;

	ifi = rtnl_begin(rtnl, RTM_NEWLINK, 0, sizeof(*ifi), &nlh);
	ifi->ifi_index = index;
	ifi->ifi_flags = ifi->ifi_change = IFF_UP;
	return rtnl_talk(rtnl, nlh, err);
}

/* Both ends have the same MAC, so their link-local IPv6 addresses would be the same too: they get none. */
static int up_without_ipv6(struct rtnl *rtnl, const char *name, struct err *err)
{
	struct nlattr *spec, *inet6;
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;
	int index = index_of(rtnl, name, err);

	if (!index)
		return -1;
	ifi = rtnl_begin(rtnl, RTM_NEWLINK, 0, sizeof(*ifi), &nlh);
	ifi->ifi_index = index;
	spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	/* A kernel without IPv6 needs no such care. */
	if (rtnl_talk(rtnl, nlh, err) && err->sys_errno != EAFNOSUPPORT)
		return -1;
	err_clear(err);
	return up(rtnl, index, err);
}

int venet_up_loopback(int netns_fd, struct err *err)
{
	struct rtnl rtnl;
	int r;

	if (rtnl_open(&rtnl, netns_fd, err))
		return -1;
	r = up(&rtnl, 1, err); /* LOOPBACK_IFINDEX, include/net/flow.h */
	rtnl_close(&rtnl);
	return r ? err_ctx(err, "loopback") : 0;
}

static int change_inside(int netns_fd, uint16_t type, const struct in_addr *addrs, size_t nr, struct err *err)
{
	struct route route = {.via_gateway = true};
	struct rtnl rtnl;
	int r = 0;

	if (rtnl_open(&rtnl, netns_fd, err))
		return -1;
	route.index = index_of(&rtnl, INSIDE, err);
	if (!route.index)
		r = -1;
	for (size_t i = 0; !r && i < nr; i++)
		r = change_addr(&rtnl, type, route.index, addrs[i], err);
	/* Also after an address was added later: with the last one the kernel had dropped the route. */
	if (!r && type == RTM_NEWADDR)
		r = change_route(&rtnl, RTM_NEWROUTE, &route, err);
	rtnl_close(&rtnl);
	return r;
}

int venet_add_inside(int netns_fd, struct in_addr addr, struct err *err)
{
	return change_inside(netns_fd, RTM_NEWADDR, &addr, 1, err);
}

int venet_del_inside(int netns_fd, struct in_addr addr, struct err *err)
{
	return change_inside(netns_fd, RTM_DELADDR, &addr, 1, err);
}

/* Packets from the VE with an address that is not routed to it are dropped: strict reverse path. */
static int filter_sources(const char *host, struct err *err)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", host);
	return io_write_file(AT_FDCWD, path, "1", err);
}

static int make_inside(int netns_fd, const struct venet_addrs *addrs, struct err *err)
{
	struct rtnl rtnl;
	int r;

	if (venet_up_loopback(netns_fd, err) || rtnl_open(&rtnl, netns_fd, err))
		return -1;
	r = up_without_ipv6(&rtnl, INSIDE, err);
	rtnl_close(&rtnl);
	return r ? -1 : change_inside(netns_fd, RTM_NEWADDR, addrs->at, addrs->nr, err);
}

int venet_make(const char *host, int netns_fd, const struct venet_addrs *addrs, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct rtnl rtnl;
	int r;

	if (rtnl_open(&rtnl, -1, err))
		return -1;
	r = make_pair(&rtnl, host, netns_fd, err);
	if (!r && (up_without_ipv6(&rtnl, host, err) || filter_sources(host, err) ||
		   make_inside(netns_fd, addrs, err))) {
		venet_remove(host, &ignored);
		r = -1;
	}
	rtnl_close(&rtnl);
	return r;
}

int venet_remove(const char *host, struct err *err)
{
	struct rtnl rtnl;
	struct nlmsghdr *nlh;
	int r;

	if (rtnl_open(&rtnl, -1, err))
		return -1;
	rtnl_begin(&rtnl, RTM_DELLINK, 0, sizeof(struct ifinfomsg), &nlh);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, host);
	r = rtnl_talk(&rtnl, nlh, err);
	rtnl_close(&rtnl);
	return r && err->sys_errno != ENODEV ? err_ctx(err, "%s", host) : 0;
}

/* --- the host's side --- */

struct subnet {
	uint32_t net, mask; /* host byte order */
};

/* An interface that does ARP. */
struct iface {
	int index;
	char name[IFNAMSIZ];
	VEC(struct subnet) subnets;
};

struct ifaces {
	VEC(struct iface) list;
};

static int link_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct ifaces *ifaces = arg;
	struct nlattr *attr;
	struct iface *iface;

	if (ifi->ifi_type != ARPHRD_ETHER || !(ifi->ifi_flags & IFF_UP) || ifi->ifi_flags & IFF_NOARP)
		return MNL_CB_OK;
	iface = vec_add(&ifaces->list);
	iface->index = ifi->ifi_index;
	mnl_attr_for_each(attr, nlh, sizeof(*ifi)) if (mnl_attr_get_type(attr) == IFLA_IFNAME)
		snprintf(iface->name, sizeof(iface->name), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

static int addr_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct ifaces *ifaces = arg;
	struct nlattr *attr;

	vec_each(iface, &ifaces->list) {
		if (iface->index != (int)ifa->ifa_index || !ifa->ifa_prefixlen || ifa->ifa_prefixlen > 32)
			continue;
		mnl_attr_for_each(attr, nlh, sizeof(*ifa))
		{
			struct subnet *subnet;

			if (mnl_attr_get_type(attr) != IFA_ADDRESS)
				continue;
			subnet = vec_add(&iface->subnets);
			subnet->mask = ~0u << (32 - ifa->ifa_prefixlen);
			subnet->net = ntohl(mnl_attr_get_u32(attr)) & subnet->mask;
		}
	}
	return MNL_CB_OK;
}

static void free_ifaces(struct ifaces *ifaces)
{
	vec_each(iface, &ifaces->list)
		vec_free(&iface->subnets);
	vec_free(&ifaces->list);
}

static int list_ifaces(struct rtnl *rtnl, struct ifaces *ret, struct err *err)
{
	struct nlmsghdr *nlh;

	*ret = (struct ifaces){0};
	rtnl_begin(rtnl, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg), &nlh);
	if (rtnl_ask(rtnl, nlh, link_cb, ret, err))
		return -1;
	((struct ifaddrmsg *)rtnl_begin(rtnl, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg), &nlh))
		->ifa_family = AF_INET;
	return rtnl_ask(rtnl, nlh, addr_cb, ret, err);
}

static bool is_neighbour(const struct iface *iface, struct in_addr addr)
{
	vec_each(subnet, &iface->subnets)
		if ((ntohl(addr.s_addr) & subnet->mask) == subnet->net)
			return true;
	return false;
}

static int change_proxy(struct rtnl *rtnl, uint16_t type, int index, struct in_addr addr, struct err *err)
{
	struct nlmsghdr *nlh;
	struct ndmsg *nd;

	nd = rtnl_begin(rtnl, type, type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*nd),
			&nlh);
	nd->ndm_family = AF_INET;
	nd->ndm_ifindex = index;
	nd->ndm_flags = NTF_PROXY;
	nd->ndm_state = NUD_PERMANENT;
	mnl_attr_put(nlh, NDA_DST, 4, &addr);
	return rtnl_talk(rtnl, nlh, err) ? err_ctx(err, "proxy ARP") : 0;
}

static int write_if_other(const char *path, const char *value, struct err *err)
{
	struct buf now = {0};
	bool same;

	if (io_read_file(AT_FDCWD, path, 64, &now, err))
		return -1;
	same = now.at[0] == value[0] && (now.at[1] == '\n' || !now.at[1]);
	buf_free(&now);
	return same ? 0 : io_write_file(AT_FDCWD, path, value, err);
}

/* On the wire of each interface that has the address's subnet: this is where neighbours ask for it. */
static int announce_addr(struct rtnl *rtnl, const struct ifaces *ifaces, int index, struct in_addr addr,
			 struct err *err)
{
	struct route route = {.dst = addr, .dst_len = 32, .index = index};

	if (change_route(rtnl, RTM_NEWROUTE, &route, err))
		return -1;
	vec_each(iface, &ifaces->list) {
		char path[128];

		if (!is_neighbour(iface, addr))
			continue;
		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/neigh/%s/proxy_delay", iface->name);
		if (change_proxy(rtnl, RTM_NEWNEIGH, iface->index, addr, err) ||
		    write_if_other(path, "0", err) || arp_announce(iface->name, addr, err))
			return -1;
	}
	return 0;
}

int venet_announce(const char *host, const struct venet_addrs *addrs, struct err *err)
{
	struct ifaces ifaces = {0};
	struct rtnl rtnl;
	int index, r = -1;

	if (rtnl_open(&rtnl, -1, err))
		return -1;
	index = index_of(&rtnl, host, err);
	if (index && !write_if_other("/proc/sys/net/ipv4/ip_forward", "1", err) &&
	    !list_ifaces(&rtnl, &ifaces, err)) {
		r = 0;
		for (size_t i = 0; !r && i < addrs->nr; i++)
			r = announce_addr(&rtnl, &ifaces, index, addrs->at[i], err);
	}
	free_ifaces(&ifaces);
	rtnl_close(&rtnl);
	return r ? err_code(err, ERR_ADD_IP) : 0;
}

/* What is not there is no failure: an announcement may have failed half-way. */
static void withdraw_addrs(struct rtnl *rtnl, const struct ifaces *ifaces, int index,
			   const struct venet_addrs *addrs)
{
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < addrs->nr; i++) {
		struct route route = {.dst = addrs->at[i], .dst_len = 32, .index = index};

		if (index && change_route(rtnl, RTM_DELROUTE, &route, &ignored) && ignored.sys_errno != ESRCH)
			log_warn("venet: %s", ignored.msg);
		vec_each(iface, &ifaces->list)
			change_proxy(rtnl, RTM_DELNEIGH, iface->index, addrs->at[i], &ignored);
	}
}

int venet_withdraw(const char *host, const struct venet_addrs *addrs, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct ifaces ifaces = {0};
	struct rtnl rtnl;
	int index, r;

	if (rtnl_open(&rtnl, -1, err))
		return -1;
	index = index_of(&rtnl, host, &ignored);
	r = list_ifaces(&rtnl, &ifaces, err);
	if (!r)
		withdraw_addrs(&rtnl, &ifaces, index, addrs);
	free_ifaces(&ifaces);
	rtnl_close(&rtnl);
	return r;
}

struct lookup {
	unsigned char type, dst_len;
	int index;
};

static int lookup_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);
	struct lookup *lookup = arg;
	struct nlattr *attr;

	lookup->type = rt->rtm_type;
	lookup->dst_len = rt->rtm_dst_len;
	mnl_attr_for_each(attr, nlh, sizeof(*rt)) if (mnl_attr_get_type(attr) == RTA_OIF) lookup->index =
		(int)mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

int venet_check_free(const char *host, struct in_addr addr, struct err *err)
{
	char text[INET_ADDRSTRLEN], ifname[IFNAMSIZ] = "?";
	struct lookup lookup = {0};
	struct nlmsghdr *nlh;
	struct rtnl rtnl;
	struct rtmsg *rt;
	int r;

	if (rtnl_open(&rtnl, -1, err))
		return -1;
	rt = rtnl_begin(&rtnl, RTM_GETROUTE, 0, sizeof(*rt), &nlh);
	rt->rtm_family = AF_INET;
	rt->rtm_dst_len = 32;
	rt->rtm_flags = RTM_F_FIB_MATCH;
	mnl_attr_put(nlh, RTA_DST, 4, &addr);
	r = rtnl_ask(&rtnl, nlh, lookup_cb, &lookup, err);
	rtnl_close(&rtnl);
	/* No route at all (ENETUNREACH, EHOSTUNREACH) is as free as can be. */
	if (r)
		err_clear(err);
	if_indextoname((unsigned)lookup.index, ifname);
	text_of(addr, text);
	if (lookup.type == RTN_LOCAL)
		return err_set(err, ERR_IP_IN_USE, "address %s is this node's own", text);
	if (lookup.type == RTN_UNICAST && lookup.dst_len == 32 && strcmp(ifname, host))
		return err_set(err, ERR_IP_IN_USE, "address %s is in use: it is routed to %s", text, ifname);
	return 0;
}
