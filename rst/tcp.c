// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections come back by the kernel's repair mode: numbers, addresses, options, queues and windows are set,
 * and nothing is sent. What that mode cannot make (a FIN that came) is made by a packet that only the network
 * lock's own mark lets in. All this happens under that lock: what the kernel tries to send meanwhile stays
 * unsent and is sent later.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "rst/sock.h"

enum { /* include/net/tcp_states.h */
       ST_ESTABLISHED = 1,
       ST_SYN_SENT = 2,
       ST_FIN_WAIT1 = 4,
       ST_FIN_WAIT2 = 5,
       ST_CLOSE = 7,
       ST_CLOSE_WAIT = 8,
       ST_LAST_ACK = 9,
       ST_LISTEN = 10,
       ST_CLOSING = 11,
};

/* Options of a segment, as TCP_REPAIR_OPTIONS wants them. */
enum { OPT_MSS = 2, OPT_WSCALE = 3, OPT_SACK = 4, OPT_TIMESTAMP = 8 };

#define CHUNK_BYTES (256u << 10)
#define STATE_NS    2000000000LL
#define ROOM_BYTES  (64u << 10)

bool rst_tcp_is_connection(const struct inet_obj *obj)
{
	return obj->type == SOCK_STREAM && obj->state != ST_LISTEN &&
	       (obj->state != ST_CLOSE || obj->shutdown);
}

static int set_tcp(int fd, int name, int value, const char *what, struct err *err)
{
	return rst_sock_set_int(fd, IPPROTO_TCP, name, value, what, err);
}

static int set_options(int fd, const struct inet_obj *obj, enum sockopt_stage stage, struct err *err)
{
	return rst_sock_set_options(fd, obj->family, obj->type, &obj->options, stage, err);
}

/* --- sockets without a connection --- */

int rst_tcp_bind(struct rst *r, int fd, const struct inet_obj *obj, struct err *err)
{
	struct rst_sock_sizes sizes = {0};

	if (set_options(fd, obj, SOCKOPT_EARLY, err) || rst_sock_grow(fd, 0, 0, &sizes, err) ||
	    rst_inet_device(fd, obj, err))
		return -1;
	if (obj->bound && rst_inet_bind(fd, obj, err))
		return -1;
	if (rst_sock_settle(fd, &sizes, &obj->options, err) || set_options(fd, obj, SOCKOPT_QUEUE, err))
		return -1;
	return set_options(fd, obj, SOCKOPT_LATE, err);
}

int rst_tcp_listen(int fd, const struct inet_obj *obj, struct err *err)
{
	return listen(fd, (int)obj->backlog) ? err_sys(err, "listen") : 0;
}

/* --- connections --- */

static int set_seq(int fd, int queue, uint32_t seq, struct err *err)
{
	if (set_tcp(fd, TCP_REPAIR_QUEUE, queue, "TCP_REPAIR_QUEUE", err))
		return -1;
	return set_tcp(fd, TCP_QUEUE_SEQ, (int)seq, "TCP_QUEUE_SEQ", err);
}

static int set_handshake(int fd, const struct inet_obj *obj, struct err *err)
{
	struct tcp_repair_opt opts[4];
	size_t nr = 0;

	if (obj->mss)
		opts[nr++] = (struct tcp_repair_opt){OPT_MSS, obj->mss};
	if (obj->wscale_ok)
		opts[nr++] = (struct tcp_repair_opt){OPT_WSCALE, obj->snd_wscale | obj->rcv_wscale << 16};
	if (obj->sack_ok)
		opts[nr++] = (struct tcp_repair_opt){OPT_SACK, 0};
	if (obj->timestamps_ok)
		opts[nr++] = (struct tcp_repair_opt){OPT_TIMESTAMP, 0};
	if (nr && setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opts, (socklen_t)(nr * sizeof(opts[0]))))
		return err_sys(err, "TCP_REPAIR_OPTIONS");
	return set_tcp(fd, TCP_TIMESTAMP, (int)obj->timestamp, "TCP_TIMESTAMP", err);
}

static int push(int fd, const uint8_t *at, size_t len_bytes, const char *what, struct err *err)
{
	while (len_bytes) {
		ssize_t n = send(fd, at, MIN(len_bytes, (size_t)CHUNK_BYTES), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0)
			return err_sys(err, "%s queue: %zu bytes left", what, len_bytes);
		at += n;
		len_bytes -= (size_t)n;
	}
	return 0;
}

static int fill_queue(int fd, int queue, const uint8_t *at, size_t len_bytes, const char *what,
		      struct err *err)
{
	if (!len_bytes)
		return 0;
	if (set_tcp(fd, TCP_REPAIR_QUEUE, queue, "TCP_REPAIR_QUEUE", err))
		return -1;
	return push(fd, at, len_bytes, what, err);
}

/* The window we offered begins where the FIN is to come in, if one is. */
static int set_window(int fd, const struct inet_obj *obj, struct err *err)
{
	struct tcp_repair_window w = {
		.snd_wl1 = obj->recv_seq - 1, /* so that whatever comes next tells the far end's window */
		.snd_wnd = obj->snd_wnd,
		.max_window = obj->max_window,
		.rcv_wnd = obj->rcv_wnd,
		.rcv_wup = obj->rcv_wup,
	};

	if (obj->fin_received) {
		w.rcv_wup = obj->recv_seq;
		w.rcv_wnd = MAX(w.rcv_wnd, 1u);
	}
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w))
		       ? err_sys(err, "TCP_REPAIR_WINDOW")
		       : 0;
}

static int state_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info.tcpi_state);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? -1 : info.tcpi_state;
}

/* A packet that the far end could have sent; waits until it did what it is for. */
static int feign(struct rst *r, int fd, const struct inet_obj *obj, const struct inject_tcp *tcp, int state,
		 struct err *err)
{
	struct inject_end src = inject_end(obj->dst.at, obj->dst.len_bytes, obj->dst_port, obj->scope_id);
	struct inject_end dst = inject_end(obj->src.at, obj->src.len_bytes, obj->src_port, obj->scope_id);
	int64_t end_ns = io_now_ns() + STATE_NS;
	struct inject *in;

	if (rst_sock_inject(r, &in, err) || inject_tcp(in, &src, &dst, tcp, err))
		return -1;
	while (state_of(fd) != state) {
		if (io_now_ns() > end_ns)
			return err_set(err, ERR_RESTORE, "it is in TCP state %d and not in %d", state_of(fd),
				       state);
		sched_yield();
	}
	return 0;
}

static uint32_t first_unacked(const struct inet_obj *obj)
{
	return obj->send_seq - (uint32_t)obj->send_queue.len_bytes;
}

static int feign_fin(struct rst *r, int fd, const struct inet_obj *obj, int state, struct err *err)
{
	const struct inject_tcp fin = {.seq = obj->recv_seq,
				       .ack = first_unacked(obj),
				       .flags = INJECT_FIN | INJECT_ACK,
				       .window = (uint16_t)MIN(obj->snd_wnd >> obj->snd_wscale, 65535u)};

	return feign(r, fd, obj, &fin, state, err);
}

static int feign_ack_of_fin(struct rst *r, int fd, const struct inet_obj *obj, struct err *err)
{
	const struct inject_tcp ack = {.seq = obj->recv_seq,
				       .ack = obj->send_seq + 1,
				       .flags = INJECT_ACK,
				       .window = (uint16_t)MIN(obj->snd_wnd >> obj->snd_wscale, 65535u)};

	return feign(r, fd, obj, &ack, ST_FIN_WAIT2, err);
}

/* In repair mode a FIN counts as sent when it is queued, as data does. */
static int finish_sending(int fd, struct err *err)
{
	if (set_tcp(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, "TCP_REPAIR_QUEUE", err))
		return -1;
	return shutdown(fd, SHUT_WR) ? err_sys(err, "shutdown") : 0;
}

/* From nothing to a connection that is ESTABLISHED, in repair mode. */
static int establish(int fd, const struct inet_obj *obj, const struct bytes *dst, uint32_t dst_port,
		     struct err *err)
{
	union sock_addr a;
	socklen_t len;

	if (set_tcp(fd, TCP_REPAIR, TCP_REPAIR_ON, "TCP_REPAIR", err) ||
	    set_seq(fd, TCP_SEND_QUEUE, first_unacked(obj), err) ||
	    set_seq(fd, TCP_RECV_QUEUE, obj->recv_seq - (uint32_t)obj->recv_queue.len_bytes, err) ||
	    rst_inet_device(fd, obj, err) || rst_inet_bind(fd, obj, err))
		return -1;
	len = rst_inet_addr(obj, dst, dst_port, &a);
	if (connect(fd, &a.sa, len))
		return err_sys(err, "connect");
	return set_handshake(fd, obj, err);
}

static int fill_queues(int fd, const struct inet_obj *obj, struct err *err)
{
	size_t sent = obj->send_queue.len_bytes - obj->unsent_bytes;

	if (fill_queue(fd, TCP_RECV_QUEUE, obj->recv_queue.at, obj->recv_queue.len_bytes, "receive", err))
		return -1;
	return fill_queue(fd, TCP_SEND_QUEUE, obj->send_queue.at, sent, "send", err);
}

/* What follows the repair mode; the state is right afterwards. */
static int go_on(struct rst *r, int fd, const struct inet_obj *obj, struct err *err)
{
	size_t sent = obj->send_queue.len_bytes - obj->unsent_bytes;

	if (set_tcp(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP, "leaving TCP_REPAIR", err) ||
	    set_options(fd, obj, SOCKOPT_QUEUE, err))
		return -1;
	if (obj->unsent_bytes && push(fd, obj->send_queue.at + sent, obj->unsent_bytes, "send", err))
		return -1;
	if (obj->fin_sent && obj->fin_unsent && shutdown(fd, SHUT_WR))
		return err_sys(err, "shutdown");
	if (obj->state == ST_CLOSING && feign_fin(r, fd, obj, ST_CLOSING, err))
		return -1;
	if (obj->state == ST_FIN_WAIT2 && feign_ack_of_fin(r, fd, obj, err))
		return -1;
	if (obj->shutdown & 1 && !obj->fin_received && shutdown(fd, SHUT_RD))
		return err_sys(err, "shutdown");
	return 0;
}

static int make_connected(struct rst *r, int fd, const struct inet_obj *obj, struct err *err)
{
	bool fin_first = obj->fin_received && obj->state != ST_CLOSING;

	if (establish(fd, obj, &obj->dst, obj->dst_port, err) || fill_queues(fd, obj, err) ||
	    set_window(fd, obj, err))
		return -1;
	if (fin_first && feign_fin(r, fd, obj, ST_CLOSE_WAIT, err))
		return -1;
	if (obj->fin_sent && !obj->fin_unsent && finish_sending(fd, err))
		return -1;
	if (go_on(r, fd, obj, err))
		return -1;
	if (state_of(fd) != (int)obj->state)
		return err_set(err, ERR_RESTORE, "it is in TCP state %d and not in %u", state_of(fd),
			       obj->state);
	return 0;
}

/*
 * A connection that has ended, but its owner does not know yet: there may be data to read, and an error. Made
 * with a far end of ours (it has no name any more), and ended by a reset.
 */
static int make_dead(struct rst *r, int fd, const struct inet_obj *obj, struct err *err)
{
	static const uint8_t local4[4] = {127, 0, 0, 1}, local6[16] = {[15] = 1};
	struct inet_obj ended = *obj;
	struct bytes local = obj->family == AF_INET6 ? (struct bytes){(uint8_t *)(uintptr_t)local6, 16}
						     : (struct bytes){(uint8_t *)(uintptr_t)local4, 4};
	const struct inject_tcp rst = {.seq = obj->recv_seq, .flags = INJECT_RST};
	int error;
	socklen_t len = sizeof(error);

	if (rst_inet_any(&ended.src))
		ended.src = local;
	ended.dst = ended.src;
	ended.dst_port = ended.src_port == 9 ? 10 : 9;
	if (establish(fd, &ended, &ended.dst, ended.dst_port, err) || fill_queues(fd, obj, err))
		return -1;
	if (!ended.src_port) {
		union sock_addr a;
		socklen_t addr_len = sizeof(a);

		if (getsockname(fd, &a.sa, &addr_len))
			return err_sys(err, "getsockname");
		ended.src_port = ntohs(a.in.sin_port); /* at the same place in both families */
	}
	if (set_tcp(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP, "leaving TCP_REPAIR", err) ||
	    feign(r, fd, &ended, &rst, ST_CLOSE, err))
		return -1;
	if (!obj->reset && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len)) /* its owner has seen it */
		return err_sys(err, "SO_ERROR");
	return 0;
}

/* It had sent a SYN and no more: it does so again. A task that waits in connect(2) goes on waiting in it. */
static int make_connecting(int fd, const struct inet_obj *obj, struct err *err)
{
	union sock_addr a;
	socklen_t len = rst_inet_addr(obj, &obj->dst, obj->dst_port, &a);

	if (rst_inet_device(fd, obj, err) || (obj->bound && rst_inet_bind(fd, obj, err)))
		return -1;
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		return err_sys(err, "O_NONBLOCK");
	if (connect(fd, &a.sa, len) && errno != EINPROGRESS)
		return err_sys(err, "connect");
	return 0;
}

int rst_tcp_connection(struct rst *r, int fd, const struct inet_obj *obj, struct err *err)
{
	struct rst_sock_sizes sizes = {0};
	size_t recv_bytes = (size_t)rst_sock_option(&obj->options, SOCKOPT_LEVEL_SOCKET, SOCKOPT_RCVBUF, 0);
	int result;

	if (obj->state != ST_CLOSE && !obj->dst.len_bytes)
		return err_set(err, ERR_IMAGE, "it is connected to nothing");
	/* The size at the time of connect bounds the window that can ever be offered
	 * (tcp_select_initial_window). */
	recv_bytes = MAX(recv_bytes, 2 * obj->recv_queue.len_bytes + ROOM_BYTES);
	if (rst_sock_grow(fd, 2 * obj->send_queue.len_bytes + ROOM_BYTES, recv_bytes, &sizes, err) ||
	    set_options(fd, obj, SOCKOPT_EARLY, err))
		return -1;
	switch (obj->state) {
	case ST_CLOSE:
		result = make_dead(r, fd, obj, err);
		break;
	case ST_SYN_SENT:
		result = make_connecting(fd, obj, err);
		break;
	case ST_ESTABLISHED:
	case ST_FIN_WAIT1:
	case ST_FIN_WAIT2:
	case ST_CLOSE_WAIT:
	case ST_LAST_ACK:
	case ST_CLOSING:
		result = make_connected(r, fd, obj, err);
		break;
	default:
		result = err_set(err, ERR_IMAGE, "TCP state %u", obj->state);
	}
	if (result || rst_sock_settle(fd, &sizes, &obj->options, err))
		return -1;
	/* The repair mode forgets SO_REUSEADDR: once more. */
	if (rst_sock_set_int(fd, SOL_SOCKET, SO_REUSEADDR,
			     rst_sock_option(&obj->options, SOCKOPT_LEVEL_SOCKET, SOCKOPT_REUSEADDR, 0),
			     "SO_REUSEADDR", err))
		return -1;
	return set_options(fd, obj, SOCKOPT_LATE, err);
}

/*
 * A segment that is too old, so that the far end answers with what it has and what it can take: data that
 * waits to be sent goes out at once, and not when a timer that knows no round trip time yet (3 s) says so.
 * Connections with nothing to send are left alone: a far end that is gone would answer with a reset, before
 * what it sent has been read.
 */
int rst_tcp_kick(struct rst *r, const struct inet_obj *obj, struct err *err)
{
	struct inject_end src = inject_end(obj->src.at, obj->src.len_bytes, obj->src_port, obj->scope_id);
	struct inject_end dst = inject_end(obj->dst.at, obj->dst.len_bytes, obj->dst_port, obj->scope_id);
	struct inject_tcp probe = {.seq = first_unacked(obj) - 1,
				   .ack = obj->recv_seq + obj->fin_received,
				   .flags = INJECT_ACK,
				   .window = (uint16_t)MIN(obj->rcv_wnd >> obj->rcv_wscale, 65535u),
				   .has_timestamp = obj->timestamps_ok,
				   .timestamp = obj->timestamp};
	struct inject *in;

	if (!obj->send_queue.len_bytes && (!obj->fin_sent || obj->state == ST_FIN_WAIT2))
		return 0;
	if (rst_sock_inject(r, &in, err))
		return -1;
	return inject_tcp(in, &src, &dst, &probe, err);
}
