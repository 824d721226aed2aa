/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The socket options that are carried: names, kinds of value, and when they can be set. In an image an option
 *is known by the numbers that most architectures use, which are given here; some (SOL_SOCKET on powerpc,
 *mips, sparc) have others, so each row has the node's own number too. Values in the image:
 *
 *	INT       u32 little-endian
 *	TIME      two u64 little-endian: seconds, microseconds
 *	LINGER    two u32: on, seconds
 *	TEXT      bytes without a NUL
 *	GROUP     a multicast group joined: its address, 4 or 16 bytes, and the device's name; once for each
 *group FILTER    classic BPF, for each instruction: u16 code, u8 jt, u8 jf, u32 k
 */
#ifndef VERST_MODEL_SOCKOPT_H
#define VERST_MODEL_SOCKOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/sock.h"

enum sockopt_type { SOCKOPT_INT, SOCKOPT_TIME, SOCKOPT_LINGER, SOCKOPT_TEXT, SOCKOPT_FILTER, SOCKOPT_GROUP };

/* When a restore sets it. */
enum sockopt_stage {
	SOCKOPT_EARLY, /* before bind: it decides what bind does */
	SOCKOPT_QUEUE, /* before queues are filled: sizes */
	SOCKOPT_LATE,  /* at the end */
};

/* Which sockets have it. */
enum {
	SOCKOPT_UNIX = 1,
	SOCKOPT_INET4 = 2,
	SOCKOPT_INET6 = 4,
	SOCKOPT_TCP = 8, /* only TCP */
	SOCKOPT_UDP = 16,
};

struct sockopt_desc {
	int32_t level, name;		   /* in an image */
	int32_t native_level, native_name; /* here */
	enum sockopt_type type;
	enum sockopt_stage stage;
	unsigned sockets;
	bool when_connected; /* false: of a TCP connection it tells something else */
	const char *text;    /* "SO_KEEPALIVE" */
};

/* Sizes are doubled by the kernel when they are set (net/core/sock.c): what was read is set as its half. */
#define SOCKOPT_LEVEL_SOCKET 1
#define SOCKOPT_REUSEADDR    2
#define SOCKOPT_REUSEPORT    15
#define SOCKOPT_SNDBUF	     7
#define SOCKOPT_RCVBUF	     8
#define SOCKOPT_BUF_LOCK     72

extern const struct sockopt_desc sockopt_table[];
extern const size_t sockopt_nr;

const struct sockopt_desc *sockopt_find(int32_t level, int32_t name); /* NULL */
/* Does a socket of this family and type have it? Protocols follow from the type. */
bool sockopt_applies(const struct sockopt_desc *d, int family, int type);
/* Is the value's length right for its type? */
bool sockopt_sane(const struct sockopt_desc *d, const struct bytes *value);

#endif
