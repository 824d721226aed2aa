// SPDX-License-Identifier: GPL-2.0-only
#include "cpt/unix_queue.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "cpt/sock.h"

#define QUEUE_MAX_BYTES (48u << 20) /* must fit into one record of the image */
#define FIRST_TRY_BYTES (64u << 10)
#define FILES_MAX	253 /* SCM_MAX_FD */
#define SCM_PIDFD_	4   /* Linux 6.5 */

struct piece {
	size_t len_bytes;
	struct sockaddr_un from;
	socklen_t from_len;
	struct ucred creds;
	bool has_creds;
	int fds[FILES_MAX];
	size_t nr_fds;
};

struct bytes cpt_unix_name(const struct sockaddr_un *a, socklen_t len)
{
	size_t n = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path)
								: 0;

	if (n && a->sun_path[0] && !a->sun_path[n - 1])
		n--;
	return bytes_dup(a->sun_path, n);
}

bool cpt_unix_has_error(int fd)
{
	struct pollfd p = {fd, 0, 0};

	return poll(&p, 1, 0) > 0 && p.revents & POLLERR;
}

static void close_files(struct piece *p)
{
	for (size_t i = 0; i < p->nr_fds; i++)
		close(p->fds[i]);
	p->nr_fds = 0;
}

static void read_control(struct msghdr *msg, struct piece *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			ret->nr_fds = MIN(bytes / sizeof(int), (size_t)FILES_MAX);
			memcpy(ret->fds, CMSG_DATA(c), ret->nr_fds * sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS && bytes >= sizeof(ret->creds)) {
			memcpy(&ret->creds, CMSG_DATA(c), sizeof(ret->creds));
			ret->has_creds = true;
		} else if (c->cmsg_type == SCM_PIDFD_ && bytes >= sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			cleanup_fd(&fd);
		}
	}
}

static int set_offset(int fd, int offset)
{
	return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
}

/*
 * What is at that offset of the queue: of a stream as much as one call gives, of packets the whole one, with
 * its real length in ret->len_bytes. 1: there is something; 0: not. The caller closes ret->fds.
 */
static int peek(int fd, size_t offset, void *p, size_t room_bytes, struct piece *ret, struct err *err)
{
	char control[CMSG_SPACE(FILES_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) + 512];
	struct iovec iov = {p, room_bytes};
	struct msghdr msg = {.msg_name = &ret->from,
			     .msg_namelen = sizeof(ret->from),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	if (set_offset(fd, (int)offset))
		return err_sys(err, "SO_PEEK_OFF");
	n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	if (n < 0)
		return errno == EAGAIN ? 0 : err_sys(err, "peeking into the queue");
	*ret = (struct piece){.len_bytes = (size_t)n, .from = ret->from, .from_len = msg.msg_namelen};
	read_control(&msg, ret);
	if (msg.msg_flags & MSG_CTRUNC) {
		close_files(ret);
		return err_set(err, ERR_CHECKPOINT, "too many descriptors for this process wait in it");
	}
	return 1;
}

static int add_packet(struct cpt *c, size_t index, const uint8_t *data, size_t len_bytes, struct piece *piece,
		      struct err *err)
{
	struct sock_packet packet = {.data = bytes_dup(data, len_bytes)};

	if (piece) {
		packet.from = cpt_unix_name(&piece->from, piece->from_len);
		packet.has_creds = piece->has_creds;
		if (packet.has_creds) {
			packet.cred_pid = cpt_sock_pid(c, piece->creds.pid);
			packet.cred_uid = cpt_sock_id(c, piece->creds.uid);
			packet.cred_gid = cpt_sock_id(c, piece->creds.gid);
		}
	}
	for (size_t i = 0; piece && i < piece->nr_fds; i++) {
		file_id id = cpt_file_of_local(c, piece->fds[i], err);

		if (!id) {
			free(packet.data.at);
			free(packet.from.at);
			vec_free(&packet.files);
			return err_ctx(err, "descriptor in its queue");
		}
		vec_push(&packet.files, id);
	}
	vec_push(&c->m.unixs.at[index].queue, packet);
	return 0;
}

/*
 * How many bytes of the stream from offset on come before the piece that descriptors are tied to, which ends
 * behind len_bytes. Looking at the queue hands out the descriptors of the next such piece however little is
 * read (unix_stream_read_generic), so its length does not tell. But a piece is copied as a whole or not at
 * all: with room for all but the last byte, and nothing behind it, the copy ends where that piece begins.
 */
static int bytes_before_files(int fd, size_t offset, size_t len_bytes, size_t *ret, struct err *err)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE),
	       room_bytes = (len_bytes + page_bytes - 1) / page_bytes * page_bytes;
	uint8_t *p = mmap(NULL, room_bytes + page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	ssize_t n;

	if (p == MAP_FAILED)
		return err_sys(err, "mmap");
	if (mprotect(p + room_bytes, page_bytes, PROT_NONE) || set_offset(fd, (int)offset)) {
		munmap(p, room_bytes + page_bytes);
		return err_sys(err, "where descriptors are in a stream");
	}
	n = recv(fd, p + room_bytes - (len_bytes - 1), len_bytes, MSG_PEEK | MSG_DONTWAIT);
	munmap(p, room_bytes + page_bytes);
	if (n < 0 && errno != EFAULT)
		return err_sys(err, "where descriptors are in a stream");
	*ret = n < 0 ? 0 : (size_t)n;
	return 0;
}

/* One call's worth of a stream. It ends behind the piece that descriptors are tied to, as it will for whoever
 * reads it. */
static int add_stretch(struct cpt *c, size_t index, size_t offset, uint8_t *p, struct piece *piece,
		       struct err *err)
{
	int fd = c->sock->unixs.at[index].fd;
	struct piece plain = *piece;
	size_t before = 0;

	if (piece->nr_fds && bytes_before_files(fd, offset, piece->len_bytes, &before, err))
		return -1;
	plain.nr_fds = 0;
	if (before && add_packet(c, index, p, before, &plain, err))
		return -1;
	return add_packet(c, index, p + before, piece->len_bytes - before, piece, err);
}

static int read_stream(struct cpt *c, size_t index, size_t queued_bytes, struct err *err)
{
	int fd = c->sock->unixs.at[index].fd;
	_free_ uint8_t *p = mem_alloc(queued_bytes);
	struct piece piece;
	int r = 0;

	for (size_t at = 0; at < queued_bytes; at += piece.len_bytes) {
		r = peek(fd, at, p, queued_bytes - at, &piece, err);
		if (r < 0)
			return -1;
		if (!r || !piece.len_bytes)
			return err_set(err, ERR_CHECKPOINT, "%zu bytes in its queue, not %zu", at,
				       queued_bytes);
		r = add_stretch(c, index, at, p, &piece, err);
		close_files(&piece);
		if (r)
			return -1;
	}
	return 0;
}

/* An empty packet of SOCK_SEQPACKET looks like the end, to its reader too; the end comes again and again. */
static bool at_end(const struct cpt *c, size_t index, const struct piece *piece)
{
	const struct unix_obj *obj = &c->m.unixs.at[index];

	return obj->type == SOCK_SEQPACKET && !piece->len_bytes && obj->shutdown & 1;
}

static int read_packets(struct cpt *c, size_t index, struct err *err)
{
	int fd = c->sock->unixs.at[index].fd, r;
	size_t room_bytes = FIRST_TRY_BYTES, at = 0;
	uint8_t *p = cpt_sock_scratch(c->sock, room_bytes);
	struct piece piece;

	while ((r = peek(fd, at, p, room_bytes, &piece, err)) > 0) {
		if (piece.len_bytes > room_bytes) { /* once more, with enough room */
			close_files(&piece);
			room_bytes = piece.len_bytes;
			p = cpt_sock_scratch(c->sock, room_bytes);
			continue;
		}
		if (at_end(c, index, &piece))
			return 0;
		at += piece.len_bytes;
		r = add_packet(c, index, p, piece.len_bytes, &piece, err);
		close_files(&piece);
		if (r)
			return -1;
		if (at > QUEUE_MAX_BYTES)
			return err_set(err, ERR_CHECKPOINT, "more than %u MiB wait to be read",
				       QUEUE_MAX_BYTES >> 20);
	}
	return r;
}

static bool empty(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

int cpt_unix_read_queue(struct cpt *c, size_t index, struct err *err)
{
	const struct unix_obj *obj = &c->m.unixs.at[index];
	int fd = c->sock->unixs.at[index].fd, queued = 0, old, r;
	bool stream = obj->type == SOCK_STREAM;

	if (obj->state == SOCK_ST_LISTEN || (obj->type != SOCK_DGRAM && obj->state == SOCK_ST_CLOSED))
		return 0;
	if (stream && ioctl(fd, SIOCINQ, &queued))
		return err_sys(err, "SIOCINQ");
	if (queued < 0 || (size_t)queued > QUEUE_MAX_BYTES)
		return err_set(err, ERR_CHECKPOINT, "more than %u MiB wait to be read",
			       QUEUE_MAX_BYTES >> 20);
	if (stream ? !queued : empty(fd))
		return 0;
	old = cpt_sock_int(fd, SOL_SOCKET, SO_PEEK_OFF);
	r = stream ? read_stream(c, index, (size_t)queued, err) : read_packets(c, index, err);
	if (set_offset(fd, old))
		return err_sys(err, "SO_PEEK_OFF");
	return r;
}
