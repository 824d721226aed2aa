// SPDX-License-Identifier: GPL-2.0-only
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "model/validate.h"

static int validate_queue(const struct model *m, const sock_packet_vec *queue, struct err *err)
{
	vec_each(p, queue) {
		if (p->from_unix && !model_unix(m, p->from_unix))
			return validate_bad(err, "queue: sender %u does not exist", p->from_unix);
		vec_each(file, &p->files) {
			if (!model_file(m, *file))
				return validate_bad(err, "queue: file %u does not exist", *file);
		}
	}
	return 0;
}

static int validate_unix(const struct model *m, const struct unix_obj *u, struct err *err)
{
	const struct unix_obj *peer = u->peer ? model_unix(m, u->peer) : NULL;

	if (u->type != SOCK_STREAM && u->type != SOCK_DGRAM && u->type != SOCK_SEQPACKET)
		return validate_bad(err, "unknown type %d", u->type);
	if (u->peer && !peer)
		return validate_bad(err, "peer %u does not exist", u->peer);
	if (peer && peer->type != u->type)
		return validate_bad(err, "peer %u is of another type", u->peer);
	if (peer && u->type != SOCK_DGRAM && peer->peer != u->id)
		return validate_bad(err, "peer %u is connected to %u", u->peer, peer->peer);
	if (u->pending.nr && u->state != SOCK_ST_LISTEN)
		return validate_bad(err, "does not listen, but connections wait");
	vec_each(id, &u->pending) {
		const struct unix_obj *client = model_unix(m, *id);

		if (!client || client == u || client->type != u->type)
			return validate_bad(
				err, "waiting connection %u does not exist, or is of another type", *id);
	}
	return validate_queue(m, &u->queue, err);
}

static bool is_address(const struct bytes *b, int32_t family, bool or_none)
{
	return b->len_bytes == (family == AF_INET ? 4 : 16) || (or_none && !b->len_bytes);
}

static int validate_inet_queues(const struct model *m, const struct inet_obj *s, struct err *err)
{
	if (s->unsent_bytes > s->send_queue.len_bytes)
		return validate_bad(err, "%u bytes not sent of %zu", s->unsent_bytes,
				    s->send_queue.len_bytes);
	vec_each(p, &s->queue) {
		/* an IPv6 socket gets from IPv4, too */
		if (p->files.nr || (p->from.len_bytes && p->from.len_bytes != 6 && p->from.len_bytes != 18) ||
		    (p->to.len_bytes && p->to.len_bytes != 4 && p->to.len_bytes != 16))
			return validate_bad(err, "queue: impossible sender, destination or descriptors");
	}
	return validate_queue(m, &s->queue, err);
}

static int validate_inet(const struct model *m, const struct inet_obj *s, struct err *err)
{
	const struct inet_obj *listener = s->listener ? model_inet(m, s->listener) : NULL;

	if (s->family != AF_INET && s->family != AF_INET6)
		return validate_bad(err, "unknown family %d", s->family);
	if (s->type != SOCK_STREAM && s->type != SOCK_DGRAM)
		return validate_bad(err, "unknown type %d", s->type);
	if (!is_address(&s->src, s->family, true) || !is_address(&s->dst, s->family, true))
		return validate_bad(err, "impossible address");
	if (s->listener && (!listener || listener == s || s->type != SOCK_STREAM ||
			    listener->type != SOCK_STREAM || listener->state != TCP_LISTEN))
		return validate_bad(err, "listener %u does not exist, or does not listen", s->listener);
	return validate_inet_queues(m, s, err);
}

int validate_sockets(const struct model *m, struct err *err)
{
	vec_each(u, &m->unixs) {
		if (validate_unix(m, u, err))
			return err_ctx(err, "unix %u", u->id);
	}
	vec_each(s, &m->inets) {
		if (validate_inet(m, s, err))
			return err_ctx(err, "inet %u", s->id);
	}
	return 0;
}
