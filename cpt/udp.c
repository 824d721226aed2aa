// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <linux/udp.h>
#include <sys/socket.h>

#include "cpt/sock.h"

#define ST_CONNECTED	   1
#define ST_UNCONNECTED	   7
#define DATAGRAM_MAX_BYTES 65536
#define QUEUE_MAX_BYTES	   (48u << 20) /* must fit into one record of the image */

int cpt_udp_check(struct cpt *c, const struct cpt_fd *fd, const char *where, struct err *err)
{
	if (cpt_sock_int(fd->local, IPPROTO_UDP, UDP_CORK) > 0)
		findings_add(c->findings, where, "try again",
			     "UDP socket that is corked: a datagram is being put together");
	if (cpt_sock_int(fd->local, IPPROTO_UDP, UDP_ENCAP) > 0)
		findings_add(c->findings, where, NULL, "UDP socket with kernel encapsulation (%d)",
			     cpt_sock_int(fd->local, IPPROTO_UDP, UDP_ENCAP));
	if (!cpt_sock_groups(c->sock, fd->local, NULL))
		findings_add(c->findings, where, NULL,
			     "UDP socket in a multicast group with a list of senders");
	return 0;
}

struct arrived {
	union sock_addr from;
	struct bytes to;
	int segment_bytes; /* UDP_GRO: several datagrams of this length in one */
};

static void read_control(struct msghdr *msg, struct arrived *a)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			a->to = bytes_dup(&info.ipi_addr, 4);
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			a->to = bytes_dup(&info.ipi6_addr, 16);
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&a->segment_bytes, CMSG_DATA(c), sizeof(a->segment_bytes));
		}
	}
}

/* Length of the next datagram behind those that were peeked at; -1 and EAGAIN behind the last. */
static ssize_t peek(int fd, uint8_t *p, struct arrived *ret)
{
	char control[512];
	struct iovec iov = {p, DATAGRAM_MAX_BYTES};
	struct msghdr msg = {.msg_name = &ret->from,
			     .msg_namelen = sizeof(ret->from),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	memset(ret, 0, sizeof(*ret));
	do
		n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);
	while (n < 0 && errno != EAGAIN); /* errors of earlier sends are told once each */
	if (n >= 0)
		read_control(&msg, ret);
	return n;
}

static struct bytes from_bytes(const union sock_addr *a)
{
	struct bytes b = {mem_alloc(18), 0};
	size_t ip_bytes = a->sa.sa_family == AF_INET6 ? 16 : 4;

	if (ip_bytes == 16)
		memcpy(b.at, &a->in6.sin6_addr, 16);
	else
		memcpy(b.at, &a->in.sin_addr, 4);
	memcpy(b.at + ip_bytes, &a->in.sin_port, 2); /* at the same place in both */
	b.len_bytes = ip_bytes + 2;
	return b;
}

static void add_packets(struct inet_obj *obj, const uint8_t *p, size_t len_bytes, struct arrived *a)
{
	size_t step = a->segment_bytes > 0 ? (size_t)a->segment_bytes : len_bytes, at = 0;

	do {
		struct sock_packet *packet = vec_add(&obj->queue);

		packet->data = bytes_dup(p + at, MIN(step, len_bytes - at));
		packet->from = from_bytes(&a->from);
		packet->to = bytes_dup(a->to.at, a->to.len_bytes);
		at += step;
	} while (at < len_bytes);
	free(a->to.at);
}

static int read_queue(struct cpt *c, int fd, struct inet_obj *obj, struct err *err)
{
	uint8_t *p = cpt_sock_scratch(c->sock, DATAGRAM_MAX_BYTES);
	int old_offset = cpt_sock_int(fd, SOL_SOCKET, SO_PEEK_OFF), start = 0;
	size_t total_bytes = 0;
	struct arrived a;
	ssize_t n;

	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &start, sizeof(start)))
		return err_sys(err, "SO_PEEK_OFF");
	while (total_bytes <= QUEUE_MAX_BYTES && (n = peek(fd, p, &a)) >= 0) {
		add_packets(obj, p, (size_t)n, &a);
		total_bytes += (size_t)n;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &old_offset, sizeof(old_offset)))
		return err_sys(err, "SO_PEEK_OFF");
	if (total_bytes > QUEUE_MAX_BYTES)
		return err_set(err, ERR_CHECKPOINT, "more than %u MiB wait to be read",
			       QUEUE_MAX_BYTES >> 20);
	return 0;
}

int cpt_udp_collect(struct cpt *c, const struct cpt_fd *fd, struct inet_obj *obj, struct err *err)
{
	struct arrived first;
	ssize_t n;

	obj->state = obj->dst.len_bytes ? ST_CONNECTED : ST_UNCONNECTED;
	if (cpt_sock_options(c, fd->local, obj->family, obj->type, false, &obj->options, err))
		return -1;
	if (cpt_sock_int(fd->local, IPPROTO_UDP, UDP_CORK) > 0)
		return err_set(err, ERR_CHECKPOINT, "a datagram is being put together (UDP_CORK)");
	if (!cpt_sock_groups(c->sock, fd->local, &obj->options))
		return err_set(err, ERR_CHECKPOINT, "it is in a multicast group with a list of senders");
	n = peek(fd->local, cpt_sock_scratch(c->sock, DATAGRAM_MAX_BYTES), &first); /* most have none */
	if (n < 0)
		return 0;
	free(first.to.at);
	return read_queue(c, fd->local, obj, err);
}
