/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VERST_KERNEL_ARP_H
#define VERST_KERNEL_ARP_H

#include <netinet/in.h>

#include "lib/lib.h"

/* Tells the neighbours on an Ethernet that this interface answers for the address now (gratuitous ARP). */
int arp_announce(const char *ifname, struct in_addr addr, struct err *err);

#endif
