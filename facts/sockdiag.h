/* SPDX-License-Identifier: GPL-2.0-only */
/* What sock_diag tells of the unix sockets of a network namespace and no socket option does: who is connected
 * with whom. */
#ifndef VERST_FACTS_SOCKDIAG_H
#define VERST_FACTS_SOCKDIAG_H

#include "lib/lib.h"
#include "model/base.h"

struct sockdiag_unix {
	uint32_t ino;	  /* of the socket's own inode; 0: nobody holds it */
	uint8_t type;	  /* SOCK_STREAM ... */
	uint8_t state;	  /* TCP_LISTEN, TCP_ESTABLISHED, TCP_CLOSE */
	uint8_t shutdown; /* bit 0 receive, bit 1 send */
	bool has_peer;
	uint32_t peer_ino; /* 0: closed, or not accepted yet */
	bool has_file;
	uint32_t file_dev, file_ino; /* as the kernel numbers them */
	struct bytes name;
	uint32_t rqueue, wqueue; /* listener: connections that wait, and how many may */
	uint32_t unread_bytes;	 /* memory of what it sent and nobody has read */
	VEC(uint32_t) waiting;	 /* listener: inodes of the clients of connections not accepted yet */
};

struct sockdiag {
	int fd;
	VEC(struct sockdiag_unix) unixs; /* by inode */
};

/* A netlink socket in the calling thread's network namespace; it stays good after the thread has left. */
int sockdiag_open(struct sockdiag *ret, struct err *err);
/* All unix sockets as they are now, in place of what was read before. */
int sockdiag_read_unix(struct sockdiag *d, struct err *err);
const struct sockdiag_unix *sockdiag_find_unix(const struct sockdiag *d, uint32_t ino); /* NULL */
/* Where a TCP socket is connecting to (state SYN_SENT), which getpeername does not say: 4 or 16 bytes and
 * port. 1: found, 0: not. */
int sockdiag_connecting(struct sockdiag *d, int family, uint32_t ino, uint8_t ret_dst[static 16],
			uint16_t *ret_port, struct err *err);
void sockdiag_close(struct sockdiag *d);

#endif
