// SPDX-License-Identifier: GPL-2.0-only
/* TCP and UDP: what they share. Also takes every other socket that is not a unix one, to say that it cannot
 * be carried. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <poll.h>

#include "cpt/sock.h"

static bool inet_match(const struct cpt_fd *fd)
{
	int domain = S_ISSOCK(fd->st.st_mode) ? cpt_sock_int(fd->local, SOL_SOCKET, SO_DOMAIN) : -1;

	return domain >= 0 && domain != AF_UNIX;
}

static bool is_tcp(int type, int protocol)
{
	return type == SOCK_STREAM && protocol == IPPROTO_TCP;
}

static bool is_udp(int type, int protocol)
{
	return type == SOCK_DGRAM && protocol == IPPROTO_UDP;
}

/* What it is, when it is none that is carried. */
static void describe(int domain, int type, int protocol, char ret[static 64])
{
	static const struct {
		int domain;
		const char *name;
	} domains[] = {
		{AF_NETLINK, "netlink"},     {AF_PACKET, "packet"}, {AF_VSOCK, "vsock"},
		{AF_ALG, "kernel crypto"},   {AF_XDP, "XDP"},	    {AF_KEY, "IPsec key"},
		{AF_BLUETOOTH, "Bluetooth"}, {AF_CAN, "CAN"},
	};
	static const struct {
		int protocol;
		const char *name;
	} protocols[] = {
		{IPPROTO_ICMP, "ICMP"}, {IPPROTO_ICMPV6, "ICMPv6"},    {IPPROTO_SCTP, "SCTP"},
		{IPPROTO_DCCP, "DCCP"}, {IPPROTO_UDPLITE, "UDP-Lite"}, {IPPROTO_MPTCP, "multipath TCP"},
	};

	for (size_t i = 0; i < ARRAY_LEN(domains); i++)
		if (domains[i].domain == domain) {
			snprintf(ret, 64, "%s socket", domains[i].name);
			return;
		}
	if (type == SOCK_RAW) {
		snprintf(ret, 64, "raw IP socket (protocol %d)", protocol);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if ((domain == AF_INET || domain == AF_INET6) && protocols[i].protocol == protocol) {
			snprintf(ret, 64, "%s socket", protocols[i].name);
			return;
		}
	snprintf(ret, 64, "socket of family %d, type %d, protocol %d", domain, type, protocol);
}

static int inet_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	int domain = cpt_sock_int(fd->local, SOL_SOCKET, SO_DOMAIN);
	int type = cpt_sock_int(fd->local, SOL_SOCKET, SO_TYPE);
	int protocol = cpt_sock_int(fd->local, SOL_SOCKET, SO_PROTOCOL);
	char where[64], what[64];

	cpt_where(fd->task, fd->fd, where);
	if (cpt_sock_check(c, fd, err))
		return -1;
	if ((domain == AF_INET || domain == AF_INET6) && is_tcp(type, protocol))
		return cpt_tcp_check(c, fd, where, err);
	if ((domain == AF_INET || domain == AF_INET6) && is_udp(type, protocol))
		return cpt_udp_check(c, fd, where, err);
	describe(domain, type, protocol, what);
	findings_add(c->findings, where, "close it", "%s", what);
	return 0;
}

const char *cpt_inet_name(const struct inet_obj *obj, char ret[static 80])
{
	char src[INET6_ADDRSTRLEN] = "?", dst[INET6_ADDRSTRLEN] = "?";

	if (obj->src.len_bytes)
		inet_ntop(obj->family, obj->src.at, src, sizeof(src));
	if (obj->dst.len_bytes)
		inet_ntop(obj->family, obj->dst.at, dst, sizeof(dst));
	if (obj->dst.len_bytes)
		snprintf(ret, 80, "%s %.30s:%u to %.30s:%u", obj->type == SOCK_STREAM ? "TCP" : "UDP", src,
			 obj->src_port, dst, obj->dst_port);
	else
		snprintf(ret, 80, "%s %.45s:%u", obj->type == SOCK_STREAM ? "TCP" : "UDP", src,
			 obj->src_port);
	return ret;
}

static void take_addr(const union sock_addr *a, struct bytes *ret_ip, uint32_t *ret_port, uint32_t *scope)
{
	if (a->sa.sa_family == AF_INET6) {
		*ret_ip = bytes_dup(&a->in6.sin6_addr, 16);
		*ret_port = ntohs(a->in6.sin6_port);
		if (a->in6.sin6_scope_id)
			*scope = a->in6.sin6_scope_id;
	} else {
		*ret_ip = bytes_dup(&a->in.sin_addr, 4);
		*ret_port = ntohs(a->in.sin_port);
	}
}

static int collect_common(struct cpt *c, const struct cpt_fd *fd, struct inet_obj *obj, struct err *err)
{
	union sock_addr a;
	socklen_t len = sizeof(a);
	char device[IFNAMSIZ + 1] = "";
	struct pollfd events = {fd->local, POLLRDHUP | POLLHUP | POLLERR, 0};

	if (getsockname(fd->local, &a.sa, &len))
		return err_sys(err, "getsockname");
	take_addr(&a, &obj->src, &obj->src_port, &obj->scope_id);
	obj->bound = obj->src_port != 0;
	len = sizeof(a);
	if (!getpeername(fd->local, &a.sa, &len))
		take_addr(&a, &obj->dst, &obj->dst_port, &obj->scope_id);
	len = IFNAMSIZ;
	if (!getsockopt(fd->local, SOL_SOCKET, SO_BINDTODEVICE, device, &len) && device[0])
		obj->device = mem_strdup(device);
	cpt_sock_owner(c, &fd->st, &obj->owner_uid, &obj->owner_gid);
	/* The only signs of shutdown and of a waiting error that do not change the socket (tcp_poll,
	 * datagram_poll). */
	if (poll(&events, 1, 0) < 0)
		return err_sys(err, "poll");
	obj->shutdown = events.revents & POLLRDHUP ? 1 : 0;
	obj->reset = events.revents & POLLERR;
	return 0;
}

int cpt_inet_collect_one(struct cpt *c, const struct cpt_fd *fd, struct inet_obj *obj, struct err *err)
{
	obj->family = cpt_sock_int(fd->local, SOL_SOCKET, SO_DOMAIN);
	obj->type = cpt_sock_int(fd->local, SOL_SOCKET, SO_TYPE);
	obj->protocol = cpt_sock_int(fd->local, SOL_SOCKET, SO_PROTOCOL);
	if (obj->family != AF_INET && obj->family != AF_INET6)
		return err_set(err, ERR_CHECKPOINT, "socket of family %d", obj->family);
	if (collect_common(c, fd, obj, err))
		return -1;
	if (is_tcp(obj->type, obj->protocol))
		return cpt_tcp_collect(c, fd, obj, err);
	if (is_udp(obj->type, obj->protocol))
		return cpt_udp_collect(c, fd, obj, err);
	return err_set(err, ERR_CHECKPOINT, "socket of type %d, protocol %d", obj->type, obj->protocol);
}

static int inet_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct inet_obj *obj = vec_add(&c->m.inets);
	char name[80];

	obj->id = (uint32_t)c->m.inets.nr;
	ret->of = obj->id;
	if (cpt_inet_collect_one(c, fd, obj, err))
		return err_ctx(err, "%s", cpt_inet_name(obj, name));
	return 0;
}

const struct cpt_file_kind cpt_inet_kind = {
	.kind = FILE_INET,
	.match = inet_match,
	.check = inet_check,
	.collect = inet_collect,
	.finish = cpt_acceptq_collect,
};
