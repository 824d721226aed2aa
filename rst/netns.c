// SPDX-License-Identifier: GPL-2.0-only
/* The VE's network beyond what its boot made: the VE's own addresses and routes, device flags, settings. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <stdio.h>

#include "kernel/netns.h"
#include "kernel/rtnl.h"
#include "model/netns.h"
#include "rst/rst.h"

static void put_bytes(struct nlmsghdr *nlh, uint16_t type, const struct bytes *b)
{
	if (b->len_bytes)
		mnl_attr_put(nlh, type, b->len_bytes, b->at);
}

/* What is there already (EEXIST) came with the boot, and is the same. */
static int talk(struct rtnl *rtnl, struct nlmsghdr *nlh, const char *what, const char *name, struct err *err)
{
	if (!rtnl_talk(rtnl, nlh, err) || err->sys_errno == EEXIST)
		return 0;
	return err_ctx(err, "%s of %s", what, name);
}

static int restore_link(struct rtnl *rtnl, const struct link_obj *link, struct err *err)
{
	unsigned index = if_nametoindex(link->name);
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi;

	if (!index)
		return 0; /* a fallback device of a module that is not loaded here */
	ifi = rtnl_begin(rtnl, RTM_NEWLINK, 0, sizeof(*ifi), &nlh);
	ifi->ifi_index = (int)index;
	ifi->ifi_change = IFF_UP | IFF_MULTICAST | IFF_ALLMULTI | IFF_PROMISC;
	ifi->ifi_flags = link->flags & ifi->ifi_change;
	mnl_attr_put_u32(nlh, IFLA_MTU, link->mtu);
	return talk(rtnl, nlh, "state", link->name, err);
}

static int restore_addr(struct rtnl *rtnl, const struct addr_obj *addr, struct err *err)
{
	unsigned index = if_nametoindex(addr->link);
	struct nlmsghdr *nlh;
	struct ifaddrmsg *ifa;

	/* the kernel gives link-local addresses itself */
	if (!index || (addr->family == AF_INET6 && addr->scope == RT_SCOPE_LINK))
		return 0;
	ifa = rtnl_begin(rtnl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*ifa), &nlh);
	ifa->ifa_family = (uint8_t)addr->family;
	ifa->ifa_prefixlen = (uint8_t)addr->prefix_len;
	ifa->ifa_scope = (uint8_t)addr->scope;
	ifa->ifa_index = index;
	put_bytes(nlh, IFA_LOCAL, &addr->local);
	put_bytes(nlh, IFA_ADDRESS, addr->peer.len_bytes ? &addr->peer : &addr->local);
	put_bytes(nlh, IFA_BROADCAST, &addr->broadcast);
	if (addr->label && *addr->label)
		mnl_attr_put_strz(nlh, IFA_LABEL, addr->label);
	/* nobody else can have it: detecting duplicates would only delay it */
	mnl_attr_put_u32(nlh, IFA_FLAGS, addr->flags | (addr->family == AF_INET6 ? IFA_F_NODAD : 0));
	return talk(rtnl, nlh, "address", addr->link, err);
}

static int restore_route(struct rtnl *rtnl, const struct route_obj *route, struct err *err)
{
	struct nlmsghdr *nlh;
	struct rtmsg *rtm = rtnl_begin(rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*rtm), &nlh);

	rtm->rtm_family = (uint8_t)route->family;
	rtm->rtm_table = route->table < 256 ? (uint8_t)route->table : RT_TABLE_UNSPEC;
	rtm->rtm_type = (uint8_t)route->type;
	rtm->rtm_scope = (uint8_t)route->scope;
	rtm->rtm_protocol = (uint8_t)route->protocol;
	rtm->rtm_flags = route->flags;
	rtm->rtm_dst_len = (uint8_t)route->dst_len;
	rtm->rtm_src_len = (uint8_t)route->src_len;
	rtm->rtm_tos = (uint8_t)route->tos;
	put_bytes(nlh, RTA_DST, &route->dst);
	put_bytes(nlh, RTA_GATEWAY, &route->gateway);
	put_bytes(nlh, RTA_PREFSRC, &route->prefsrc);
	if (*route->link)
		mnl_attr_put_u32(nlh, RTA_OIF, if_nametoindex(route->link));
	if (route->priority)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, route->priority);
	mnl_attr_put_u32(nlh, RTA_TABLE, route->table);
	return talk(rtnl, nlh, "route", *route->link ? route->link : "no device", err);
}

static bool is_known_sysctl(const char *name)
{
	for (size_t i = 0; i < netns_sysctls_nr; i++)
		if (!strcmp(name, netns_sysctls[i]))
			return true;
	return false;
}

/* Only names of our own list: the image must not choose paths. A value that stands already is not written
 * again. */
static int restore_sysctl(const struct sysctl_obj *s, struct err *err)
{
	char path[256];
	struct buf text;
	bool same;

	if (!is_known_sysctl(s->name))
		return err_set(err, ERR_IMAGE, "setting net/%s is none that images carry", s->name);
	snprintf(path, sizeof(path), "/proc/sys/net/%s", s->name);
	if (io_read_file(AT_FDCWD, path, 4096, &text, err)) {
		log_warn("setting net/%s is not on this node", s->name);
		return 0;
	}
	text.at[strcspn((char *)text.at, "\n")] = 0;
	same = !strcmp((char *)text.at, s->value);
	buf_free(&text);
	return same ? 0 : io_write_file(AT_FDCWD, path, s->value, err);
}

int rst_ns_network(struct rst *r, struct err *err)
{
	const struct netns_obj *net = r->m.netns.at;
	_netns_ struct netns_scope scope = NETNS_NONE;
	struct rtnl rtnl = {0};
	int ret = 0;

	if (!r->m.netns.nr)
		return 0;
	if (netns_enter(&scope, r->run.netns_fd, err) || rtnl_open(&rtnl, -1, err))
		return -1;
	for (size_t i = 0; !ret && i < net->sysctls.nr; i++)
		ret = restore_sysctl(&net->sysctls.at[i], err);
	for (size_t i = 0; !ret && i < net->links.nr; i++)
		ret = restore_link(&rtnl, &net->links.at[i], err);
	for (size_t i = 0; !ret && i < net->addrs.nr; i++)
		ret = restore_addr(&rtnl, &net->addrs.at[i], err);
	for (size_t i = 0; !ret && i < net->routes.nr; i++)
		ret = restore_route(&rtnl, &net->routes.at[i], err);
	rtnl_close(&rtnl);
	return ret;
}
