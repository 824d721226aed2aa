/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is said to a VE's supervisor, over a SOCK_SEQPACKET socket (RUN/ID/ctl, or the pair a starter shares
 * with it): one message of fixed length each way. Every request is answered by one WIRE_REPLY, in order.
 */
#ifndef VERST_VE_WIRE_H
#define VERST_VE_WIRE_H

#include "lib/lib.h"

#define WIRE_MAGIC   0x56725374u
#define WIRE_VERSION 1

enum wire_type {
	WIRE_REPLY = 1,	    /* code and text of the error, code 0 for none */
	WIRE_GO = 2,	    /* let init go on; from now on the VE lives without its starter */
	WIRE_KILL = 3,	    /* end the VE; answered when nothing is left of it */
	WIRE_LEASE = 4,	    /* flags: WIRE_LEASE_* */
	WIRE_LEASE_END = 5, /* on the connection that took it */
	WIRE_CONSOLE = 6,   /* after the reply the connection carries the console's bytes, both ways */
	WIRE_PREPARE = 7,   /* make ready what a commit's lease will need, so that taking it is quick */
	WIRE_TYPE_END
};

#define WIRE_LEASE_COMMIT 1u /* else a restore's */
#define WIRE_LEASE_REMOVE 2u

struct wire_msg {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t flags;
	int32_t code;
	char text[496]; /* NUL-terminated */
};

int wire_check(const struct wire_msg *msg, size_t len_bytes, struct err *err);
int wire_send(int fd, enum wire_type type, uint32_t flags, struct err *err);
int wire_send_reply(int fd, const struct err *result); /* never blocks */
/* The next message, checked. timeout_ms -1: for ever. The far end being gone is an error too. */
int wire_recv(int fd, int timeout_ms, struct wire_msg *ret, struct err *err);
/* Sends a request, waits for the reply; the reply's error becomes ours. */
int wire_call(int fd, enum wire_type type, uint32_t flags, int timeout_ms, struct err *err);

#endif
