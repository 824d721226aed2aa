/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * venet: how a VE is on the network. A routed point-to-point link; on the host vzID, in the VE venet0. Both
 * ends have one and the same MAC and do no ARP, so there are no neighbour entries that a migration would have
 * to carry. The VE has /32 addresses and a default route; the host routes each address to the link and
 * answers ARP for it. All but the functions with netns_fd work in the caller's network namespace, which must
 * be the node's.
 */
#ifndef VERST_KERNEL_VENET_H
#define VERST_KERNEL_VENET_H

#include <net/if.h>
#include <netinet/in.h>

#include "lib/lib.h"

struct venet_addrs {
	struct in_addr *at;
	size_t nr, cap;
};

/* Makes the pair, both ends up; the VE's end in its namespace, with loopback up, addresses and default route.
 */
int venet_make(const char *host, int netns_fd, const struct venet_addrs *addrs, struct err *err);
/* Addresses of a running VE. */
int venet_add_inside(int netns_fd, struct in_addr addr, struct err *err);
int venet_del_inside(int netns_fd, struct in_addr addr, struct err *err);
int venet_up_loopback(int netns_fd, struct err *err); /* a VE without addresses */
int venet_remove(const char *host, struct err *err);  /* both ends; one that is gone is fine */

/* This node answers for the addresses: route, forwarding, proxy ARP, gratuitous ARP. */
int venet_announce(const char *host, const struct venet_addrs *addrs, struct err *err);
int venet_withdraw(const char *host, const struct venet_addrs *addrs, struct err *err);

/* ERR_IP_IN_USE if the address is the node's own or is routed to a single host other than through `host`. */
int venet_check_free(const char *host, struct in_addr addr, struct err *err);

#endif
