// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections that nobody has accepted yet can be read only when they are accepted, by us. They stay ours
 * then: if the VE goes on, they are made anew in the queue they came from, as a restore does it elsewhere.
 */
#include "kernel/acceptq.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>

#include "cpt/sock.h"
#include "facts/kernel.h"
#include "kernel/netlock.h"
#include "kernel/netns.h"

#define ST_ESTABLISHED 1
#define ST_CLOSE_WAIT  8

bool cpt_acceptq_works(struct cpt_sock_state *s)
{
	if (!s->knows_acceptq)
		s->has_acceptq = kernel_has_function(KERNEL_ACCEPT_QUEUE);
	s->knows_acceptq = true;
	return s->has_acceptq;
}

int cpt_acceptq_note(struct cpt *c, int listener_fd, uint32_t id, struct err *err)
{
	int copy = fcntl(listener_fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return err_sys(err, "dup");
	vec_push(&c->sock->listeners, ((struct cpt_held){copy, id}));
	return 0;
}

/* Closed in repair mode a connection ends without a packet, even if that is by our death. */
static void make_silent(int fd)
{
	int on = TCP_REPAIR_ON;

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)))
		log_debug("TCP_REPAIR: %s", strerror(errno));
}

void cpt_acceptq_free(struct cpt_sock_state *s)
{
	vec_each(h, &s->listeners)
		cleanup_fd(&h->fd);
	vec_each(h, &s->waiting)
		cleanup_fd(&h->fd);
	vec_free(&s->listeners);
	vec_free(&s->waiting);
}

static int collect_conn(struct cpt *c, int fd, uint32_t listener_id, struct err *err)
{
	struct cpt_fd as_fd = {.fd = -1, .local = fd};
	struct inet_obj *obj = vec_add(&c->m.inets);
	char name[80];

	obj->id = (uint32_t)c->m.inets.nr;
	obj->listener = listener_id;
	if (fstat(fd, &as_fd.st))
		return err_sys(err, "fstat");
	if (cpt_inet_collect_one(c, &as_fd, obj, err))
		return -1;
	make_silent(fd);
	if ((obj->state == ST_ESTABLISHED || obj->state == ST_CLOSE_WAIT) && !obj->send_queue.len_bytes)
		return 0;
	/* reset by its far end; or fast open, where data went out with the handshake */
	log_info("%s, not accepted yet, is not kept (TCP state %u)", cpt_inet_name(obj, name), obj->state);
	model_free_inet(obj);
	c->m.inets.nr--;
	return 0;
}

static int empty_listener(struct cpt *c, const struct cpt_held *listener, struct err *err)
{
	struct pollfd p = {listener->fd, POLLIN, 0};

	while (poll(&p, 1, 0) == 1 && p.revents & POLLIN) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC), result;

		if (fd < 0)
			return err_sys(err, "accept");
		result = collect_conn(c, fd, listener->id, err);
		vec_push(&c->sock->waiting,
			 ((struct cpt_held){fd, result ? 0 : c->m.inets.at[c->m.inets.nr - 1].id}));
		if (result)
			return -1;
	}
	return 0;
}

int cpt_acceptq_collect(struct cpt *c, struct err *err)
{
	for (size_t i = 0; c->sock && i < c->sock->listeners.nr; i++)
		if (empty_listener(c, &c->sock->listeners.at[i], err))
			return err_ctx(err, "TCP listener");
	return 0;
}

static int put_back(struct cpt *c, struct acceptq *q, const struct inject *in, struct err *err)
{
	vec_each(obj, &c->m.inets) {
		const struct acceptq_conn conn = acceptq_conn_of(obj);
		char name[80];

		if (obj->listener && acceptq_add(q, in, &conn, err))
			log_warn("%s, not accepted yet, is lost: %s", cpt_inet_name(obj, name), err->msg);
	}
	return 0;
}

static int put_back_all(struct cpt *c, struct err *err)
{
	_netns_ struct netns_scope scope;
	uint32_t mark = c->netlock ? netlock_mark(c->netlock) : 0;
	struct inject in;
	struct acceptq *q;
	int r;

	if (netns_enter(&scope, c->run.netns_fd, err) || inject_open(mark, &in, err))
		return -1;
	r = acceptq_open(mark, &q, err);
	if (!r) {
		r = put_back(c, q, &in, err);
		acceptq_close(q);
	}
	inject_close(&in);
	return r;
}

void cpt_sock_resume(struct cpt *c)
{
	struct err err = ERR_INIT;

	if (!c->sock || !c->sock->waiting.nr)
		return;
	cpt_acceptq_free(c->sock); /* they make room for what comes in their place */
	if (put_back_all(c, &err))
		log_warn("TCP connections that nobody has accepted yet are lost: %s", err.msg);
}
