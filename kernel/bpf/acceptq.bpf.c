// SPDX-License-Identifier: GPL-2.0-only
/*
 * On the loopback device of a VE, for as long as accept queues are filled: an ACK made by us (it has the
 * mark) for a listener becomes the last one of a handshake that never was. The kernel makes the connection of
 * it as it does with SYN cookies: numbers from the packet, options from here.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define STATE_LISTEN 10
#define PROTO_TCP    6
#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_V6 0x86dd
#define TC_PASS	     0 /* TC_ACT_OK, TC_ACT_SHOT */
#define TC_DROP	     2

char _license[] SEC("license") = "GPL";

/* Linux 6.9's struct bpf_tcp_req_attrs; the kernel this is built on may be older. */
struct acceptq_attrs {
	__u32 rcv_tsval, rcv_tsecr;
	__u16 mss;
	__u8 rcv_wscale, snd_wscale;
	__u8 ecn_ok, wscale_ok, sack_ok, tstamp_ok, usec_ts_ok;
	__u8 reserved[3];
};

extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk, struct acceptq_attrs *attrs,
				   int attrs__sz) __ksym;

const volatile __u32 mark = 0;
struct acceptq_attrs attrs = {};
bool asking = false; /* the next packet is no packet, but the question how far the connection has got */

/* The answers to each packet. */
int assigned = 0;
__u32 state = 0, rcv_nxt = 0;
__u32 packets = 0;

/* 0 if this is an IP packet with a TCP header behind it. */
static int read_tuple(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 *tuple_bytes)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct tcphdr *th;

	if ((void *)(eth + 1) > end)
		return -1;
	if (eth->h_proto == bpf_htons(ETHERTYPE_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		th = (void *)(ip + 1);
		if ((void *)(th + 1) > end || ip->protocol != PROTO_TCP || ip->ihl != 5)
			return -1;
		tuple->ipv4.saddr = ip->saddr;
		tuple->ipv4.daddr = ip->daddr;
		tuple->ipv4.sport = th->source;
		tuple->ipv4.dport = th->dest;
		*tuple_bytes = sizeof(tuple->ipv4);
		return 0;
	}
	if (eth->h_proto == bpf_htons(ETHERTYPE_V6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		th = (void *)(ip + 1);
		if ((void *)(th + 1) > end || ip->nexthdr != PROTO_TCP)
			return -1;
		__builtin_memcpy(tuple->ipv6.saddr, &ip->saddr, 16);
		__builtin_memcpy(tuple->ipv6.daddr, &ip->daddr, 16);
		tuple->ipv6.sport = th->source;
		tuple->ipv6.dport = th->dest;
		*tuple_bytes = sizeof(tuple->ipv6);
		return 0;
	}
	return -1;
}

static void answer(struct bpf_sock *found)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(found);

	state = found->state;
	rcv_nxt = tp ? BPF_CORE_READ(tp, rcv_nxt) : 0;
}

SEC("tc")
int acceptq(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct acceptq_attrs now = attrs;
	struct bpf_sock *found;
	__u32 tuple_bytes = 0;

	if (skb->mark != mark || read_tuple(skb, &tuple, &tuple_bytes))
		return TC_PASS;
	if (tuple_bytes == sizeof(tuple.ipv4))
		found = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		found = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (found) {
		struct sock *listener =
			found->state == STATE_LISTEN ? (struct sock *)bpf_skc_to_tcp_sock(found) : NULL;

		if (asking)
			answer(found);
		else if (listener)
			assigned = bpf_sk_assign_tcp_reqsk(skb, listener, &now, sizeof(now));
		bpf_sk_release(found);
	}
	packets++;
	return asking ? TC_DROP : TC_PASS;
}
