/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * While a VE stands still nobody may see a reset or an ICMP error for its connections: every packet in and out of its network
 * namespace is dropped without a word. TCP's retransmission bridges the time. The lock lives as long as its descriptor
 * (a BPF link: netfilter hooks from Linux 6.4 on, else cgroup skb programs), so it goes with the process that holds it.
 */
#ifndef VERST_KERNEL_NETLOCK_H
#define VERST_KERNEL_NETLOCK_H

#include "lib/err.h"

/* Loads what is needed (can be done long before), so that taking it costs microseconds. */
struct netlock;
int netlock_prepare(int netns_fd, int cgroup_fd, struct netlock **ret, struct err *err);
int netlock_take(struct netlock *n, struct err *err);
void netlock_release(struct netlock *n); /* packets flow again; may be taken again */
void netlock_free(struct netlock *n);

#endif
