// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <sys/socket.h>

#include "rst/sock.h"

#define ST_CONNECTED 1
#define ARRIVAL_NS   200000000LL

/* Memory of what waits in the socket. */
static int waiting_bytes(int fd, uint32_t *ret, struct err *err)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len))
		return err_sys(err, "SO_MEMINFO");
	*ret = info[SK_MEMINFO_RMEM_ALLOC];
	return 0;
}

/* Where a datagram is to be sent so that this socket gets it. false: nowhere. */
static bool find_target(const struct inet_obj *obj, const struct sock_packet *p,
			const struct inject_end *from, struct inject_end *ret)
{
	static const uint8_t local4[4] = {127, 0, 0, 1}, local6[16] = {[15] = 1};
	const struct bytes *ip = p->to.len_bytes ? &p->to : &obj->src;

	if (rst_inet_any(ip))
		*ret = from->v6 ? inject_end(local6, 16, obj->src_port, 0)
				: inject_end(local4, 4, obj->src_port, 0);
	else
		*ret = inject_end(ip->at, ip->len_bytes, obj->src_port, obj->scope_id);
	if (ret->v6 ? ret->ip[0] == 0xff : ret->ip[0] >= 224) /* a group, or a broadcast to all */
		return false;
	return ret->v6 == from->v6;
}

/* 1: it is in the queue; 0: it did not get there. */
static int fill_one(struct rst *r, int fd, const struct inet_obj *obj, const struct sock_packet *p,
		    struct err *err)
{
	size_t ip_bytes = obj->family == AF_INET6 ? 16 : 4;
	struct inject_end from, to;
	struct inject *in;
	uint32_t before = 0, now = 0;
	int64_t end_ns;

	if (p->from.len_bytes != ip_bytes + 2 ||
	    (p->to.len_bytes != 0 && p->to.len_bytes != 4 && p->to.len_bytes != 16))
		return err_set(err, ERR_IMAGE, "address of a datagram");
	from = inject_end(p->from.at, ip_bytes,
			  (uint32_t)(p->from.at[ip_bytes] << 8 | p->from.at[ip_bytes + 1]), 0);
	if (!find_target(obj, p, &from, &to))
		return 0;
	if (rst_sock_inject(r, &in, err) || waiting_bytes(fd, &before, err) ||
	    inject_udp(in, &from, &to, p->data.at, p->data.len_bytes, err))
		return -1;
	/* The loopback device delivers at once, unless its soft interrupt was put off. */
	end_ns = io_now_ns() + ARRIVAL_NS;
	while (!waiting_bytes(fd, &now, err)) {
		if (now > before)
			return 1;
		if (io_now_ns() > end_ns)
			return 0;
		sched_yield();
	}
	return -1;
}

static bool reuses_port(const struct inet_obj *obj)
{
	return rst_sock_option(&obj->options, SOCKOPT_LEVEL_SOCKET, SOCKOPT_REUSEPORT, 0);
}

/* How many of its SO_REUSEPORT group were made before it, which is its place in there
 * (udp_reuseport_add_sock). */
static unsigned place_in_group(const struct rst *r, const struct inet_obj *obj)
{
	unsigned nr = 0;

	for (const struct inet_obj *o = r->m.inets.at; o < obj; o++)
		nr += o->type == SOCK_DGRAM && o->family == obj->family && o->src_port == obj->src_port &&
		      o->bound && o->owner_uid == obj->owner_uid &&
		      !memcmp(o->src.at, obj->src.at, obj->src.len_bytes) && reuses_port(o);
	return nr;
}

/* What comes for the group goes to this one alone, or to whom the kernel chooses. */
static int steer(int fd, bool on, unsigned place, struct err *err)
{
	struct sock_filter ret = BPF_STMT(BPF_RET | BPF_K, place);
	struct sock_fprog program = {1, &ret};
	int none = 0;

	if (on ? setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program))
	       : setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof(none)))
		return err_sys(err, "choosing one socket of a group");
	return 0;
}

static int fill(struct rst *r, int fd, const struct inet_obj *obj, struct err *err)
{
	unsigned place = obj->queue.nr && reuses_port(obj) ? place_in_group(r, obj) : 0;
	size_t i = 0;
	int filled = 1;

	if (place && steer(fd, true, place, err))
		return -1;
	for (; filled > 0 && i < obj->queue.nr; i++)
		filled = fill_one(r, fd, obj, &obj->queue.at[i], err);
	if (filled < 0)
		return -1;
	if (!filled) /* what is lost on the way is lost, as UDP is */
		log_warn("UDP socket %u, port %u: %zu datagrams that waited to be read are lost", obj->id,
			 obj->src_port, obj->queue.nr - i + 1);
	return place ? steer(fd, false, 0, err) : 0;
}

static size_t room_bytes(const struct inet_obj *obj)
{
	enum { OVERHEAD_BYTES = 4096 };
	size_t bytes = 0;

	vec_each(p, &obj->queue)
		bytes += 2 * p->data.len_bytes + OVERHEAD_BYTES;
	return bytes;
}

/*
 * The queue is filled before the socket is connected or tied to a device, as it may hold what came before
 * that, and before the next socket of the same port is there.
 */
int rst_udp_make(struct rst *r, int fd, const struct inet_obj *obj, struct err *err)
{
	struct rst_sock_sizes sizes = {0};
	union sock_addr a;
	socklen_t len;

	if (rst_sock_set_options(fd, obj->family, obj->type, &obj->options, SOCKOPT_EARLY, err) ||
	    rst_sock_set_options(fd, obj->family, obj->type, &obj->options, SOCKOPT_QUEUE, err) ||
	    rst_sock_grow(fd, 0, room_bytes(obj), &sizes, err))
		return -1;
	if (!obj->queue.nr && rst_inet_device(fd, obj, err))
		return -1;
	if (obj->bound && rst_inet_bind(fd, obj, err))
		return -1;
	if (fill(r, fd, obj, err) || (obj->queue.nr && rst_inet_device(fd, obj, err)))
		return -1;
	if (obj->state == ST_CONNECTED) {
		if (!obj->dst.len_bytes)
			return err_set(err, ERR_IMAGE, "it is connected to nothing");
		len = rst_inet_addr(obj, &obj->dst, obj->dst_port, &a);
		if (connect(fd, &a.sa, len))
			return err_sys(err, "connect");
	}
	if (obj->shutdown & 1 && shutdown(fd, SHUT_RD) && errno != ENOTCONN)
		return err_sys(err, "shutdown");
	if (rst_sock_settle(fd, &sizes, &obj->options, err))
		return -1;
	return rst_sock_set_options(fd, obj->family, obj->type, &obj->options, SOCKOPT_LATE, err);
}
