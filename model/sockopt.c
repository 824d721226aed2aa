// SPDX-License-Identifier: GPL-2.0-only
#include "model/sockopt.h"

#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <sys/socket.h>

#include "lib/cleanup.h"

/* Newer than some headers this is built with, or in headers that cannot be included together; the same
 * everywhere. */
enum {
	N_SOL_IP = 0,
	N_SOL_TCP = 6,
	N_SOL_UDP = 17,
	N_SOL_IPV6 = 41,
	N_SO_PASSPIDFD = 76,
	N_SO_RCVPRIORITY = 82,
	N_SO_PASSRIGHTS = 83,
	N_IP_TOS = 1,
	N_IP_TTL = 2,
	N_IP_RECVOPTS = 6,
	N_IP_RETOPTS = 7,
	N_IP_PKTINFO = 8,
	N_IP_MTU_DISCOVER = 10,
	N_IP_RECVERR = 11,
	N_IP_RECVTTL = 12,
	N_IP_RECVTOS = 13,
	N_IP_FREEBIND = 15,
	N_IP_PASSSEC = 18,
	N_IP_TRANSPARENT = 19,
	N_IP_RECVORIGDSTADDR = 20,
	N_IP_MINTTL = 21,
	N_IP_CHECKSUM = 23,
	N_IP_BIND_ADDRESS_NO_PORT = 24,
	N_IP_RECVFRAGSIZE = 25,
	N_IP_RECVERR_RFC4884 = 26,
	N_IP_MULTICAST_TTL = 33,
	N_IP_MULTICAST_LOOP = 34,
	N_IP_MULTICAST_ALL = 49,
	N_IP_LOCAL_PORT_RANGE = 51,
	N_IPV6_MULTICAST_ALL = 29,
	N_IPV6_RECVERR_RFC4884 = 31,
	N_IPV6_AUTOFLOWLABEL = 70,
	N_IPV6_ADDR_PREFERENCES = 72,
	N_IPV6_MINHOPCOUNT = 73,
	N_IPV6_RECVORIGDSTADDR = 74,
	N_IPV6_TRANSPARENT = 75,
	N_IPV6_RECVFRAGSIZE = 77,
	N_IPV6_FREEBIND = 78,
	N_IPV6_RECVPKTINFO = 49,
	N_IPV6_RECVHOPLIMIT = 51,
	N_IPV6_RECVTCLASS = 66,
	N_IPV6_TCLASS = 67,
	N_IPV6_DONTFRAG = 62,
	N_MCAST_JOIN_GROUP = 42,
	N_TCP_RTO_MAX_MS = 44,
	N_TCP_RTO_MIN_US = 45,
	N_TCP_DELACK_MAX_US = 46,
};

#define U   SOCKOPT_UNIX
#define I4  SOCKOPT_INET4
#define I6  SOCKOPT_INET6
#define I   (SOCKOPT_INET4 | SOCKOPT_INET6)
#define A   (U | I)
#define TCP (I | SOCKOPT_TCP)
#define UDP (I | SOCKOPT_UDP)

#define SO(number, name, type, stage, sockets)                                                               \
	{                                                                                                    \
		SOCKOPT_LEVEL_SOCKET, number, SOL_SOCKET, name, SOCKOPT_##type, SOCKOPT_##stage, sockets,    \
			true, #name                                                                          \
	}
#define SO_BY_NUMBER(number, type, stage, sockets, text)                                                     \
	{                                                                                                    \
		SOCKOPT_LEVEL_SOCKET, number, SOL_SOCKET, number, SOCKOPT_##type, SOCKOPT_##stage, sockets,  \
			true, text                                                                           \
	}
/* Levels above SOL_SOCKET have the same numbers on every architecture. */
#define SAME(level, name, type, stage, sockets)                                                              \
	{                                                                                                    \
		N_##level, name, N_##level, name, SOCKOPT_##type, SOCKOPT_##stage, sockets, true, #name      \
	}
#define SAME_N(level, name, type, stage, sockets)                                                            \
	{                                                                                                    \
		N_##level, N_##name, N_##level, N_##name, SOCKOPT_##type, SOCKOPT_##stage, sockets, true,    \
			#name                                                                                \
	}

const struct sockopt_desc sockopt_table[] = {
	SO(2, SO_REUSEADDR, INT, EARLY, A),
	SO(15, SO_REUSEPORT, INT, EARLY, I),
	SO(SOCKOPT_SNDBUF, SO_SNDBUF, INT, QUEUE, A),
	SO(SOCKOPT_RCVBUF, SO_RCVBUF, INT, QUEUE, A),
	SO_BY_NUMBER(72, INT, LATE, A, "SO_BUF_LOCK"), /* behind the sizes, which lock */
	SO(5, SO_DONTROUTE, INT, LATE, I),
	SO(6, SO_BROADCAST, INT, LATE, I),
	SO(9, SO_KEEPALIVE, INT, LATE, I),
	SO(10, SO_OOBINLINE, INT, LATE, I),
	SO(11, SO_NO_CHECK, INT, LATE, UDP),
	SO(13, SO_LINGER, LINGER, LATE, A),
	SO(16, SO_PASSCRED, INT, LATE, U),
	SO(18, SO_RCVLOWAT, INT, LATE, A),
	SO(20, SO_RCVTIMEO, TIME, LATE, A),
	SO(21, SO_SNDTIMEO, TIME, LATE, A),
	SO(26, SO_ATTACH_FILTER, FILTER, LATE, A),
	SO(29, SO_TIMESTAMP, INT, LATE, A),
	SO(34, SO_PASSSEC, INT, LATE, U),
	SO(35, SO_TIMESTAMPNS, INT, LATE, A),
	SO(36, SO_MARK, INT, EARLY, I), /* routing may go by it */
	SO(37, SO_TIMESTAMPING, INT, LATE, I),
	SO(40, SO_RXQ_OVFL, INT, LATE, A),
	SO(42, SO_PEEK_OFF, INT, LATE, A),
	SO(44, SO_LOCK_FILTER, INT, LATE, A),
	SO(45, SO_SELECT_ERR_QUEUE, INT, LATE, I),
	SO(46, SO_BUSY_POLL, INT, LATE, I),
	SO(60, SO_ZEROCOPY, INT, LATE, I),
	SO_BY_NUMBER(63, INT, LATE, A, "SO_TIMESTAMP_NEW"),
	SO_BY_NUMBER(64, INT, LATE, A, "SO_TIMESTAMPNS_NEW"),
	SO_BY_NUMBER(75, INT, LATE, A, "SO_RCVMARK"),
	SO_BY_NUMBER(N_SO_PASSPIDFD, INT, LATE, U, "SO_PASSPIDFD"),
	SO_BY_NUMBER(N_SO_RCVPRIORITY, INT, LATE, I, "SO_RCVPRIORITY"),
	SO_BY_NUMBER(N_SO_PASSRIGHTS, INT, LATE, U, "SO_PASSRIGHTS"),

	SAME_N(SOL_IP, IP_FREEBIND, INT, EARLY, I),
	SAME_N(SOL_IP, IP_TRANSPARENT, INT, EARLY, I),
	SAME_N(SOL_IP, IP_BIND_ADDRESS_NO_PORT, INT, EARLY, I),
	SAME_N(SOL_IP, IP_LOCAL_PORT_RANGE, INT, EARLY, I),
	SAME_N(SOL_IP, IP_TOS, INT, LATE, I),
	SAME_N(SOL_IP, IP_TTL, INT, LATE, I),
	SAME_N(SOL_IP, IP_RECVOPTS, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_RETOPTS, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_PKTINFO, INT, QUEUE, UDP),
	SAME_N(SOL_IP, IP_MTU_DISCOVER, INT, LATE, I),
	SAME_N(SOL_IP, IP_RECVERR, INT, LATE, I),
	SAME_N(SOL_IP, IP_RECVTTL, INT, LATE, I),
	SAME_N(SOL_IP, IP_RECVTOS, INT, LATE, I),
	SAME_N(SOL_IP, IP_PASSSEC, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_RECVORIGDSTADDR, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_MINTTL, INT, LATE, I),
	SAME_N(SOL_IP, IP_CHECKSUM, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_RECVFRAGSIZE, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_RECVERR_RFC4884, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_MULTICAST_TTL, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_MULTICAST_LOOP, INT, LATE, UDP),
	SAME_N(SOL_IP, IP_MULTICAST_ALL, INT, LATE, UDP),
	SAME_N(SOL_IP, MCAST_JOIN_GROUP, GROUP, LATE, UDP),

	SAME(SOL_IPV6, IPV6_V6ONLY, INT, EARLY, I6),
	SAME_N(SOL_IPV6, IPV6_RECVPKTINFO, INT, QUEUE, I6),
	SAME_N(SOL_IPV6, IPV6_TRANSPARENT, INT, EARLY, I6),
	SAME_N(SOL_IPV6, IPV6_FREEBIND, INT, EARLY, I6),
	SAME(SOL_IPV6, IPV6_UNICAST_HOPS, INT, LATE, I6),
	SAME(SOL_IPV6, IPV6_MULTICAST_HOPS, INT, LATE, I6),
	SAME(SOL_IPV6, IPV6_MULTICAST_LOOP, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_MULTICAST_ALL, INT, LATE, I6),
	SAME_N(SOL_IPV6, MCAST_JOIN_GROUP, GROUP, LATE, I6 | SOCKOPT_UDP),
	SAME(SOL_IPV6, IPV6_MTU_DISCOVER, INT, LATE, I6),
	SAME(SOL_IPV6, IPV6_RECVERR, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_RECVERR_RFC4884, INT, LATE, I6),
	SAME(SOL_IPV6, IPV6_FLOWINFO_SEND, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_RECVHOPLIMIT, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_DONTFRAG, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_RECVTCLASS, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_TCLASS, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_AUTOFLOWLABEL, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_ADDR_PREFERENCES, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_MINHOPCOUNT, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_RECVORIGDSTADDR, INT, LATE, I6),
	SAME_N(SOL_IPV6, IPV6_RECVFRAGSIZE, INT, LATE, I6),

	/* of a connection: the current size of segments */
	{N_SOL_TCP, TCP_MAXSEG, N_SOL_TCP, TCP_MAXSEG, SOCKOPT_INT, SOCKOPT_EARLY, TCP, false, "TCP_MAXSEG"},
	SAME(SOL_TCP, TCP_CORK, INT, QUEUE, TCP), /* before data that waits to be sent */
	SAME(SOL_TCP, TCP_NODELAY, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_KEEPIDLE, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_KEEPINTVL, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_KEEPCNT, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_SYNCNT, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_LINGER2, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_DEFER_ACCEPT, INT, EARLY, TCP),
	SAME(SOL_TCP, TCP_QUICKACK, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_CONGESTION, TEXT, LATE, TCP),
	SAME(SOL_TCP, TCP_THIN_LINEAR_TIMEOUTS, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_USER_TIMEOUT, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_FASTOPEN, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_NOTSENT_LOWAT, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_SAVE_SYN, INT, EARLY, TCP),
	SAME(SOL_TCP, TCP_FASTOPEN_CONNECT, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_FASTOPEN_NO_COOKIE, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_INQ, INT, LATE, TCP),
	SAME(SOL_TCP, TCP_TX_DELAY, INT, LATE, TCP),
	SAME_N(SOL_TCP, TCP_RTO_MAX_MS, INT, LATE, TCP),
	SAME_N(SOL_TCP, TCP_RTO_MIN_US, INT, LATE, TCP),
	SAME_N(SOL_TCP, TCP_DELACK_MAX_US, INT, LATE, TCP),

	SAME(SOL_UDP, UDP_NO_CHECK6_TX, INT, LATE, UDP),
	SAME(SOL_UDP, UDP_NO_CHECK6_RX, INT, LATE, UDP),
	SAME(SOL_UDP, UDP_SEGMENT, INT, LATE, UDP),
	SAME(SOL_UDP, UDP_GRO, INT, LATE, UDP),

	SO(12, SO_PRIORITY, INT, LATE, A), /* behind IP_TOS and IPV6_TCLASS, which set it */
};

const size_t sockopt_nr = sizeof(sockopt_table) / sizeof(sockopt_table[0]);

const struct sockopt_desc *sockopt_find(int32_t level, int32_t name)
{
	for (size_t i = 0; i < sockopt_nr; i++)
		if (sockopt_table[i].level == level && sockopt_table[i].name == name)
			return &sockopt_table[i];
	return NULL;
}

bool sockopt_applies(const struct sockopt_desc *d, int family, int type)
{
	unsigned has = family == AF_UNIX ? SOCKOPT_UNIX : family == AF_INET6 ? SOCKOPT_INET6 : SOCKOPT_INET4;

	if (!(d->sockets & has))
		return false;
	if (family == AF_UNIX)
		return true;
	if (d->sockets & SOCKOPT_TCP)
		return type == SOCK_STREAM;
	return !(d->sockets & SOCKOPT_UDP) || type == SOCK_DGRAM;
}

bool sockopt_sane(const struct sockopt_desc *d, const struct bytes *value)
{
	size_t n = value->len_bytes;

	switch (d->type) {
	case SOCKOPT_INT:
		return n == 4;
	case SOCKOPT_TIME:
		return n == 16;
	case SOCKOPT_LINGER:
		return n == 8;
	case SOCKOPT_TEXT:
		return n > 0 && n < 64;
	case SOCKOPT_GROUP:
		n -= MIN(n, d->native_level ? 16u : 4u);
		return n > 0 && n < 16; /* IFNAMSIZ */
	case SOCKOPT_FILTER:
		return n > 0 && n % 8 == 0 && n <= 4096 * 8; /* BPF_MAXINSNS */
	}
	return false;
}
