// SPDX-License-Identifier: GPL-2.0-only
/*
 * A TCP connection is read in the kernel's repair mode. It is in that mode only while it is read: if this
 * process dies in the middle of the dump, one connection at most stays so, for the tens of microseconds that
 * it takes.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>

#include "cpt/sock.h"

enum { /* include/net/tcp_states.h */
       ST_ESTABLISHED = 1,
       ST_SYN_SENT = 2,
       ST_SYN_RECV = 3,
       ST_FIN_WAIT1 = 4,
       ST_FIN_WAIT2 = 5,
       ST_CLOSE = 7,
       ST_CLOSE_WAIT = 8,
       ST_LAST_ACK = 9,
       ST_LISTEN = 10,
       ST_CLOSING = 11,
};

#define QUEUE_MAX_BYTES (32u << 20) /* each of the two: both must fit into one record of the image */

static int get_info(int fd, struct tcp_info *ret, struct err *err)
{
	socklen_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len) ? err_sys(err, "TCP_INFO") : 0;
}

int cpt_tcp_check(struct cpt *c, const struct cpt_fd *fd, const char *where, struct err *err)
{
	struct tcp_info info;
	char ulp[16] = "";
	socklen_t len = sizeof(ulp) - 1;

	if (get_info(fd->local, &info, err))
		return -1;
	/* of a listener: those that wait (tcp_get_info) */
	if (info.tcpi_state == ST_LISTEN && !cpt_acceptq_works(c->sock) && info.tcpi_unacked)
		findings_add(c->findings, where, "try again", "listener has %u connections not accepted yet",
			     info.tcpi_unacked);
	if (info.tcpi_state == ST_SYN_RECV)
		findings_add(c->findings, where, "try again",
			     "TCP connection that is being opened (fast open)");
	if (!getsockopt(fd->local, IPPROTO_TCP, TCP_ULP, ulp, &len) && len && ulp[0])
		findings_add(c->findings, where, NULL, "TCP connection with \"%s\" in the kernel", ulp);
	if (info.tcpi_state != ST_LISTEN &&
	    cpt_sock_int(fd->local, SOL_SOCKET, SO_RCVBUF) > (int)QUEUE_MAX_BYTES)
		findings_add(c->findings, where, "make it smaller",
			     "TCP connection with a receive buffer of more than %u MiB",
			     QUEUE_MAX_BYTES >> 20);
	return 0;
}

static int set_int(int fd, int name, int value, const char *what, struct err *err)
{
	return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)) ? err_sys(err, "%s", what) : 0;
}

static int get_u32(int fd, int name, uint32_t *ret, const char *what, struct err *err)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, IPPROTO_TCP, name, ret, &len) ? err_sys(err, "%s", what) : 0;
}

/* Chooses a queue and tells the sequence number behind it. */
static int choose_queue(int fd, int queue, uint32_t *ret_seq, struct err *err)
{
	if (set_int(fd, TCP_REPAIR_QUEUE, queue, "TCP_REPAIR_QUEUE", err))
		return -1;
	return get_u32(fd, TCP_QUEUE_SEQ, ret_seq, "TCP_QUEUE_SEQ", err);
}

static int peek(int fd, int len_bytes, struct bytes *ret, const char *what, struct err *err)
{
	ssize_t n;

	if (len_bytes < 0 || (uint32_t)len_bytes > QUEUE_MAX_BYTES)
		return err_set(err, ERR_CHECKPOINT, "%s queue of %d bytes", what, len_bytes);
	if (!len_bytes)
		return 0;
	ret->at = mem_alloc((size_t)len_bytes);
	n = recv(fd, ret->at, (size_t)len_bytes, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return err_sys(err, "%s queue", what);
	ret->len_bytes = (size_t)n;
	if (n != len_bytes)
		return err_set(err, ERR_CHECKPOINT, "%s queue has %zd bytes, not %d", what, n, len_bytes);
	return 0;
}

static int read_send_queue(int fd, struct inet_obj *obj, struct err *err)
{
	int all, unsent;

	if (choose_queue(fd, TCP_SEND_QUEUE, &obj->send_seq, err))
		return -1;
	if (ioctl(fd, SIOCOUTQ, &all) || ioctl(fd, SIOCOUTQNSD, &unsent))
		return err_sys(err, "send queue");
	/* Both count a FIN as a byte, as does the sequence number; it is not data. */
	if (obj->fin_sent) {
		obj->send_seq--;
		all -= all > 0;
		obj->fin_unsent = unsent > 0;
		unsent -= unsent > 0;
	}
	obj->unsent_bytes = (uint32_t)unsent;
	return peek(fd, all, &obj->send_queue, "send", err);
}

static int read_recv_queue(int fd, struct inet_obj *obj, struct err *err)
{
	int all;

	if (choose_queue(fd, TCP_RECV_QUEUE, &obj->recv_seq, err))
		return -1;
	if (ioctl(fd, SIOCINQ, &all)) /* without the FIN (tcp_inq) */
		return err_sys(err, "receive queue");
	obj->recv_seq -= obj->fin_received;
	return peek(fd, all, &obj->recv_queue, "receive", err);
}

static int read_window(int fd, struct inet_obj *obj, struct err *err)
{
	struct tcp_repair_window w;
	socklen_t len = sizeof(w);

	if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, &len))
		return err_sys(err, "TCP_REPAIR_WINDOW");
	obj->snd_wl1 = w.snd_wl1;
	obj->snd_wnd = w.snd_wnd;
	obj->max_window = w.max_window;
	obj->rcv_wnd = w.rcv_wnd;
	obj->rcv_wup = w.rcv_wup;
	return 0;
}

static int read_repaired(int fd, struct inet_obj *obj, struct err *err)
{
	if (read_send_queue(fd, obj, err) || read_recv_queue(fd, obj, err) || read_window(fd, obj, err))
		return -1;
	return get_u32(fd, TCP_MAXSEG, &obj->mss, "TCP_MAXSEG", err); /* in repair: of the handshake */
}

static void set_info(struct inet_obj *obj, const struct tcp_info *info)
{
	obj->state = info->tcpi_state;
	obj->wscale_ok = info->tcpi_options & TCPI_OPT_WSCALE;
	obj->sack_ok = info->tcpi_options & TCPI_OPT_SACK;
	obj->timestamps_ok = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
	obj->snd_wscale = info->tcpi_snd_wscale;
	obj->rcv_wscale = info->tcpi_rcv_wscale;
	obj->fin_sent = obj->state == ST_FIN_WAIT1 || obj->state == ST_FIN_WAIT2 ||
			obj->state == ST_LAST_ACK || obj->state == ST_CLOSING;
	obj->fin_received =
		obj->state == ST_CLOSE_WAIT || obj->state == ST_LAST_ACK || obj->state == ST_CLOSING;
	if (obj->fin_sent)
		obj->shutdown |= 2;
}

/* A packet that was already past the lock when it was taken can still be at work on another cpu: then once
 * more. */
static bool changed(int fd, const struct inet_obj *obj)
{
	struct err ignored = ERR_INIT;
	uint32_t seq;
	int all = -1;

	if (choose_queue(fd, TCP_RECV_QUEUE, &seq, &ignored) || ioctl(fd, SIOCOUTQ, &all))
		return true;
	if (obj->fin_sent && obj->state != ST_FIN_WAIT2)
		all--;
	return seq != obj->recv_seq + obj->fin_received || all != (int)obj->send_queue.len_bytes;
}

static void drop_queues(struct inet_obj *obj)
{
	free(obj->send_queue.at);
	free(obj->recv_queue.at);
	obj->send_queue = obj->recv_queue = (struct bytes){0};
}

static int read_connection(int fd, struct inet_obj *obj, struct err *err)
{
	int reuse = cpt_sock_int(fd, SOL_SOCKET, SO_REUSEADDR);
	struct tcp_info info;
	int r = -1, tries = 0;

	/* The clock of its timestamps runs on by itself, so it is read at one point, without the repair mode.
	 */
	if (get_u32(fd, TCP_TIMESTAMP, &obj->timestamp, "TCP_TIMESTAMP", err) ||
	    set_int(fd, TCP_REPAIR, TCP_REPAIR_ON, "TCP_REPAIR", err))
		return -1;
	do {
		drop_queues(obj);
		if (get_info(fd, &info, err))
			break;
		set_info(obj, &info);
		r = read_repaired(fd, obj, err);
	} while (!r && ++tries < 100 && changed(fd, obj));
	if (!r && tries == 100)
		r = err_set(err, ERR_CHECKPOINT, "it goes on changing, with the network locked");
	/* Leaving the mode forgets SO_REUSEADDR (tcp_repair_set). No window probe: there is nobody to hear
	 * it. */
	if (set_int(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP, "leaving TCP_REPAIR", err))
		r = -1;
	if (reuse > 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)))
		r = err_sys(err, "SO_REUSEADDR");
	return r;
}

static int read_connecting(struct cpt *c, const struct cpt_fd *fd, struct inet_obj *obj, struct err *err)
{
	uint8_t dst[16];
	uint16_t port;
	int found =
		sockdiag_connecting(&c->sock->diag, obj->family, (uint32_t)fd->st.st_ino, dst, &port, err);

	if (found < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_CHECKPOINT, "it is connecting, and sock_diag does not know where to");
	obj->dst = bytes_dup(dst, obj->family == AF_INET6 ? 16 : 4);
	obj->dst_port = port;
	return 0;
}

static int read_listener(struct cpt *c, int fd, const struct tcp_info *info, struct inet_obj *obj,
			 struct err *err)
{
	char name[80];

	obj->backlog = info->tcpi_sacked; /* tcp_get_info puts sk_max_ack_backlog there */
	if (!info->tcpi_unacked)
		return 0;
	if (cpt_acceptq_works(c->sock))
		return cpt_acceptq_note(c, fd, obj->id, err);
	log_warn("%s: %u connections that nobody has accepted yet are lost", cpt_inet_name(obj, name),
		 info->tcpi_unacked);
	return 0;
}

/* What is left of a connection that is over: data not read yet. */
static int read_dead(int fd, struct inet_obj *obj, struct err *err)
{
	int all;

	if (ioctl(fd, SIOCINQ, &all))
		return err_sys(err, "receive queue");
	return peek(fd, all, &obj->recv_queue, "receive", err);
}

int cpt_tcp_collect(struct cpt *c, const struct cpt_fd *fd, struct inet_obj *obj, struct err *err)
{
	struct tcp_info info;
	bool connected;

	if (get_info(fd->local, &info, err))
		return -1;
	set_info(obj, &info);
	/* An unconnected socket has no RDHUP; one whose connection ended has. */
	if (obj->state == ST_CLOSE && obj->shutdown)
		obj->shutdown = 3;
	connected = obj->state != ST_LISTEN && (obj->state != ST_CLOSE || obj->shutdown);
	if (cpt_sock_options(c, fd->local, obj->family, obj->type, connected, &obj->options, err))
		return -1;
	switch (obj->state) {
	case ST_LISTEN:
		return read_listener(c, fd->local, &info, obj, err);
	case ST_CLOSE:
		return obj->shutdown ? read_dead(fd->local, obj, err) : 0;
	case ST_SYN_SENT:
		return read_connecting(c, fd, obj, err);
	case ST_ESTABLISHED:
	case ST_FIN_WAIT1:
	case ST_FIN_WAIT2:
	case ST_CLOSE_WAIT:
	case ST_LAST_ACK:
	case ST_CLOSING:
		return read_connection(fd->local, obj, err);
	default:
		return err_set(err, ERR_CHECKPOINT, "TCP state %u", obj->state);
	}
}
