/* SPDX-License-Identifier: GPL-2.0-only */
/* Multicast groups that somebody in a network namespace has joined. Who, only each socket can be asked. */
#ifndef VERST_FACTS_MCAST_H
#define VERST_FACTS_MCAST_H

#include "lib/lib.h"

struct mcast_group {
	uint32_t ifindex;
	char device[16];
	uint8_t ip[16];
	size_t ip_bytes; /* 4, 16 */
};

typedef VEC(struct mcast_group) mcast_groups;

/* Of the calling thread's network namespace, without those that every device is in. Replaces *groups. */
int mcast_read(mcast_groups *groups, struct err *err);

#endif
