// SPDX-License-Identifier: GPL-2.0-only
#include "facts/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>

int sockdiag_open(struct sockdiag *ret, struct err *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return err_sys(err, "sock_diag");
	*ret = (struct sockdiag){.fd = fd};
	return 0;
}

static void drop(struct sockdiag *d)
{
	vec_each(u, &d->unixs) {
		free(u->name.at);
		vec_free(&u->waiting);
	}
	vec_free(&d->unixs);
}

void sockdiag_close(struct sockdiag *d)
{
	drop(d);
	cleanup_fd(&d->fd);
	d->fd = -1;
}

static uint32_t get_u32(const struct rtattr *a, size_t index)
{
	uint32_t v = 0;

	if (RTA_PAYLOAD(a) >= (index + 1) * sizeof(v))
		memcpy(&v, (const char *)RTA_DATA(a) + index * sizeof(v), sizeof(v));
	return v;
}

static void add_attr(struct sockdiag_unix *u, const struct rtattr *a)
{
	switch (a->rta_type) {
	case UNIX_DIAG_NAME:
		free(u->name.at);
		u->name = bytes_dup(RTA_DATA(a), RTA_PAYLOAD(a));
		break;
	case UNIX_DIAG_VFS: /* struct unix_diag_vfs: inode, device */
		u->has_file = true;
		u->file_ino = get_u32(a, 0);
		u->file_dev = get_u32(a, 1);
		break;
	case UNIX_DIAG_PEER:
		u->has_peer = true;
		u->peer_ino = get_u32(a, 0);
		break;
	case UNIX_DIAG_ICONS:
		for (size_t i = 0; i < RTA_PAYLOAD(a) / sizeof(uint32_t); i++)
			vec_push(&u->waiting, get_u32(a, i));
		break;
	case UNIX_DIAG_RQLEN:
		u->rqueue = get_u32(a, 0);
		u->wqueue = get_u32(a, 1);
		break;
	case UNIX_DIAG_MEMINFO:
		u->unread_bytes = get_u32(a, SK_MEMINFO_WMEM_ALLOC);
		break;
	case UNIX_DIAG_SHUTDOWN:
		u->shutdown = RTA_PAYLOAD(a) ? *(const uint8_t *)RTA_DATA(a) : 0;
		break;
	}
}

typedef void message_fn(const struct nlmsghdr *nlh, void *arg);

static void add_socket(const struct nlmsghdr *nlh, void *arg)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(nlh);
	struct sockdiag *d = arg;
	struct sockdiag_unix *u;
	const struct rtattr *a;
	int left;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)))
		return;
	u = vec_add(&d->unixs);
	u->ino = msg->udiag_ino;
	u->type = msg->udiag_type;
	u->state = msg->udiag_state;
	left = (int)(nlh->nlmsg_len - NLMSG_LENGTH(sizeof(*msg)));
	for (a = (const struct rtattr *)(msg + 1); RTA_OK(a, left); a = RTA_NEXT(a, left))
		add_attr(u, a);
}

/* 1: that was the last message. */
static int take_messages(const char *buf, size_t len_bytes, message_fn *fn, void *arg, struct err *err)
{
	unsigned left = (unsigned)len_bytes;

	for (const struct nlmsghdr *nlh = (const void *)buf; NLMSG_OK(nlh, left);
	     nlh = NLMSG_NEXT(nlh, left)) {
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 1;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(nlh);

			errno = nlh->nlmsg_len >= NLMSG_LENGTH(sizeof(*e)) ? -e->error : EPROTO;
			return err_sys(err, "sock_diag");
		}
		if (nlh->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			fn(nlh, arg);
	}
	return 0;
}

static int ask(struct sockdiag *d, const void *req, size_t req_bytes, message_fn *fn, void *arg,
	       struct err *err)
{
	enum { ROOM_BYTES = 64 << 10 }; /* net/netlink/af_netlink.c fills at most 32 KiB a time */
	_free_ char *buf = mem_alloc(ROOM_BYTES);
	struct nlmsghdr nlh = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(req_bytes),
			       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP};
	int done = 0;

	memcpy(buf, &nlh, sizeof(nlh));
	memcpy(buf + NLMSG_HDRLEN, req, req_bytes);
	if (send(d->fd, buf, nlh.nlmsg_len, 0) != (ssize_t)nlh.nlmsg_len)
		return err_sys(err, "sock_diag");
	while (!done) {
		ssize_t n = recv(d->fd, buf, ROOM_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, "sock_diag");
		done = take_messages(buf, (size_t)n, fn, arg, err);
	}
	return done < 0 ? -1 : 0;
}

static int by_ino(const void *a, const void *b)
{
	const struct sockdiag_unix *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

int sockdiag_read_unix(struct sockdiag *d, struct err *err)
{
	const struct unix_diag_req req = {
		.sdiag_family = AF_UNIX,
		.udiag_states = UINT32_MAX,
		.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS |
			      UDIAG_SHOW_RQLEN | UDIAG_SHOW_MEMINFO,
	};

	drop(d);
	if (ask(d, &req, sizeof(req), add_socket, d, err))
		return -1;
	vec_sort(&d->unixs, by_ino);
	return 0;
}

const struct sockdiag_unix *sockdiag_find_unix(const struct sockdiag *d, uint32_t ino)
{
	const struct sockdiag_unix key = {.ino = ino};

	return ino && d->unixs.nr ? bsearch(&key, d->unixs.at, d->unixs.nr, sizeof(key), by_ino) : NULL;
}

struct wanted {
	uint32_t ino;
	bool found;
	uint8_t dst[16];
	uint16_t port;
};

static void match_ino(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(nlh);
	struct wanted *w = arg;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)) || msg->idiag_inode != w->ino)
		return;
	w->found = true;
	memcpy(w->dst, msg->id.idiag_dst, sizeof(w->dst));
	w->port = ntohs(msg->id.idiag_dport);
}

int sockdiag_connecting(struct sockdiag *d, int family, uint32_t ino, uint8_t ret_dst[static 16],
			uint16_t *ret_port, struct err *err)
{
	enum { SYN_SENT = 2 };
	const struct inet_diag_req_v2 req = {.sdiag_family = (uint8_t)family,
					     .sdiag_protocol = IPPROTO_TCP,
					     .idiag_states = 1u << SYN_SENT};
	struct wanted w = {.ino = ino};

	if (ask(d, &req, sizeof(req), match_ino, &w, err))
		return -1;
	if (!w.found)
		return 0;
	memcpy(ret_dst, w.dst, sizeof(w.dst));
	*ret_port = w.port;
	return 1;
}
