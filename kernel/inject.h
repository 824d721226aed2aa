/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets made by hand: put into queues of sockets in a network namespace as if they had come from somewhere,
 * or sent out of it. They carry the mark that the network lock lets through.
 */
#ifndef VERST_KERNEL_INJECT_H
#define VERST_KERNEL_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct inject {
	int fd4, fd6; /* fd6 -1: the kernel has no IPv6 */
};

/* One end. An IPv4 address that an IPv6 socket shows (::ffff:a.b.c.d) is IPv4 on the wire: inject_end takes
 * it apart. */
struct inject_end {
	bool v6;
	uint8_t ip[16];
	uint16_t port;
	uint32_t scope_id;
};
struct inject_end inject_end(const void *ip, size_t ip_bytes, uint32_t port, uint32_t scope_id);

enum { INJECT_FIN = 1, INJECT_RST = 4, INJECT_ACK = 16 };

struct inject_tcp {
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window; /* not scaled */
	bool has_timestamp;
	uint32_t timestamp;
	const void *data;
	size_t len_bytes;
};

/* In the calling thread's network namespace. */
int inject_open(uint32_t mark, struct inject *ret, struct err *err);
void inject_close(struct inject *in);

int inject_tcp(const struct inject *in, const struct inject_end *src, const struct inject_end *dst,
	       const struct inject_tcp *tcp, struct err *err);
int inject_udp(const struct inject *in, const struct inject_end *src, const struct inject_end *dst,
	       const void *data, size_t len_bytes, struct err *err);

#endif
