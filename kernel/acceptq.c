// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/acceptq.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <sys/syscall.h>

#include "lib/lib.h"

/* As kernel/bpf/acceptq.bpf.c has it. */
struct acceptq_attrs {
	uint32_t rcv_tsval, rcv_tsecr;
	uint16_t mss;
	uint8_t rcv_wscale, snd_wscale;
	uint8_t ecn_ok, wscale_ok, sack_ok, tstamp_ok, usec_ts_ok;
	uint8_t reserved[3];
};
#include "kernel/bpf/acceptq.skel.h"

/* Linux 6.6's include/uapi/linux/bpf.h, newer than the headers this is built with */
#define ATTACH_TCX_INGRESS 46
struct link_create_tcx {
	uint32_t prog_fd, target_ifindex, attach_type, flags;
	uint32_t relative_fd, reserved;
	uint64_t expected_revision;
};

#define STATE_ESTABLISHED 1
#define STATE_CLOSE_WAIT  8
#define SEGMENT_BYTES	  (16u << 10)
#define ARRIVAL_NS	  1000000000LL
#define COOKIES_PATH	  "/proc/sys/net/ipv4/tcp_syncookies" /* of the reader's network namespace */

struct acceptq {
	struct acceptq_bpf *bpf;
	int link_fd;
	bool cookies_off; /* the VE had turned them off */
};

struct acceptq_conn acceptq_conn_of(const struct inet_obj *obj)
{
	return (struct acceptq_conn){
		.local = inject_end(obj->src.at, obj->src.len_bytes, obj->src_port, obj->scope_id),
		.remote = inject_end(obj->dst.at, obj->dst.len_bytes, obj->dst_port, obj->scope_id),
		.send_seq = obj->send_seq,
		.recv_seq = obj->recv_seq - (uint32_t)obj->recv_queue.len_bytes,
		.window = obj->snd_wnd,
		.mss = obj->mss,
		.wscale_ok = obj->wscale_ok,
		.sack_ok = obj->sack_ok,
		.snd_wscale = (uint8_t)obj->snd_wscale,
		.rcv_wscale = (uint8_t)obj->rcv_wscale,
		.data = obj->recv_queue.at,
		.len_bytes = obj->recv_queue.len_bytes,
		.fin = obj->fin_received,
	};
}

/* The kernel takes these for SYN cookies, and only while those are on (net/ipv4/syncookies.c). */
static int cookies_on(struct acceptq *q, struct err *err)
{
	struct buf text = {0};
	int r = io_read_file(AT_FDCWD, COOKIES_PATH, 64, &text, err);

	q->cookies_off = !r && text.len_bytes && text.at[0] == '0';
	buf_free(&text);
	if (q->cookies_off)
		r = io_write_file(AT_FDCWD, COOKIES_PATH, "1", err);
	return r;
}

int acceptq_open(uint32_t mark, struct acceptq **ret, struct err *err)
{
	struct acceptq *q = mem_new(struct acceptq);
	struct link_create_tcx attr = {.attach_type = ATTACH_TCX_INGRESS};

	q->link_fd = -1;
	q->bpf = acceptq_bpf__open();
	if (q->bpf)
		q->bpf->rodata->mark = mark;
	if (!q->bpf || acceptq_bpf__load(q->bpf)) {
		acceptq_close(q);
		return err_sys(err, "accept queues: loading the BPF program");
	}
	attr.prog_fd = (uint32_t)bpf_program__fd(q->bpf->progs.acceptq);
	attr.target_ifindex = if_nametoindex("lo");
	q->link_fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (q->link_fd < 0) {
		err_sys(err, "accept queues: attaching the BPF program");
		acceptq_close(q);
		return -1;
	}
	if (cookies_on(q, err)) {
		acceptq_close(q);
		return -1;
	}
	*ret = q;
	return 0;
}

void acceptq_close(struct acceptq *q)
{
	struct err err = ERR_INIT;

	if (!q)
		return;
	if (q->cookies_off && io_write_file(AT_FDCWD, COOKIES_PATH, "0", &err))
		log_warn("%s", err.msg);
	cleanup_fd(&q->link_fd);
	acceptq_bpf__destroy(q->bpf);
	free(q);
}

/* Sends a segment and waits until the program has seen it. */
static int send_segment(struct acceptq *q, const struct inject *in, const struct acceptq_conn *conn,
			const struct inject_tcp *tcp, struct err *err)
{
	volatile struct acceptq_bpf__bss *bss = q->bpf->bss;
	uint32_t before = bss->packets;
	int64_t end_ns = io_now_ns() + ARRIVAL_NS;

	if (inject_tcp(in, &conn->remote, &conn->local, tcp, err))
		return -1;
	while (bss->packets == before) {
		if (io_now_ns() > end_ns)
			return err_set(err, ERR_SYSTEM, "accept queues: a packet did not arrive");
		sched_yield();
	}
	return 0;
}

static uint16_t window(const struct acceptq_conn *conn)
{
	return (uint16_t)MIN(conn->window >> (conn->wscale_ok ? conn->snd_wscale : 0), 65535u);
}

static int add_data(struct acceptq *q, const struct inject *in, const struct acceptq_conn *conn,
		    struct err *err)
{
	size_t at = 0;

	while (at < conn->len_bytes || conn->fin) {
		size_t n = MIN(conn->len_bytes - at, (size_t)SEGMENT_BYTES);
		bool last = at + n == conn->len_bytes;
		const struct inject_tcp segment = {.seq = conn->recv_seq + (uint32_t)at,
						   .ack = conn->send_seq,
						   .flags = INJECT_ACK | (last && conn->fin ? INJECT_FIN : 0),
						   .window = window(conn),
						   .data = (const uint8_t *)conn->data + at,
						   .len_bytes = n};

		if (send_segment(q, in, conn, &segment, err))
			return -1;
		at += n;
		if (last)
			break;
	}
	return 0;
}

/* Does the connection have all, and nothing else? */
static int verify(struct acceptq *q, const struct inject *in, const struct acceptq_conn *conn,
		  struct err *err)
{
	const struct inject_tcp ask = {
		.seq = conn->recv_seq, .ack = conn->send_seq, .flags = INJECT_ACK, .window = window(conn)};
	volatile struct acceptq_bpf__bss *bss = q->bpf->bss;
	int r;

	bss->state = 0;
	bss->asking = true;
	r = send_segment(q, in, conn, &ask, err);
	bss->asking = false;
	if (r)
		return -1;
	if (bss->state != (conn->fin ? STATE_CLOSE_WAIT : STATE_ESTABLISHED) ||
	    bss->rcv_nxt != conn->recv_seq + (uint32_t)conn->len_bytes + conn->fin)
		return err_set(err, ERR_SYSTEM,
			       "accept queues: the connection did not come about (TCP state %u)", bss->state);
	return 0;
}

int acceptq_add(struct acceptq *q, const struct inject *in, const struct acceptq_conn *conn, struct err *err)
{
	const struct inject_tcp ack = {
		.seq = conn->recv_seq, .ack = conn->send_seq, .flags = INJECT_ACK, .window = window(conn)};
	struct inject_tcp reset = {.flags = INJECT_RST};
	struct err ignored = ERR_INIT;

	*(volatile struct acceptq_attrs *)&q->bpf->bss->attrs =
		(struct acceptq_attrs){.mss = (uint16_t)conn->mss,
				       .rcv_wscale = conn->rcv_wscale,
				       .snd_wscale = conn->snd_wscale,
				       .wscale_ok = conn->wscale_ok,
				       .sack_ok = conn->sack_ok};
	q->bpf->bss->assigned = 0;
	q->bpf->bss->state = 0;
	if (send_segment(q, in, conn, &ack, err))
		return -1;
	if (q->bpf->bss->assigned) {
		errno = -q->bpf->bss->assigned;
		return err_sys(err, "accept queues: connection");
	}
	if (!add_data(q, in, conn, err) && !verify(q, in, conn, err))
		return 0;
	reset.seq =
		q->bpf->bss->state ? q->bpf->bss->rcv_nxt : conn->recv_seq; /* no other number is believed */
	inject_tcp(in, &conn->remote, &conn->local, &reset, &ignored);
	return -1;
}
