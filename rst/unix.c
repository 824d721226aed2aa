// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets, in two phases. First all are made: those with a far end together with it, by socketpair, or
 * by connect and accept where one end has the name of a listener. When all files are open, queues are filled,
 * datagram sockets connected, far ends that are gone closed, halves shut down.
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

static struct rst_unix *item(const struct rst_apart *a, size_t i)
{
	return &a->r->sock->unixs[i];
}

/* --- how each is made --- */

static void plan_two(struct rst_unix *items, size_t i, enum rst_unix_way way, size_t j,
		     enum rst_unix_way other_way)
{
	items[i].way = way;
	items[i].other = (ssize_t)j;
	items[j].way = other_way;
	items[j].other = (ssize_t)i;
}

/*
 * Only who was made with an unnamed datagram socket can be connected to it. One that has datagrams, and no
 * name and no such partner any more, needs one for as long as its queue is filled.
 */
static void plan_datagram(const struct model *m, struct rst_unix *items, size_t i)
{
	const struct unix_obj *obj = &m->unixs.at[i];
	const struct unix_obj *peer = obj->peer ? model_unix(m, obj->peer) : NULL;
	size_t at = peer ? (size_t)(peer - m->unixs.at) : i;

	if (at != i && !peer->name.len_bytes && !items[at].way) {
		plan_two(items, i, UNIX_PAIR, at, UNIX_PAIR);
		return;
	}
	for (size_t j = i + 1; !obj->name.len_bytes && j < m->unixs.nr; j++) {
		if (m->unixs.at[j].peer == obj->id && !items[j].way) {
			plan_two(items, i, UNIX_PAIR, j, UNIX_PAIR);
			return;
		}
	}
	items[i].way = obj->peer_gone || (obj->queue.nr && !obj->name.len_bytes) ? UNIX_MATE : UNIX_SINGLE;
}

static int plan_connected(const struct model *m, struct rst_unix *items, size_t i, struct err *err)
{
	const struct unix_obj *obj = &m->unixs.at[i], *peer = obj->peer ? model_unix(m, obj->peer) : NULL;
	size_t at = peer ? (size_t)(peer - m->unixs.at) : i;

	if (!peer)
		items[i].way = obj->accepted ? UNIX_ACCEPTED : UNIX_MATE;
	else if (at == i || items[at].way)
		return err_set(err, ERR_IMAGE, "unix socket %u: it is connected to itself", obj->id);
	else if (obj->accepted)
		plan_two(items, i, UNIX_ACCEPTED, at, UNIX_CLIENT);
	else if (peer->accepted)
		plan_two(items, i, UNIX_CLIENT, at, UNIX_ACCEPTED);
	else
		plan_two(items, i, UNIX_PAIR, at, UNIX_PAIR);
	return 0;
}

static int plan_waiting(const struct model *m, struct rst_unix *items, size_t listener, struct err *err)
{
	vec_each(id, &m->unixs.at[listener].pending) {
		const struct unix_obj *obj = model_unix(m, *id);
		struct rst_unix *u = &items[obj - m->unixs.at];

		if (obj->peer || obj->state != SOCK_ST_CONNECTED || u->way)
			return err_set(err, ERR_IMAGE,
				       "unix socket %u: it waits to be accepted, and is something else", *id);
		u->way = UNIX_WAITING;
		u->other = (ssize_t)listener;
	}
	return 0;
}

int rst_unix_plan(struct rst *r, struct err *err)
{
	const struct model *m = &r->m;
	struct rst_unix *items = r->sock->unixs;

	for (size_t i = 0; i < m->unixs.nr; i++)
		if (plan_waiting(m, items, i, err))
			return -1;
	for (size_t i = 0; i < m->unixs.nr; i++) {
		const struct unix_obj *obj = &m->unixs.at[i];

		items[i].by_task = (obj->accepted || obj->state == SOCK_ST_LISTEN) &&
				   rst_unix_task_is_there(r, obj->peer_pid);
		if (items[i].way)
			continue;
		if (obj->type == SOCK_DGRAM)
			plan_datagram(m, items, i);
		else if (obj->state != SOCK_ST_CONNECTED)
			items[i].way = UNIX_SINGLE;
		else if (plan_connected(m, items, i, err))
			return -1;
	}
	return 0;
}

/* --- making --- */

static int new_socket(const struct unix_obj *obj, int *ret_fd, struct err *err)
{
	*ret_fd = socket(AF_UNIX, obj->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return *ret_fd < 0 ? err_sys(err, "socket") : 0;
}

/* The name that it gave itself. */
static int bind_own(struct rst_apart *a, size_t i, struct err *err)
{
	const struct unix_obj *obj = obj_of(a, i);

	if (!obj->name.len_bytes || obj->accepted)
		return 0;
	return rst_unix_name_bind(a, item(a, i)->fd, &obj->name, obj, &item(a, i)->handle, err);
}

/* As who is seen by the far end. */
static int listen_as(struct rst_apart *a, const struct unix_obj *obj, int fd, int backlog, struct err *err)
{
	if (rst_apart_become(a, obj->peer_uid, obj->peer_gid, err))
		return -1;
	if (listen(fd, backlog))
		return err_sys(err, "listen");
	return rst_apart_become(a, 0, 0, err);
}

static int make_single(struct rst_apart *a, size_t i, struct err *err)
{
	const struct unix_obj *obj = obj_of(a, i);

	if (new_socket(obj, &item(a, i)->fd, err) || bind_own(a, i, err))
		return -1;
	/* room for all that are accepted here; the queue's true length is set in the end */
	return obj->state == SOCK_ST_LISTEN ? listen_as(a, obj, item(a, i)->fd, SOMAXCONN, err) : 0;
}

/* Index of a listener of that name; -1: it is gone. */
static ssize_t find_listener(const struct rst_apart *a, const struct unix_obj *named)
{
	for (size_t i = 0; i < a->r->m.unixs.nr; i++) {
		const struct unix_obj *o = obj_of(a, i);

		if (o->state == SOCK_ST_LISTEN && o->type == named->type &&
		    o->name.len_bytes == named->name.len_bytes &&
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

/* A listener for one that is to be accepted: the one that is there, or one for the moment; and who connects
 * to it. */
static int make_door(struct rst_apart *a, size_t i, struct err *err)
{
	const struct unix_obj *obj = obj_of(a, i),
			      *client = item(a, i)->other >= 0 ? obj_of(a, (size_t)item(a, i)->other) : obj;
	struct rst_unix *u = item(a, i);
	ssize_t listener = find_listener(a, obj);

	if (u->other < 0 && new_socket(obj, &u->mate, err))
		return -1;
	if (listener >= 0) {
		u->door = fcntl(item(a, (size_t)listener)->fd, F_DUPFD_CLOEXEC, 3);
		u->door_handle = item(a, (size_t)listener)->handle;
		u->door_handle = u->door_handle < 0 ? -1 : fcntl(u->door_handle, F_DUPFD_CLOEXEC, 3);
		return u->door < 0 ? err_sys(err, "dup") : 0;
	}
	if (new_socket(obj, &u->door, err) ||
	    rst_unix_name_bind(a, u->door, &obj->name, NULL, &u->door_handle, err))
		return -1;
	u->own_door = true;
	return listen_as(a, client, u->door, 1, err);
}

static int make_accepted(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *u = item(a, i);
	const struct unix_obj *obj = obj_of(a, i);
	int client = u->other >= 0 ? item(a, (size_t)u->other)->fd : u->mate;

	if (u->by_task)
		return 0;
	if (rst_apart_become(a, obj->peer_uid, obj->peer_gid, err) ||
	    connect_to(client, u->door_handle, &obj->name, err) || rst_apart_become(a, 0, 0, err))
		return -1;
	u->fd = accept4(u->door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return u->fd < 0 ? err_sys(err, "accept") : 0;
}

static int make_pair(struct rst_apart *a, size_t i, struct err *err)
{
	struct rst_unix *u = item(a, i);
	const struct unix_obj *obj = obj_of(a, i);
	int fds[2];

	if (u->fd < 0) {
		if (rst_apart_become(a, obj->peer_uid, obj->peer_gid, err))
			return -1;
		if (socketpair(AF_UNIX, obj->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
			return err_sys(err, "socketpair");
		u->fd = fds[0];
		*(u->other >= 0 ? &item(a, (size_t)u->other)->fd : &u->mate) = fds[1];
		if (rst_apart_become(a, 0, 0, err))
			return -1;
	}
	return bind_own(a, i, err);
}

static int make_in_pass(struct rst_apart *a, size_t i, int pass, struct err *err)
{
	switch (item(a, i)->way) {
	case UNIX_SINGLE:
		return pass == 0 ? make_single(a, i, err) : 0;
	case UNIX_PAIR:
	case UNIX_MATE:
		return pass == 0 ? make_pair(a, i, err) : 0;
	case UNIX_CLIENT:
	case UNIX_WAITING:
		return pass == 0 && (new_socket(obj_of(a, i), &item(a, i)->fd, err) || bind_own(a, i, err))
			       ? -1
			       : 0;
	case UNIX_ACCEPTED:
		return pass == 1 && (make_door(a, i, err) || make_accepted(a, i, err)) ? -1 : 0;
	}
	return err_set(err, ERR_RESTORE, "it is not in the plan");
}

int rst_unix_make_all(struct rst_apart *a, struct err *err)
{
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < a->r->sock->nr_unixs; i++)
			if (make_in_pass(a, i, pass, err))
				return err_ctx(err, "unix socket %u", obj_of(a, i)->id);
	return 0;
}

int rst_unix_finish_making(struct rst *r, struct err *err)
{
	if (rst_unix_task_accepted(r, err))
		return -1;
	for (size_t i = 0; i < r->sock->nr_unixs; i++) {
		const struct unix_obj *obj = &r->m.unixs.at[i];
		struct rst_unix *u = &r->sock->unixs[i];

		cleanup_fd(&u->door);
		cleanup_fd(&u->door_handle);
		u->door = u->door_handle = -1;
		if (rst_sock_own(r, u->fd, obj->owner_uid, obj->owner_gid, err) ||
		    rst_sock_grow(u->fd, 0, 0, &u->sizes, err))
			return err_ctx(err, "unix socket %u", obj->id);
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

/* Who is connected to a socket must be so before that connects elsewhere: from then on it refuses others
 * (unix_may_send). */
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

	if (obj->type != SOCK_DGRAM || obj->peer_gone ||
	    (peer && u->way == UNIX_PAIR && obj_of(a, (size_t)u->other) == peer))
		return 0;
	if (peer)
		return connect_to(u->fd, a->r->sock->unixs[peer - a->r->m.unixs.at].handle, &peer->name, err);
	if (u->way != UNIX_SINGLE && connect(u->fd, &none, sizeof(none)))
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
	if (obj->shutdown & 3 && !(obj->peer_gone && obj->type != SOCK_DGRAM) &&
	    shutdown(u->fd, how[obj->shutdown & 3]) && errno != ENOTCONN)
		return err_sys(err, "shutdown");
	u->sizes.grown = true; /* rst_unix_room may have done it to any of them */
	if (rst_sock_settle(u->fd, &u->sizes, &obj->options, err))
		return -1;
	for (int stage = SOCKOPT_EARLY; stage <= SOCKOPT_LATE; stage++)
		if (rst_sock_set_options(u->fd, AF_UNIX, obj->type, &obj->options, (enum sockopt_stage)stage,
					 err))
			return -1;
	return 0;
}

/* Where no task does it: listeners get the length of queue they had, and what waits in it. */
static int fill_listeners(struct rst_apart *a, struct err *err)
{
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < a->r->m.unixs.nr; i++) {
			const struct unix_obj *obj = obj_of(a, i),
					      *to = item(a, i)->other >= 0
							    ? obj_of(a, (size_t)item(a, i)->other)
							    : NULL;
			struct rst_unix *u = item(a, i);
			int r = 0;

			if (u->by_task)
				continue;
			if (pass == 0 && obj->state == SOCK_ST_LISTEN)
				r = listen_as(a, obj, u->fd, (int)obj->backlog, err);
			else if (pass == 1 && u->way == UNIX_WAITING)
				r = connect_to(u->fd, item(a, (size_t)u->other)->handle, &to->name, err);
			if (r)
				return err_ctx(err, "unix socket %u", obj->id);
		}
	}
	return 0;
}

static int connect_all(struct rst_apart *a, struct err *err)
{
	size_t nr = a->r->m.unixs.nr;

	for (size_t i = 0; i < nr; i++)
		if (rst_unix_fill(a, i, err))
			return err_ctx(err, "unix socket %u", obj_of(a, i)->id);
	if (connect_datagrams(a, err) || fill_listeners(a, err))
		return -1;
	for (size_t i = 0; i < nr; i++)
		if (finish_one(a, i, err))
			return err_ctx(err, "unix socket %u", obj_of(a, i)->id);
	return 0;
}

static int unix_connect(struct rst *r, struct err *err)
{
	if (!r->sock || !r->m.unixs.nr)
		return 0;
	return rst_apart_run(r, connect_all, err) || rst_unix_task_listen(r, err) ? -1 : 0;
}

const struct rst_file_kind rst_unix_kind = {.kind = FILE_UNIX, .open = unix_open, .connect = unix_connect};
