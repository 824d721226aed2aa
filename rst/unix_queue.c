// SPDX-License-Identifier: GPL-2.0-only
/* What waits in unix sockets is sent again, by the sender it came from or one that looks like it. */
#include <errno.h>
#include <limits.h>
#include <sys/un.h>

#include "rst/sock.h"
#include "rst/unix_name.h"

#define FILES_MAX 253 /* SCM_MAX_FD */

int rst_unix_room(int fd, const sock_packet_vec *queue, struct err *err)
{
	enum { OVERHEAD_BYTES = 4096 };
	size_t bytes = 0;
	int now;
	socklen_t len = sizeof(now);

	vec_each(p, queue)
		bytes += 2 * p->data.len_bytes + OVERHEAD_BYTES;
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &now, &len))
		return err_sys(err, "SO_SNDBUF");
	bytes = MIN((bytes + (size_t)now) / 2, (size_t)INT_MAX / 4); /* the kernel doubles it */
	return rst_sock_set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)bytes, "SO_SNDBUFFORCE", err);
}

struct control {
	char bytes[CMSG_SPACE(FILES_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))]
		__attribute__((aligned(8)));
	size_t len_bytes;
};

static void add_control(struct control *c, int type, const void *p, size_t len_bytes)
{
	struct cmsghdr *h = (struct cmsghdr *)(c->bytes + c->len_bytes);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = type;
	h->cmsg_len = CMSG_LEN(len_bytes);
	memcpy(CMSG_DATA(h), p, len_bytes);
	c->len_bytes += CMSG_SPACE(len_bytes);
}

static int make_control(struct rst *r, const struct sock_packet *p, struct control *ret, struct err *err)
{
	int fds[FILES_MAX];

	memset(ret, 0, sizeof(*ret));
	if (p->files.nr > FILES_MAX)
		return err_set(err, ERR_IMAGE, "%zu descriptors in one message", p->files.nr);
	for (size_t i = 0; i < p->files.nr; i++) {
		file_id id = p->files.at[i];

		if (id >= r->nr_file_fds || r->file_fds[id] < 0)
			return err_set(err, ERR_IMAGE, "file %u in its queue is not there", id);
		fds[i] = r->file_fds[id];
	}
	if (p->files.nr)
		add_control(ret, SCM_RIGHTS, fds, p->files.nr * sizeof(int));
	if (p->has_creds) {
		struct rst_task *t = p->cred_pid ? rst_tree_find(r, p->cred_pid) : NULL;
		/* a pid of nobody is refused; ours is none of the VE's, so it is seen as 0 there */
		struct ucred creds = {t ? t->pid : getpid(), r->run.uid_base + p->cred_uid,
				      r->run.uid_base + p->cred_gid};

		add_control(ret, SCM_CREDENTIALS, &creds, sizeof(creds));
	}
	return 0;
}

static int send_packet(struct rst *r, int fd, const struct sock_packet *p, bool stream,
		       struct sockaddr_un *to, unsigned to_len, struct err *err)
{
	struct control control;
	size_t at = 0;

	if (make_control(r, p, &control, err))
		return -1;
	if (stream && !p->data.len_bytes)
		return err_set(err, ERR_IMAGE, "an empty piece of a stream");
	do {
		struct iovec iov = {p->data.at + at, p->data.len_bytes - at};
		struct msghdr msg = {.msg_name = to_len ? to : NULL,
				     .msg_namelen = to_len,
				     .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.len_bytes ? control.bytes : NULL,
				     .msg_controllen = control.len_bytes};
		ssize_t n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return err_sys(err, "filling its queue");
		at += (size_t)n;
		control.len_bytes = 0; /* tied to the first byte */
	} while (at < p->data.len_bytes);
	return 0;
}

static int fill_connected(struct rst_apart *a, const struct unix_obj *obj, int sender, struct err *err)
{
	if (rst_unix_room(sender, &obj->queue, err))
		return -1;
	vec_each(p, &obj->queue)
		if (send_packet(a->r, sender, p, obj->type == SOCK_STREAM, NULL, 0, err))
			return -1;
	return 0;
}

/* A socket that sends under the name of one that is gone. */
static int stand_in(struct rst_apart *a, const struct bytes *name, int *ret_fd, struct err *err)
{
	_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), handle = -1;

	if (fd < 0)
		return err_sys(err, "socket");
	if (name->len_bytes && rst_unix_name_bind(a, fd, name, NULL, &handle, err))
		return -1;
	*ret_fd = fd_take(&fd);
	return 0;
}

/* Datagrams to a socket that was made with its mate: only that can send to it, under whatever name. */
static int fill_by_mate(struct rst_apart *a, const struct unix_obj *obj, const struct rst_unix *u,
			struct err *err)
{
	const struct bytes *from = &obj->queue.at[0].from;

	if (from->len_bytes && !obj->queue.at[0].from_unix) {
		_fd_ int handle = -1;

		if (rst_unix_name_bind(a, u->mate, from, NULL, &handle, err))
			return -1;
	}
	return fill_connected(a, obj, u->mate, err);
}

/* Datagrams to a named socket, each from its sender. */
static int fill_by_name(struct rst_apart *a, const struct unix_obj *obj, const struct rst_unix *u,
			struct err *err)
{
	const struct rst_sock_state *s = a->r->sock;
	struct sockaddr_un to;
	unsigned to_len = rst_unix_name_address(u->handle, &obj->name, &to);

	if (!to_len)
		return err_set(err, ERR_IMAGE, "datagrams wait in a socket that nobody could send to");
	vec_each(p, &obj->queue) {
		_fd_ int other = -1;
		const struct unix_obj *from = p->from_unix ? model_unix(&a->r->m, p->from_unix) : NULL;
		const sock_packet_vec one = {p, 1, 1};
		int sender = from && from->type == SOCK_DGRAM ? s->unixs[from - a->r->m.unixs.at].fd : -1;

		if (sender < 0) {
			if (stand_in(a, &p->from, &other, err))
				return -1;
			sender = other;
		}
		if (rst_unix_room(sender, &one, err) || send_packet(a->r, sender, p, false, &to, to_len, err))
			return -1;
	}
	return 0;
}

int rst_unix_fill(struct rst_apart *a, size_t i, struct err *err)
{
	const struct rst_sock_state *s = a->r->sock;
	const struct unix_obj *obj = &a->r->m.unixs.at[i];
	const struct rst_unix *u = &s->unixs[i];

	if (!obj->queue.nr)
		return 0;
	if (u->mate >= 0)
		return obj->type == SOCK_DGRAM ? fill_by_mate(a, obj, u, err)
					       : fill_connected(a, obj, u->mate, err);
	if (u->other >= 0 && u->way != UNIX_WAITING)
		return fill_connected(a, obj, s->unixs[u->other].fd, err);
	if (obj->type == SOCK_DGRAM)
		return fill_by_name(a, obj, u, err);
	return err_set(err, ERR_IMAGE, "its queue is not empty, and it is not connected");
}
