// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets, in two phases. First all are made: those with a far end together with it, by socketpair, or by connect and
 * accept where one end has the name of a listener. When all files are open, queues are filled, datagram sockets connected, far
 * ends that are gone closed, halves shut down.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>

#include "rst/sock.h"
#include "rst/unix_name.h"

static struct unix_obj *obj_of(const struct rst_apart *a, size_t i)
{
	return &a->r->m.unixs.at[i];
}

static size_t index_of(const struct rst_apart *a, uint32_t id)
{
	return (size_t)(model_unix(&a->r->m, id) - a->r->m.unixs.at); /* model_validate: it exists */
}

/* --- making --- */

static int new_socket(const struct unix_obj *obj, int *ret_fd, struct err *err)
{
	*ret_fd = socket(AF_UNIX, obj->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return *ret_fd < 0 ? err_sys(err, "socket") : 0;
}

static int new_pair(const struct unix_obj *obj, int *ret_a, int *ret_b, struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, obj->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		return err_sys(err, "socketpair");
	*ret_a = fds[0];
	*ret_b = fds[1];
	return 0;
}

/* The name that it gave itself. */
static int bind_own(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *u = &a->r->sock->unixs[i];
	const struct unix_obj *obj = obj_of(a, i);

	if (!obj->name.len_bytes || obj->accepted)
		return 0;
	return rst_unix_name_bind(a, u->fd, &obj->name, obj, &u->handle, err);
}

static int make_single(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *u = &a->r->sock->unixs[i];
	const struct unix_obj *obj = obj_of(a, i);

	if (new_socket(obj, &u->fd, err) || bind_own(a, i, err))
		return -1;
	if (obj->state != SOCK_ST_LISTEN)
		return 0;
	/* who connects will see this as the far end's ids */
	if (rst_apart_become(a, obj->peer_uid, obj->peer_gid, err))
		return -1;
	if (listen(u->fd, (int)obj->backlog))
		return err_sys(err, "listen");
	return rst_apart_become(a, 0, 0, err);
}

/* Index of a listener of that name; -1: it is gone. */
static ssize_t find_listener(const struct rst_apart *a, const struct unix_obj *named)
{
	for (size_t i = 0; i < a->r->m.unixs.nr; i++) {
		const struct unix_obj *o = obj_of(a, i);

		if (o->state == SOCK_ST_LISTEN && o->type == named->type && o->name.len_bytes == named->name.len_bytes &&
		    !memcmp(o->name.at, named->name.at, o->name.len_bytes))
			return (ssize_t)i;
	}
	return -1;
}

static int connect_to(int fd, int handle, const struct bytes *name, struct err *err)
{
	struct sockaddr_un to;
	unsigned len = rst_unix_name_address(handle, name, &to);

	if (!len)
		return err_set(err, ERR_IMAGE, "it is connected to a socket without a name");
	return connect(fd, (struct sockaddr *)&to, len) ? err_sys(err, "connect") : 0;
}

/* The far end of `client` gets the name of its listener, so it comes from one: the one that is there, or one for the moment. */
static int accept_named(struct rst_apart *a, const struct unix_obj *named, int client, int *ret_fd, struct err *err)
{
	ssize_t at = find_listener(a, named);
	_fd_ int listener = -1, handle = -1;
	const struct rst_unix *there = at >= 0 ? &a->r->sock->unixs[at] : NULL;

	if (!there) {
		if (new_socket(named, &listener, err) || rst_unix_name_bind(a, listener, &named->name, NULL, &handle, err))
			return -1;
		if (listen(listener, 1))
			return err_sys(err, "listen");
	}
	if (rst_apart_become(a, named->peer_uid, named->peer_gid, err) ||
	    connect_to(client, there ? there->handle : handle, &named->name, err) || rst_apart_become(a, 0, 0, err))
		return -1;
	*ret_fd = accept4(there ? there->fd : listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return *ret_fd < 0 ? err_sys(err, "accept") : 0;
}

static int socketpair_as(struct rst_apart *a, const struct unix_obj *obj, int *ret_a, int *ret_b, struct err *err)
{
	if (rst_apart_become(a, obj->peer_uid, obj->peer_gid, err) || new_pair(obj, ret_a, ret_b, err))
		return -1;
	return rst_apart_become(a, 0, 0, err);
}

/* Two ends that are both there. */
static int make_pair(struct rst_apart *a, size_t i, size_t j, struct err *err)
{
	struct rst_unix *items = a->r->sock->unixs;
	size_t named = obj_of(a, i)->accepted ? i : j, client = named == i ? j : i;

	if (obj_of(a, named)->accepted) {
		if (new_socket(obj_of(a, client), &items[client].fd, err) || bind_own(a, client, err) ||
		    accept_named(a, obj_of(a, named), items[client].fd, &items[named].fd, err))
			return -1;
	} else if (socketpair_as(a, obj_of(a, i), &items[i].fd, &items[j].fd, err) || bind_own(a, i, err) || bind_own(a, j, err)) {
		return -1;
	}
	items[i].pair = obj_of(a, j)->id;
	items[j].pair = obj_of(a, i)->id;
	return 0;
}

/* One end, and one of ours for the one that is gone. */
static int make_with_mate(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *u = &a->r->sock->unixs[i];
	const struct unix_obj *obj = obj_of(a, i);

	if (obj->accepted) {
		if (new_socket(obj, &u->mate, err))
			return -1;
		return accept_named(a, obj, u->mate, &u->fd, err);
	}
	if (socketpair_as(a, obj, &u->fd, &u->mate, err))
		return -1;
	return bind_own(a, i, err);
}

/* A connection that its listener has not accepted yet. */
static int make_waiting(struct rst_apart *a, size_t listener, size_t i, struct err *err)
{
	struct rst_unix *items = a->r->sock->unixs;
	const struct unix_obj *l = obj_of(a, listener), *obj = obj_of(a, i);

	if (items[i].fd >= 0 || obj->state != SOCK_ST_CONNECTED)
		return err_set(err, ERR_IMAGE, "it waits to be accepted, and is something else");
	if (new_socket(obj, &items[i].fd, err) || bind_own(a, i, err))
		return -1;
	return connect_to(items[i].fd, items[listener].handle, &l->name, err);
}

/*
 * Only who was made with an unnamed datagram socket can be connected to it. One that has datagrams, and no name and no such
 * partner any more, needs one for as long as its queue is filled.
 */
static int make_datagram(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *items = a->r->sock->unixs;
	const struct unix_obj *obj = obj_of(a, i);
	size_t peer = obj->peer ? index_of(a, obj->peer) : i;

	if (peer != i && !obj_of(a, peer)->name.len_bytes && items[peer].fd < 0)
		return make_pair(a, i, peer, err);
	for (size_t j = i + 1; !obj->name.len_bytes && j < a->r->m.unixs.nr; j++)
		if (obj_of(a, j)->peer == obj->id && items[j].fd < 0)
			return make_pair(a, i, j, err);
	if (obj->peer_gone || (obj->queue.nr && !obj->name.len_bytes))
		return make_with_mate(a, i, err);
	return make_single(a, i, err);
}

static bool waits(const struct rst_apart *a, uint32_t id)
{
	vec_each(o, &a->r->m.unixs)
		vec_each(p, &o->pending)
			if (*p == id)
				return true;
	return false;
}

static int make_connected(struct rst_apart *a, size_t i, struct err *err)
{
	const struct unix_obj *obj = obj_of(a, i);

	if (!obj->peer)
		return waits(a, obj->id) ? 0 : make_with_mate(a, i, err);
	if (obj->peer == obj->id)
		return err_set(err, ERR_IMAGE, "it is connected to itself");
	return make_pair(a, i, index_of(a, obj->peer), err);
}

static int settle_one(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *u = &a->r->sock->unixs[i];
	const struct unix_obj *obj = obj_of(a, i);

	if (u->fd < 0)
		return err_set(err, ERR_IMAGE, "it was not made");
	if (rst_sock_own(a->r, u->fd, obj->owner_uid, obj->owner_gid, err) || rst_sock_grow(u->fd, 0, 0, &u->sizes, err))
		return -1;
	return 0;
}

int rst_unix_make_all(struct rst_apart *a, struct err *err)
{
	const struct rst_sock_state *s = a->r->sock;

	for (int pass = 0; pass < 4; pass++) {
		for (size_t i = 0; i < s->nr_unixs; i++) {
			const struct unix_obj *obj = obj_of(a, i);
			bool connected = obj->type != SOCK_DGRAM && obj->state == SOCK_ST_CONNECTED;
			int r = 0;

			if (pass == 0 && !connected && s->unixs[i].fd < 0)
				r = obj->type == SOCK_DGRAM ? make_datagram(a, i, err) : make_single(a, i, err);
			else if (pass == 1 && connected && s->unixs[i].fd < 0)
				r = make_connected(a, i, err);
			for (size_t k = 0; pass == 2 && !r && k < obj->pending.nr; k++)
				r = make_waiting(a, i, index_of(a, obj->pending.at[k]), err);
			if (pass == 3)
				r = settle_one(a, i, err);
			if (r)
				return err_ctx(err, "unix socket %u", obj->id);
		}
	}
	return 0;
}

static int unix_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	const struct unix_obj *obj = model_unix(&r->m, f->of);
	struct rst_unix *u;

	if (rst_sock_make(r, err))
		return -1;
	if (!obj)
		return err_set(err, ERR_IMAGE, "unix socket %u is not there", f->of);
	u = &r->sock->unixs[obj - r->m.unixs.at];
	if (u->handed_out)
		return err_set(err, ERR_IMAGE, "unix socket %u belongs to two files", f->of);
	if (fcntl(u->fd, F_SETFL, (int)(f->flags & O_NONBLOCK)))
		return err_sys(err, "flags of unix socket %u", f->of);
	u->handed_out = true;
	*ret_fd = u->fd;
	return 0;
}

/* --- connecting --- */

/* Who is connected to a socket must be so before that connects elsewhere: from then on it refuses others (unix_may_send). */
static bool others_first(const struct rst_apart *a, size_t i, const bool *done)
{
	const struct unix_obj *obj = obj_of(a, i);

	for (size_t j = 0; j < a->r->m.unixs.nr; j++) {
		const struct unix_obj *o = obj_of(a, j);

		if (j != i && !done[j] && o->type == SOCK_DGRAM && o->peer == obj->id && obj->peer != o->id)
			return true;
	}
	return false;
}

static int connect_datagram(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *u = &a->r->sock->unixs[i];
	const struct unix_obj *obj = obj_of(a, i), *peer = obj->peer ? model_unix(&a->r->m, obj->peer) : NULL;
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	if (obj->type != SOCK_DGRAM || obj->peer_gone || (obj->peer && u->pair == obj->peer))
		return 0;
	if (peer)
		return connect_to(u->fd, a->r->sock->unixs[peer - a->r->m.unixs.at].handle, &peer->name, err);
	if ((u->pair || u->mate >= 0) && connect(u->fd, &none, sizeof(none)))
		return err_sys(err, "connect to nobody");
	return 0;
}

static int connect_datagrams(struct rst_apart *a, struct err *err)
{
	size_t nr = a->r->m.unixs.nr, left = nr, before;
	_free_ bool *done = mem_alloc(nr + 1);

	do {
		before = left;
		for (size_t i = 0; i < nr; i++) {
			if (done[i] || others_first(a, i, done))
				continue;
			if (connect_datagram(a, i, err))
				return err_ctx(err, "unix socket %u", obj_of(a, i)->id);
			done[i] = true;
			left--;
		}
	} while (left && left != before);
	return left ? err_set(err, ERR_IMAGE, "unix datagram sockets are connected in a ring") : 0;
}

/* A far end that closes with something unread leaves an error (unix_release_sock). */
static int close_mate(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *u = &a->r->sock->unixs[i];
	const struct unix_obj *obj = obj_of(a, i);

	if (u->mate < 0)
		return 0;
	if (obj->reset && obj->type != SOCK_DGRAM && send(u->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return err_sys(err, "far end that is gone");
	cleanup_fd(&u->mate);
	u->mate = -1;
	return 0;
}

static int finish_one(struct rst_apart *a, size_t i, struct err *err)
{
	static const int how[] = {0, SHUT_RD, SHUT_WR, SHUT_RDWR};
	struct rst_unix *u = &a->r->sock->unixs[i];
	const struct unix_obj *obj = obj_of(a, i);

	if (close_mate(a, i, err))
		return -1;
	if (obj->shutdown & 3 && !(obj->peer_gone && obj->type != SOCK_DGRAM) && shutdown(u->fd, how[obj->shutdown & 3]) &&
	    errno != ENOTCONN)
		return err_sys(err, "shutdown");
	u->sizes.grown = true; /* rst_unix_room may have done it to any of them */
	if (rst_sock_settle(u->fd, &u->sizes, &obj->options, err))
		return -1;
	for (int stage = SOCKOPT_EARLY; stage <= SOCKOPT_LATE; stage++)
		if (rst_sock_set_options(u->fd, AF_UNIX, obj->type, &obj->options, (enum sockopt_stage)stage, err))
			return -1;
	return 0;
}

static int connect_all(struct rst_apart *a, struct err *err)
{
	size_t nr = a->r->m.unixs.nr;

	for (size_t i = 0; i < nr; i++)
		if (rst_unix_fill(a, i, err))
			return err_ctx(err, "unix socket %u", obj_of(a, i)->id);
	if (connect_datagrams(a, err))
		return -1;
	for (size_t i = 0; i < nr; i++)
		if (finish_one(a, i, err))
			return err_ctx(err, "unix socket %u", obj_of(a, i)->id);
	return 0;
}

static int unix_connect(struct rst *r, struct err *err)
{
	return r->sock && r->m.unixs.nr ? rst_apart_run(r, connect_all, err) : 0;
}

const struct rst_file_kind rst_unix_kind = {.kind = FILE_UNIX, .open = unix_open, .connect = unix_connect};
