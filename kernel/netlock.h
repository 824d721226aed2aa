/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * While a VE stands still nobody may see a reset or an ICMP error for its connections: every packet in and
 * out of its network namespace is dropped without a word, those of its loopback too: TCP's timers run on, and
 * the two ends of a connection inside of the VE are saved one after the other. TCP's retransmission bridges
 * the time. ARP is answered on. The lock lives as long as its descriptors (BPF links: netfilter hooks from
 * Linux 6.4 on, else cgroup skb programs), so it goes with the process that holds it.
 *
 * The cgroup programs see only packets of sockets that belong to the VE's cgroup: a reset that the kernel
 * sends for a socket that is not there (yet) passes. So there a restore must keep the VE's network down until
 * it is done.
 */
#ifndef VERST_KERNEL_NETLOCK_H
#define VERST_KERNEL_NETLOCK_H

#include <stdint.h>

#include "lib/err.h"

/*
 * Loads what is needed (can be done long before), so that taking it costs microseconds. Either may be -1:
 * then not by that way.
 */
struct netlock;
int netlock_prepare(int netns_fd, int cgroup_fd, struct netlock **ret, struct err *err);
int netlock_take(struct netlock *n, struct err *err);
void netlock_release(struct netlock *n); /* packets flow again; may be taken again */
void netlock_free(struct netlock *n);

/*
 * Packets with this SO_MARK pass: those with which a restore fills queues. It is a secret of this lock, so
 * that no mark a program in the VE chose can be it.
 */
uint32_t netlock_mark(const struct netlock *n);

#endif
