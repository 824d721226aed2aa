// SPDX-License-Identifier: GPL-2.0-only
#include "rst/sock.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "kernel/netlock.h"
#include "kernel/netns.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

int rst_in_netns(struct rst *r, int (*fn)(struct rst *r, void *arg, struct err *err), void *arg,
		 struct err *err)
{
	_netns_ struct netns_scope scope;

	if (netns_enter(&scope, r->run.netns_fd, err))
		return -1;
	return fn(r, arg, err);
}

static struct rst_sock_state *new_state(const struct model *m)
{
	size_t unixs_at = sizeof(struct rst_sock_state),
	       inets_at = unixs_at + m->unixs.nr * sizeof(struct rst_unix);
	size_t len_bytes = inets_at + m->inets.nr * sizeof(int);
	struct rst_sock_state *s = rst_apart_memory(len_bytes);

	s->len_bytes = len_bytes;
	s->inject = (struct inject){-1, -1};
	s->nr_inets = m->inets.nr;
	s->nr_unixs = m->unixs.nr;
	s->unixs = (struct rst_unix *)((char *)s + unixs_at);
	s->inet_fds = (int *)((char *)s + inets_at);
	for (size_t i = 0; i < s->nr_unixs; i++)
		s->unixs[i] = (struct rst_unix){
			.other = -1, .fd = -1, .handle = -1, .mate = -1, .door = -1, .door_handle = -1};
	for (size_t i = 0; i < s->nr_inets; i++)
		s->inet_fds[i] = -1;
	return s;
}

static int make_all(struct rst_apart *a, struct err *err)
{
	return rst_unix_make_all(a, err) || rst_inet_make_all(a, err) ? -1 : 0;
}

int rst_sock_make(struct rst *r, struct err *err)
{
	if (!r->sock) {
		r->sock = new_state(&r->m);
		r->sock->failed = rst_unix_plan(r, err) || rst_unix_task_pairs(r, err) ||
				  rst_apart_run(r, make_all, err) || rst_unix_finish_making(r, err);
		return r->sock->failed ? -1 : 0;
	}
	return r->sock->failed ? err_set(err, ERR_RESTORE, "sockets could not be made") : 0;
}

int rst_sock_inject(struct rst *r, struct inject **ret, struct err *err)
{
	struct rst_sock_state *s = r->sock;

	if (!s->inject_open && inject_open(r->netlock ? netlock_mark(r->netlock) : 0, &s->inject, err))
		return -1;
	s->inject_open = true;
	*ret = &s->inject;
	return 0;
}

void rst_sock_free(struct rst *r)
{
	struct rst_sock_state *s = r->sock;

	if (!s)
		return;
	for (size_t i = 0; i < s->nr_inets; i++)
		cleanup_fd(&s->inet_fds[i]);
	for (size_t i = 0; i < s->nr_unixs; i++) {
		if (!s->unixs[i].handed_out)
			cleanup_fd(&s->unixs[i].fd);
		cleanup_fd(&s->unixs[i].handle);
		cleanup_fd(&s->unixs[i].mate);
		cleanup_fd(&s->unixs[i].door);
		cleanup_fd(&s->unixs[i].door_handle);
	}
	inject_close(&s->inject);
	rst_apart_memory_free(s, s->len_bytes);
	r->sock = NULL;
}

int rst_sock_set_int(int fd, int level, int name, int value, const char *what, struct err *err)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? err_sys(err, "%s", what) : 0;
}

static int set_filter(int fd, const struct sockopt_desc *d, struct cur *c)
{
	size_t nr = c->left_bytes / 8;
	_free_ struct sock_filter *insns = mem_alloc(nr * sizeof(*insns));
	struct sock_fprog program = {(unsigned short)nr, insns};

	for (size_t i = 0; i < nr; i++) {
		insns[i].code = cur_u16(c);
		insns[i].jt = cur_u8(c);
		insns[i].jf = cur_u8(c);
		insns[i].k = cur_u32(c);
	}
	return setsockopt(fd, d->native_level, d->native_name, &program, sizeof(program));
}

/* The device by its name, in the network namespace of the calling thread, which is the socket's. */
static int join_group(int fd, const struct sockopt_desc *d, const struct bytes *value)
{
	size_t ip_bytes = d->native_level == IPPROTO_IP ? 4 : 16;
	struct group_req req = {0};
	union sock_addr a = {.sa.sa_family = ip_bytes == 4 ? AF_INET : AF_INET6};
	char device[IF_NAMESIZE] = "";

	memcpy(ip_bytes == 4 ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr, value->at, ip_bytes);
	memcpy(device, value->at + ip_bytes, value->len_bytes - ip_bytes);
	memcpy(&req.gr_group, &a, sizeof(req.gr_group));
	req.gr_interface = if_nametoindex(device);
	return req.gr_interface ? setsockopt(fd, d->native_level, MCAST_JOIN_GROUP, &req, sizeof(req)) : -1;
}

static int set_one(int fd, const struct sockopt_desc *d, const struct bytes *value)
{
	struct cur c = cur_of(value->at, value->len_bytes);
	struct timeval tv;
	struct linger linger;
	uint32_t v;

	switch (d->type) {
	case SOCKOPT_TIME:
		tv.tv_sec = (time_t)cur_u64(&c);
		tv.tv_usec = (suseconds_t)cur_u64(&c);
		return setsockopt(fd, d->native_level, d->native_name, &tv, sizeof(tv));
	case SOCKOPT_LINGER:
		linger.l_onoff = (int)cur_u32(&c);
		linger.l_linger = (int)cur_u32(&c);
		return setsockopt(fd, d->native_level, d->native_name, &linger, sizeof(linger));
	case SOCKOPT_TEXT:
		return setsockopt(fd, d->native_level, d->native_name, value->at,
				  (socklen_t)value->len_bytes);
	case SOCKOPT_FILTER:
		return set_filter(fd, d, &c);
	case SOCKOPT_GROUP:
		return join_group(fd, d, value);
	default:
		v = cur_u32(&c);
		return setsockopt(fd, d->native_level, d->native_name, &v, sizeof(v));
	}
}

static bool is_size(const struct sockopt_desc *d)
{
	return d->native_level == SOL_SOCKET &&
	       (d->native_name == SO_SNDBUF || d->native_name == SO_RCVBUF || d->native_name == SO_BUF_LOCK);
}

int rst_sock_set_options(int fd, int family, int type, const sockopt_vec *options, enum sockopt_stage stage,
			 struct err *err)
{
	vec_each(o, options) {
		const struct sockopt_desc *d = sockopt_find(o->level, o->name);

		if (!d || !sockopt_applies(d, family, type) || !sockopt_sane(d, &o->value))
			return err_set(err, ERR_IMAGE, "socket option %d of level %d", o->name, o->level);
		if (d->stage != stage || is_size(d) || !set_one(fd, d, &o->value))
			continue;
		/* an older kernel, or a congestion control that is not here: the connection works all the
		 * same */
		if (errno != ENOPROTOOPT && errno != ENOENT)
			return err_sys(err, "%s", d->text);
		log_warn("%s is not available here; the socket goes without", d->text);
	}
	return 0;
}

int rst_sock_option(const sockopt_vec *options, int32_t level, int32_t name, int otherwise)
{
	vec_each(o, options) {
		struct cur c = cur_of(o->value.at, o->value.len_bytes);

		if (o->level == level && o->name == name && o->value.len_bytes == 4)
			return (int)cur_u32(&c);
	}
	return otherwise;
}

/* The kernel doubles what is set (net/core/sock.c). */
static int set_size(int fd, int name, int bytes, struct err *err)
{
	return rst_sock_set_int(fd, SOL_SOCKET, name, bytes / 2, "buffer size of a socket", err);
}

int rst_sock_grow(int fd, size_t send_bytes, size_t recv_bytes, struct rst_sock_sizes *ret, struct err *err)
{
	socklen_t len = sizeof(int);
	int send, recv;

	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &ret->send, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &ret->recv, &len))
		return err_sys(err, "buffer sizes of a socket");
	send = (int)MIN(send_bytes, (size_t)INT_MAX / 2);
	recv = (int)MIN(recv_bytes, (size_t)INT_MAX / 2);
	if (send > ret->send) {
		ret->grown = true;
		if (set_size(fd, SO_SNDBUFFORCE, send, err))
			return -1;
	}
	if (recv > ret->recv) {
		ret->grown = true;
		if (set_size(fd, SO_RCVBUFFORCE, recv, err))
			return -1;
	}
	return 0;
}

int rst_sock_settle(int fd, const struct rst_sock_sizes *sizes, const sockopt_vec *options, struct err *err)
{
	int send = rst_sock_option(options, SOCKOPT_LEVEL_SOCKET, SOCKOPT_SNDBUF, 0);
	int recv = rst_sock_option(options, SOCKOPT_LEVEL_SOCKET, SOCKOPT_RCVBUF, 0);
	int lock = rst_sock_option(options, SOCKOPT_LEVEL_SOCKET, SOCKOPT_BUF_LOCK, 0);

	if (!sizes->grown && !send && !recv && !lock)
		return 0;
	if (set_size(fd, SO_SNDBUFFORCE, send ? send : sizes->send, err) ||
	    set_size(fd, SO_RCVBUFFORCE, recv ? recv : sizes->recv, err))
		return -1;
	/* Setting a size ends its tuning by the kernel; so say who chose it: Linux 5.14 on. */
	if (setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof(lock)) && errno != ENOPROTOOPT)
		return err_sys(err, "SO_BUF_LOCK");
	return 0;
}

int rst_sock_own(const struct rst *r, int fd, uint32_t uid, uint32_t gid, struct err *err)
{
	/* net/socket.c, sockfs_setattr: this is what SO_REUSEPORT and owner matches go by */
	return fchown(fd, r->run.uid_base + uid, r->run.uid_base + gid) ? err_sys(err, "owner of a socket")
									: 0;
}

static int kick_all(struct rst *r, void *arg, struct err *err)
{
	vec_each(obj, &r->m.inets) {
		struct err own = ERR_INIT;

		if (rst_tcp_is_connection(obj) && rst_tcp_kick(r, obj, &own))
			log_debug("TCP connection %u: %s", obj->id, own.msg);
	}
	return 0;
}

void rst_sock_kick(struct rst *r)
{
	struct err err = ERR_INIT;

	if (r->sock && r->m.inets.nr && rst_in_netns(r, kick_all, NULL, &err))
		log_debug("%s", err.msg);
}
