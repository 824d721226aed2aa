// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets. A socket's own facts are collected with its file; what lies in its queue, which may hold
 * further files and sockets, and who is connected with whom is worked out in the end, when all are known.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "cpt/sock.h"
#include "cpt/unix_queue.h"

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* an O_PATH descriptor of the file the socket is bound to */
#endif

#define DIAG_LISTEN 10

static bool unix_match(const struct cpt_fd *fd)
{
	return S_ISSOCK(fd->st.st_mode) && cpt_sock_int(fd->local, SOL_SOCKET, SO_DOMAIN) == AF_UNIX;
}

/* Connections that wait are made again by their client's connect; what the client sent already cannot be read
 * from outside. */
static bool can_carry_waiting(const struct cpt_sock_state *s, const struct sockdiag_unix *listener)
{
	vec_each(ino, &listener->waiting) {
		const struct sockdiag_unix *client = sockdiag_find_unix(&s->diag, *ino);

		if (!client || client->unread_bytes)
			return false;
	}
	return true;
}

static int unix_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	const struct sockdiag_unix *u;
	struct cpt_sock_state *s;
	char where[64];

	if (cpt_sock_check(c, fd, err) || cpt_sock_state(c, &s, err))
		return -1;
	u = sockdiag_find_unix(&s->diag, (uint32_t)fd->st.st_ino);
	if (!u) /* made since then */
		return 0;
	cpt_where(fd->task, fd->fd, where);
	if (u->state == DIAG_LISTEN && !can_carry_waiting(s, u))
		findings_add(c->findings, where, "try again",
			     "unix listener has %u connections with data not accepted yet", u->rqueue);
	if (u->has_peer && u->peer_ino && !sockdiag_find_unix(&s->diag, u->peer_ino))
		findings_add(c->findings, where, "close it",
			     "unix socket connected to a process outside of the VE");
	return 0;
}

/* The name without the NUL that the kernel counts in for names of files. */
static int read_name(int fd, struct bytes *ret, struct err *err)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len))
		return err_sys(err, "getsockname");
	*ret = cpt_unix_name(&a, len);
	return 0;
}

/* Where the file is that it is bound to, unless it is gone. */
static int read_file(const struct cpt *c, int fd, struct unix_obj *obj, struct err *err)
{
	_fd_ int file = ioctl(fd, SIOCUNIXFILE);
	char link[64], path[4096];
	static const char deleted[] = " (deleted)";
	struct stat st;
	ssize_t n;

	if (file < 0) /* abstract, or no name */
		return errno == ENOENT ? 0 : err_sys(err, "SIOCUNIXFILE");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || fstat(file, &st))
		return err_sys(err, "file of a unix socket");
	path[n] = 0;
	if (!st.st_nlink || path[0] != '/' ||
	    (n > (ssize_t)sizeof(deleted) && !strcmp(path + n - (ssize_t)sizeof(deleted) + 1, deleted)))
		return 0;
	obj->path = mem_strdup(path);
	obj->mode = st.st_mode & 07777;
	obj->uid = cpt_sock_id(c, st.st_uid);
	obj->gid = cpt_sock_id(c, st.st_gid);
	return 0;
}

static void read_peer_creds(const struct cpt *c, int fd, struct unix_obj *obj)
{
	struct ucred creds;
	socklen_t len = sizeof(creds);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &creds, &len) || creds.pid <= 0)
		return;
	obj->peer_pid = cpt_sock_pid(c, creds.pid);
	obj->peer_uid = cpt_sock_id(c, creds.uid);
	obj->peer_gid = cpt_sock_id(c, creds.gid);
}

static int collect_one(struct cpt *c, const struct cpt_fd *fd, struct unix_obj *obj, struct err *err)
{
	const struct sockdiag_unix *u = sockdiag_find_unix(&c->sock->diag, (uint32_t)fd->st.st_ino);

	if (!u)
		return err_set(err, ERR_CHECKPOINT, "sock_diag does not know it");
	if (u->type != SOCK_STREAM && u->type != SOCK_DGRAM && u->type != SOCK_SEQPACKET)
		return err_set(err, ERR_CHECKPOINT, "type %u", u->type);
	obj->type = u->type;
	obj->state = u->state == DIAG_LISTEN ? SOCK_ST_LISTEN
		     : u->has_peer	     ? SOCK_ST_CONNECTED
					     : SOCK_ST_CLOSED;
	obj->backlog = obj->state == SOCK_ST_LISTEN ? u->wqueue : 0;
	obj->shutdown = u->shutdown & 3;
	cpt_sock_owner(c, &fd->st, &obj->owner_uid, &obj->owner_gid);
	read_peer_creds(c, fd->local, obj);
	if (read_name(fd->local, &obj->name, err) || read_file(c, fd->local, obj, err))
		return -1;
	obj->reset = obj->type != SOCK_DGRAM && cpt_unix_has_error(fd->local);
	return cpt_sock_options(c, fd->local, AF_UNIX, obj->type, false, &obj->options, err);
}

static int unix_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct unix_obj *obj;
	struct cpt_sock_state *s;
	int copy;

	if (cpt_sock_state(c, &s, err))
		return -1;
	copy = fcntl(fd->local, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return err_sys(err, "dup");
	vec_push(&s->unixs, ((struct cpt_unix){copy, (uint32_t)fd->st.st_ino}));
	obj = vec_add(&c->m.unixs);
	obj->id = (uint32_t)c->m.unixs.nr;
	ret->of = obj->id;
	return collect_one(c, fd, obj, err) ? err_ctx(err, "unix socket %u", (unsigned)fd->st.st_ino) : 0;
}

/* --- when all are known --- */

struct by_ino {
	uint32_t ino, id;
};

typedef VEC(struct by_ino) by_ino_vec;

static int ino_order(const void *a, const void *b)
{
	const struct by_ino *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

static uint32_t id_of_ino(const by_ino_vec *index, uint32_t ino)
{
	const struct by_ino key = {.ino = ino}, *found;

	found = ino && index->nr ? bsearch(&key, index->at, index->nr, sizeof(key), ino_order) : NULL;
	return found ? found->id : 0;
}

static int note_waiting(struct cpt *c, const by_ino_vec *index, struct unix_obj *listener,
			const struct sockdiag_unix *u, struct err *err)
{
	if (!can_carry_waiting(c->sock, u))
		return err_set(
			err, ERR_CHECKPOINT,
			"unix listener has connections with data that nobody has accepted yet; try again");
	vec_each(ino, &u->waiting) {
		uint32_t id = id_of_ino(index, *ino);

		if (id)
			vec_push(&listener->pending, id);
		else
			log_warn("unix listener: a connection from outside of the VE that nobody has "
				 "accepted yet is lost");
	}
	return 0;
}

static bool waits_somewhere(const struct cpt *c, uint32_t id)
{
	vec_each(u, &c->m.unixs)
		vec_each(p, &u->pending)
			if (*p == id)
				return true;
	return false;
}

static int connect_one(struct cpt *c, const by_ino_vec *index, size_t i, struct err *err)
{
	struct unix_obj *obj = &c->m.unixs.at[i];
	const struct sockdiag_unix *u = sockdiag_find_unix(&c->sock->diag, c->sock->unixs.at[i].ino);

	if (!u || !u->has_peer)
		return 0;
	obj->peer = id_of_ino(index, u->peer_ino);
	if (u->peer_ino && !obj->peer)
		return err_set(err, ERR_CHECKPOINT,
			       "unix socket %u is connected to a process outside of the VE", u->ino);
	obj->peer_gone = !obj->peer && !waits_somewhere(c, obj->id);
	return 0;
}

static bool same_name(const struct unix_obj *a, const struct unix_obj *b)
{
	return a->type == b->type && a->name.len_bytes && a->name.len_bytes == b->name.len_bytes &&
	       !memcmp(a->name.at, b->name.at, a->name.len_bytes);
}

/* net/unix/af_unix.c, unix_autobind: NUL and five hexadecimal digits; only who connects gets such a name. */
static bool autobound(const struct unix_obj *obj)
{
	return obj->name.len_bytes == 6 && !obj->name.at[0];
}

/*
 * What accept(2) gives shares the name of its listener, which is not told. So: who has the name of a
 * listener; else, of a connection with one name, who has it (a client connects to a name); else who was made
 * later (clients are there before).
 */
static bool is_accepted(const struct cpt *c, const struct unix_obj *obj)
{
	const struct unix_obj *peer = obj->peer ? &c->m.unixs.at[obj->peer - 1] : NULL;

	if (obj->type == SOCK_DGRAM || obj->state != SOCK_ST_CONNECTED || !obj->name.len_bytes ||
	    autobound(obj))
		return false;
	vec_each(u, &c->m.unixs)
		if (u->state == SOCK_ST_LISTEN && same_name(u, obj))
			return true;
	if (!peer || !peer->name.len_bytes || autobound(peer))
		return peer;
	vec_each(u, &c->m.unixs)
		if (u->state == SOCK_ST_LISTEN && same_name(u, peer))
			return false;
	return c->sock->unixs.at[obj->id - 1].ino > c->sock->unixs.at[peer->id - 1].ino;
}

/* The sender's name as an id, if a socket in the VE has it. */
static void name_senders(struct cpt *c, struct unix_obj *obj)
{
	vec_each(p, &obj->queue) {
		if (!p->from.len_bytes)
			p->from_unix = obj->peer;
		vec_each(u, &c->m.unixs)
			if (p->from.len_bytes && u->type == obj->type &&
			    u->name.len_bytes == p->from.len_bytes &&
			    !memcmp(u->name.at, p->from.at, p->from.len_bytes))
				p->from_unix = u->id;
	}
}

static int connect_all(struct cpt *c, struct err *err)
{
	by_ino_vec index = {0};
	int r = 0;

	for (size_t i = 0; i < c->m.unixs.nr; i++)
		vec_push(&index, ((struct by_ino){c->sock->unixs.at[i].ino, (uint32_t)i + 1}));
	vec_sort(&index, ino_order);
	for (size_t i = 0; !r && i < c->m.unixs.nr; i++) {
		const struct sockdiag_unix *u = sockdiag_find_unix(&c->sock->diag, c->sock->unixs.at[i].ino);

		if (u && u->state == DIAG_LISTEN && u->waiting.nr)
			r = note_waiting(c, &index, &c->m.unixs.at[i], u, err);
	}
	for (size_t i = 0; !r && i < c->m.unixs.nr; i++)
		r = connect_one(c, &index, i, err);
	vec_free(&index);
	return r;
}

static int unix_finish(struct cpt *c, struct err *err)
{
	struct cpt_sock_state *s = c->sock;

	/* Files in flight may be further unix sockets: the vector grows as it is walked. */
	for (size_t i = 0; i < c->m.unixs.nr; i++) {
		if (cpt_unix_read_queue(c, i, err))
			return err_ctx(err, "unix socket %u", s->unixs.at[i].ino);
		cleanup_fd(&s->unixs.at[i].fd);
		s->unixs.at[i].fd = -1;
	}
	if (connect_all(c, err))
		return -1;
	vec_each(obj, &c->m.unixs)
		obj->accepted = is_accepted(c, obj);
	vec_each(obj, &c->m.unixs) {
		name_senders(c, obj);
		if (obj->accepted) { /* the file is its listener's */
			free(obj->path);
			obj->path = NULL;
		}
	}
	return 0;
}

const struct cpt_file_kind cpt_unix_kind = {
	.kind = FILE_UNIX,
	.match = unix_match,
	.check = unix_check,
	.collect = unix_collect,
	.finish = unix_finish,
};
