// SPDX-License-Identifier: GPL-2.0-only
/* TCP and UDP sockets: all are made when the first is asked for, as those that share ports must come in
 * order. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <sys/socket.h>

#include "kernel/acceptq.h"
#include "kernel/netlock.h"
#include "rst/sock.h"

#define ST_LISTEN 10

bool rst_inet_any(const struct bytes *ip)
{
	for (size_t i = 0; i < ip->len_bytes; i++)
		if (ip->at[i])
			return false;
	return true;
}

socklen_t rst_inet_addr(const struct inet_obj *obj, const struct bytes *ip, uint32_t port,
			union sock_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sa.sa_family = (sa_family_t)obj->family;
	if (obj->family == AF_INET6) {
		ret->in6.sin6_port = htons((uint16_t)port);
		memcpy(&ret->in6.sin6_addr, ip->at, 16);
		if (IN6_IS_ADDR_LINKLOCAL(&ret->in6.sin6_addr))
			ret->in6.sin6_scope_id = obj->scope_id;
		return sizeof(ret->in6);
	}
	ret->in.sin_port = htons((uint16_t)port);
	memcpy(&ret->in.sin_addr, ip->at, 4);
	return sizeof(ret->in);
}

int rst_inet_bind(int fd, const struct inet_obj *obj, struct err *err)
{
	union sock_addr a;
	socklen_t len = rst_inet_addr(obj, &obj->src, obj->src_port, &a);
	int on = 1, wanted = rst_sock_option(&obj->options, IPPROTO_IP, IP_FREEBIND, 0);

	/* the address may have gone from the VE since, or may be waiting for duplicate address detection */
	if (rst_sock_set_int(fd, IPPROTO_IP, IP_FREEBIND, on, "IP_FREEBIND", err))
		return -1;
	if (bind(fd, &a.sa, len))
		return err_sys(err, "bind");
	return rst_sock_set_int(fd, IPPROTO_IP, IP_FREEBIND, wanted, "IP_FREEBIND", err);
}

int rst_inet_device(int fd, const struct inet_obj *obj, struct err *err)
{
	if (!obj->device)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, obj->device, (socklen_t)strlen(obj->device)))
		return err_sys(err, "binding to the device %s", obj->device);
	return 0;
}

static const char *name_of(const struct inet_obj *obj, char ret[static 80])
{
	char ip[INET6_ADDRSTRLEN] = "?";

	inet_ntop(obj->family, obj->src.at, ip, sizeof(ip));
	snprintf(ret, 80, "%s socket %u at %.45s:%u", obj->type == SOCK_STREAM ? "TCP" : "UDP", obj->id, ip,
		 obj->src_port);
	return ret;
}

static int sane(const struct inet_obj *obj, struct err *err)
{
	size_t ip_bytes = obj->family == AF_INET6 ? 16 : 4;
	bool tcp = obj->type == SOCK_STREAM && obj->protocol == IPPROTO_TCP;

	if ((obj->family != AF_INET && obj->family != AF_INET6) ||
	    (!tcp && (obj->type != SOCK_DGRAM || obj->protocol != IPPROTO_UDP)))
		return err_set(err, ERR_IMAGE, "socket %u: family %d, type %d, protocol %d", obj->id,
			       obj->family, obj->type, obj->protocol);
	if (obj->src.len_bytes != ip_bytes || (obj->dst.len_bytes && obj->dst.len_bytes != ip_bytes) ||
	    obj->src_port > 65535 || obj->dst_port > 65535)
		return err_set(err, ERR_IMAGE, "socket %u: address", obj->id);
	if (obj->unsent_bytes > obj->send_queue.len_bytes)
		return err_set(err, ERR_IMAGE, "socket %u: unsent bytes", obj->id);
	return 0;
}

static int new_socket(const struct rst *r, const struct inet_obj *obj, int *ret_fd, struct err *err)
{
	_fd_ int fd = socket(obj->family, obj->type | SOCK_CLOEXEC, obj->protocol);

	if (fd < 0)
		return err_sys(err, "socket");
	if (rst_sock_own(r, fd, obj->owner_uid, obj->owner_gid, err))
		return -1;
	*ret_fd = fd_take(&fd);
	return 0;
}

static int make_one(struct rst *r, const struct inet_obj *obj, int *ret_fd, struct err *err)
{
	_fd_ int fd = -1;

	if (new_socket(r, obj, &fd, err))
		return -1;
	if (obj->type == SOCK_DGRAM) {
		if (rst_udp_make(r, fd, obj, err))
			return -1;
	} else if (rst_tcp_is_connection(obj)) {
		if (rst_tcp_connection(r, fd, obj, err))
			return -1;
	} else if (rst_tcp_bind(r, fd, obj, err)) {
		return -1;
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

/* Connections that nobody had accepted. Where the kernel cannot make them, their far ends will see a reset.
 */
static int fill_listeners(struct rst *r, struct err *err)
{
	struct acceptq *q = NULL;
	struct inject *in;
	char name[80];

	vec_each(obj, &r->m.inets) {
		const struct acceptq_conn conn = acceptq_conn_of(obj);
		struct err own = ERR_INIT;

		if (!obj->listener)
			continue;
		if (rst_sock_inject(r, &in, err))
			return -1;
		if ((!q && acceptq_open(r->netlock ? netlock_mark(r->netlock) : 0, &q, &own)) ||
		    acceptq_add(q, in, &conn, &own))
			log_warn("%s, not accepted yet, is lost: %s", name_of(obj, name), own.msg);
		if (!q)
			return 0;
	}
	acceptq_close(q);
	return 0;
}

/* Whether a port can be bound depends on who listens there already, so nobody listens before all are bound;
 * connections, which are bound by force, come last. */
int rst_inet_make_all(struct rst_apart *a, struct err *err)
{
	struct rst *r = a->r;
	struct rst_sock_state *s = r->sock;
	char name[80];

	for (size_t i = 0; i < r->m.inets.nr; i++)
		if (sane(&r->m.inets.at[i], err))
			return -1;
	for (int pass = 0; pass < 3; pass++) {
		for (size_t i = 0; i < r->m.inets.nr; i++) {
			const struct inet_obj *obj = &r->m.inets.at[i];
			bool connection = obj->type == SOCK_STREAM && rst_tcp_is_connection(obj);
			int result = 0;

			if (obj->listener)
				continue;
			if (pass == 1 && obj->type == SOCK_STREAM && obj->state == ST_LISTEN)
				result = rst_tcp_listen(s->inet_fds[i], obj, err);
			else if (pass == (connection ? 2 : 0))
				result = make_one(r, obj, &s->inet_fds[i], err);
			if (result)
				return err_ctx(err, "%s", name_of(obj, name));
		}
	}
	return fill_listeners(r, err);
}

static int inet_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	const struct inet_obj *obj = model_inet(&r->m, f->of);
	struct rst_sock_state *s;
	size_t index;

	if (rst_sock_make(r, err))
		return -1;
	s = r->sock;
	if (!obj)
		return err_set(err, ERR_IMAGE, "socket %u is not there", f->of);
	index = (size_t)(obj - r->m.inets.at);
	if (s->inet_fds[index] < 0)
		return err_set(err, ERR_IMAGE, "socket %u belongs to two files", f->of);
	if (fcntl(s->inet_fds[index], F_SETFL, (int)(f->flags & O_NONBLOCK)))
		return err_sys(err, "flags of socket %u", f->of);
	*ret_fd = fd_take(&s->inet_fds[index]);
	return 0;
}

const struct rst_file_kind rst_inet_kind = {.kind = FILE_INET, .open = inet_open};
