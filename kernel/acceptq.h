/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections that wait in a listener's accept queue: put into one without the far end's part. Needs
 * Linux 6.9 (bpf_sk_assign_tcp_reqsk). Works under the network lock.
 */
#ifndef VERST_KERNEL_ACCEPTQ_H
#define VERST_KERNEL_ACCEPTQ_H

#include <stddef.h>

#include "kernel/inject.h"
#include "model/sock.h"

struct acceptq_conn {
	struct inject_end local, remote;
	uint32_t send_seq, recv_seq; /* what is sent next, and the first byte of the data */
	uint32_t window;	     /* the far end's, in bytes */
	uint32_t mss;
	bool wscale_ok, sack_ok;
	uint8_t snd_wscale, rcv_wscale;
	const void *data; /* that came, and nobody has read */
	size_t len_bytes;
	bool fin; /* and behind it, the end */
};

/* A connection of the model, as it waited. */
struct acceptq_conn acceptq_conn_of(const struct inet_obj *obj);

/* In the calling thread's network namespace, with the mark of its lock. */
struct acceptq;
int acceptq_open(uint32_t mark, struct acceptq **ret, struct err *err);
void acceptq_close(struct acceptq *q);
/* The listener at conn->local gets it. An error leaves nothing in its queue, or what is there dies by a
 * reset. */
int acceptq_add(struct acceptq *q, const struct inject *in, const struct acceptq_conn *conn, struct err *err);

#endif
