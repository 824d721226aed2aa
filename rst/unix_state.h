/* SPDX-License-Identifier: GPL-2.0-only */
/* Unix sockets while they are made: shared by rst/unix.c and rst/unix_queue.c. */
#ifndef VERST_RST_UNIX_STATE_H
#define VERST_RST_UNIX_STATE_H

#include <sys/socket.h>

#include "rst/sock.h"
#include "rst/unix_name.h"

/* m.unixs.at[i] is items[i]. */
struct rst_unix {
	int fd;		/* borrowed by the connect phase once it was handed out */
	bool handed_out;
	int handle;	/* of its file, -1 */
	int mate;	/* a far end of ours that takes the place of one that is gone; -1 */
	uint32_t pair;	/* id of the one it was made with and is connected to; 0 */
	struct rst_sock_sizes sizes;
};

struct rst_unix_state {
	struct rst_unix *items;
	size_t nr;
};

/* Adds room for what is to be sent from fd. */
int rst_unix_room(int fd, const sock_packet_vec *queue, struct err *err);
/* Fills the queue of m.unixs.at[i]. */
int rst_unix_fill(struct rst_apart *a, size_t i, struct err *err);

#endif
