// SPDX-License-Identifier: GPL-2.0-only
#include "cpt/sock.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "kernel/netns.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define OVERFLOW_ID 65534 /* fs/proc, kernel/sys.c: what an id without a mapping is shown as */

static const struct {
	int family, type;
} shapes[] = {
	{AF_UNIX, SOCK_STREAM}, {AF_UNIX, SOCK_DGRAM},	 {AF_UNIX, SOCK_SEQPACKET}, {AF_INET, SOCK_STREAM},
	{AF_INET, SOCK_DGRAM},	{AF_INET6, SOCK_STREAM}, {AF_INET6, SOCK_DGRAM},
};

static void native_get(int fd, const struct sockopt_desc *d, struct cpt_sock_default *ret)
{
	socklen_t len = d->type == SOCKOPT_INT ? sizeof(int) : sizeof(ret->value);

	memset(ret->value, 0, sizeof(ret->value));
	ret->missing = getsockopt(fd, d->native_level, d->native_name, ret->value, &len) != 0;
}

/* Options of a new socket, in the calling thread's network namespace. */
static int sample(int family, int type, struct cpt_sock_default **ret, struct err *err)
{
	_fd_ int fd = socket(family, type | SOCK_CLOEXEC, 0);
	struct cpt_sock_default *defaults;

	if (fd < 0)
		return family == AF_INET6 && errno == EAFNOSUPPORT ? 0 : err_sys(err, "new socket");
	defaults = mem_alloc(sockopt_nr * sizeof(*defaults));
	for (size_t i = 0; i < sockopt_nr; i++)
		if (sockopt_applies(&sockopt_table[i], family, type) &&
		    sockopt_table[i].type < SOCKOPT_FILTER)
			native_get(fd, &sockopt_table[i], &defaults[i]);
	*ret = defaults;
	return 0;
}

static int fill_state(struct cpt *c, struct cpt_sock_state *s, struct err *err)
{
	_netns_ struct netns_scope scope;
	_fd_ int fd = -1;
	socklen_t len = sizeof(s->netns_cookie);

	if (netns_enter(&scope, c->run.netns_fd, err) || sockdiag_open(&s->diag, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (sample(shapes[i].family, shapes[i].type, &s->defaults[i], err))
			return -1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &s->netns_cookie, &len))
		s->netns_cookie = 0; /* before Linux 5.14 */
	return sockdiag_read_unix(&s->diag, err) || mcast_read(&s->groups, err) ? -1 : 0;
}

int cpt_sock_state(struct cpt *c, struct cpt_sock_state **ret, struct err *err)
{
	if (!c->sock) {
		c->sock = mem_new(struct cpt_sock_state);
		c->sock->diag.fd = -1;
		if (fill_state(c, c->sock, err)) {
			cpt_sock_free(c);
			return -1;
		}
	}
	*ret = c->sock;
	return 0;
}

int cpt_sock_collect(struct cpt *c, struct err *err)
{
	_netns_ struct netns_scope scope = NETNS_NONE;
	struct cpt_sock_state *s;
	bool known = c->sock;

	if (cpt_sock_state(c, &s, err))
		return -1;
	if (!known)
		return 0;
	if (sockdiag_read_unix(&s->diag, err) || netns_enter(&scope, c->run.netns_fd, err))
		return -1;
	return mcast_read(&s->groups, err);
}

void cpt_sock_free(struct cpt *c)
{
	struct cpt_sock_state *s = c->sock;

	if (!s)
		return;
	sockdiag_close(&s->diag);
	vec_free(&s->groups);
	for (size_t i = 0; i < ARRAY_LEN(s->defaults); i++)
		free(s->defaults[i]);
	vec_each(u, &s->unixs)
		cleanup_fd(&u->fd);
	vec_free(&s->unixs);
	cpt_acceptq_free(s);
	free(s->scratch);
	free(s);
	c->sock = NULL;
}

int cpt_sock_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	struct cpt_sock_state *s;
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	char where[64];

	if (cpt_sock_state(c, &s, err))
		return -1;
	if (s->netns_cookie && !getsockopt(fd->local, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) &&
	    cookie != s->netns_cookie)
		findings_add(c->findings, cpt_where(fd->task, fd->fd, where), "close it",
			     "socket of another network namespace");
	len = 0;
	if (getsockopt(fd->local, SOL_SOCKET, SO_GET_FILTER, NULL, &len) && errno == EACCES)
		findings_add(c->findings, cpt_where(fd->task, fd->fd, where), NULL,
			     "socket with an eBPF program as its filter");
	return 0;
}

static void put_u32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static void put_u64(uint8_t *at, uint64_t v)
{
	put_u32(at, (uint32_t)v);
	put_u32(at + 4, (uint32_t)(v >> 32));
}

static struct bytes wire_value(const struct sockopt_desc *d, const uint8_t *native)
{
	uint8_t wire[16];
	struct timeval tv;
	struct linger linger;
	int v;

	switch (d->type) {
	case SOCKOPT_TIME:
		memcpy(&tv, native, sizeof(tv));
		put_u64(wire, (uint64_t)tv.tv_sec);
		put_u64(wire + 8, (uint64_t)tv.tv_usec);
		return bytes_dup(wire, 16);
	case SOCKOPT_LINGER:
		memcpy(&linger, native, sizeof(linger));
		put_u32(wire, (uint32_t)linger.l_onoff);
		put_u32(wire + 4, (uint32_t)linger.l_linger);
		return bytes_dup(wire, 8);
	case SOCKOPT_TEXT:
		return bytes_dup(native, strnlen((const char *)native, SOCK_OPT_MAX_BYTES));
	default:
		memcpy(&v, native, sizeof(v));
		put_u32(wire, (uint32_t)v);
		return bytes_dup(wire, 4);
	}
}

static void add_filter(int fd, const struct sockopt_desc *d, sockopt_vec *ret)
{
	_free_ struct sock_filter *insns = NULL;
	struct sockopt_obj *o;
	socklen_t nr = 0; /* of instructions, not of bytes: net/core/filter.c, sk_get_filter */
	uint8_t *at;

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &nr) || !nr || nr > BPF_MAXINSNS)
		return;
	insns = mem_alloc(nr * sizeof(*insns));
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, insns, &nr))
		return;
	o = vec_add(ret);
	o->level = d->level;
	o->name = d->name;
	o->value = (struct bytes){mem_alloc(nr * 8), nr * 8};
	at = o->value.at;
	for (socklen_t i = 0; i < nr; i++, at += 8) {
		at[0] = (uint8_t)insns[i].code;
		at[1] = (uint8_t)(insns[i].code >> 8);
		at[2] = insns[i].jt;
		at[3] = insns[i].jf;
		put_u32(at + 4, insns[i].k);
	}
}

/* 1: the socket is in the group, as far as all of its senders go; 2: only some of them; 0: it is not. */
static int membership(int fd, const struct mcast_group *g)
{
	struct group_filter filter = {.gf_interface = g->ifindex};
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)&filter.gf_group;
	struct sockaddr_in *a4 = (struct sockaddr_in *)&filter.gf_group;
	socklen_t len = GROUP_FILTER_SIZE(0);

	filter.gf_group.ss_family = g->ip_bytes == 4 ? AF_INET : AF_INET6;
	memcpy(g->ip_bytes == 4 ? (void *)&a4->sin_addr : (void *)&a6->sin6_addr, g->ip, g->ip_bytes);
	if (getsockopt(fd, g->ip_bytes == 4 ? IPPROTO_IP : IPPROTO_IPV6, MCAST_MSFILTER, &filter, &len))
		return 0;
	return filter.gf_fmode == MCAST_EXCLUDE && !filter.gf_numsrc ? 1 : 2;
}

/* Of a socket that may have joined some; false: it hears some senders of a group only. */
bool cpt_sock_groups(const struct cpt_sock_state *s, int fd, sockopt_vec *ret)
{
	bool all = true;

	vec_each(g, &s->groups) {
		int in = membership(fd, g);
		size_t name_bytes = strlen(g->device);
		struct sockopt_obj *o;

		all &= in != 2;
		if (!in || !ret)
			continue;
		o = vec_add(ret);
		o->level = g->ip_bytes == 4 ? IPPROTO_IP : IPPROTO_IPV6;
		o->name = MCAST_JOIN_GROUP;
		o->value = (struct bytes){mem_alloc(g->ip_bytes + name_bytes), g->ip_bytes + name_bytes};
		memcpy(o->value.at, g->ip, g->ip_bytes);
		memcpy(o->value.at + g->ip_bytes, g->device, name_bytes);
	}
	return all;
}

static const struct cpt_sock_default *defaults_of(const struct cpt_sock_state *s, int family, int type)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (shapes[i].family == family && shapes[i].type == type)
			return s->defaults[i];
	return NULL;
}

int cpt_sock_options(struct cpt *c, int fd, int family, int type, bool connected, sockopt_vec *ret,
		     struct err *err)
{
	const struct cpt_sock_default *defaults;
	struct cpt_sock_state *s;

	if (cpt_sock_state(c, &s, err))
		return -1;
	defaults = defaults_of(s, family, type);
	for (size_t i = 0; defaults && i < sockopt_nr; i++) {
		const struct sockopt_desc *d = &sockopt_table[i];
		struct cpt_sock_default now;

		if (defaults[i].missing || !sockopt_applies(d, family, type) ||
		    (connected && !d->when_connected))
			continue;
		if (d->type == SOCKOPT_FILTER)
			add_filter(fd, d, ret);
		if (d->type >= SOCKOPT_FILTER)
			continue;
		native_get(fd, d, &now);
		if (now.missing || !memcmp(now.value, defaults[i].value, sizeof(now.value)))
			continue;
		vec_push(ret, ((struct sockopt_obj){d->level, d->name, wire_value(d, now.value)}));
	}
	return 0;
}

uint32_t cpt_sock_id(const struct cpt *c, uint32_t host_id)
{
	return host_id >= c->run.uid_base && host_id - c->run.uid_base < 65536 ? host_id - c->run.uid_base
									       : OVERFLOW_ID;
}

void cpt_sock_owner(const struct cpt *c, const struct stat *st, uint32_t *ret_uid, uint32_t *ret_gid)
{
	*ret_uid = cpt_sock_id(c, st->st_uid);
	*ret_gid = cpt_sock_id(c, st->st_gid);
}

uint32_t cpt_sock_pid(const struct cpt *c, pid_t pid)
{
	vec_each(t, &c->tasks)
		if (t->pid == pid)
			return t->vpid;
	return 0;
}

int cpt_sock_int(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) ? -1 : v;
}

uint8_t *cpt_sock_scratch(struct cpt_sock_state *s, size_t len_bytes)
{
	if (s->scratch_bytes < len_bytes) {
		free(s->scratch);
		s->scratch = mem_alloc(len_bytes);
		s->scratch_bytes = len_bytes;
	}
	return s->scratch;
}
