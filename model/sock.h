/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets. */
#ifndef VERST_MODEL_SOCK_H
#define VERST_MODEL_SOCK_H

#include "model/base.h"

/* One setsockopt to repeat, if it is not at its default: see model/sockopt.h for the names and how values are
 * stored. */
struct sockopt_obj {
	int32_t level, name;
	struct bytes value;
};
typedef VEC(struct sockopt_obj) sockopt_vec;

/* A message or piece of stream waiting in a socket. */
struct sock_packet {
	struct bytes data;
	struct bytes from;  /* sender's address: 4 or 16 bytes and 2 of the port, as on the wire; unix:
			       sun_path bytes */
	struct bytes to;    /* UDP: the address it was sent to, 4 or 16 bytes; empty: not known */
	uint32_t from_unix; /* sender's unix_obj id, if it is in the VE */
	bool has_creds;	    /* unix: SCM_CREDENTIALS travel with it */
	uint32_t cred_pid, cred_uid, cred_gid; /* of the VE; pid 0: gone */
	VEC(file_id) files;		       /* SCM_RIGHTS that go with its first byte */
};
typedef VEC(struct sock_packet) sock_packet_vec;

enum sock_state { SOCK_ST_CLOSED = 1, SOCK_ST_LISTEN, SOCK_ST_CONNECTED };

struct unix_obj {
	uint32_t id;
	int32_t type; /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
	enum sock_state state;
	struct bytes name; /* as bound: sun_path bytes, abstract ones begin with NUL */
	char *path; /* where the bound socket file is in the VE's root, NULL if none, or if it is gone */
	uint32_t mode, uid, gid;	       /* of the socket file */
	uint32_t owner_uid, owner_gid;	       /* of the socket itself */
	bool accepted;			       /* the name is that of the listener it came from */
	uint32_t peer;			       /* unix_obj id; 0 none or gone */
	bool peer_gone;			       /* was connected, the peer is closed */
	bool reset;			       /* ... and had not read all: an error waits to be read */
	uint32_t peer_pid, peer_uid, peer_gid; /* SO_PEERCRED, as the VE sees it; pid 0: gone */
	uint32_t backlog;
	uint32_t shutdown; /* bit 0 receive, bit 1 send */
	sockopt_vec options;
	sock_packet_vec queue; /* to be received here */
	VEC(uint32_t)
	pending; /* listener: unix_obj ids of connections not yet accepted (of the peers' ends) */
};

struct inet_obj {
	uint32_t id;
	int32_t family, type, protocol;
	uint32_t state; /* TCP: the kernel's number (TCP_ESTABLISHED = 1, ...); UDP: 1 connected, 7 not */
	struct bytes src, dst; /* 4 or 16 bytes */
	uint32_t src_port, dst_port;
	uint32_t scope_id;
	char *device;		       /* SO_BINDTODEVICE */
	uint32_t owner_uid, owner_gid; /* of the socket: SO_REUSEPORT goes by it */
	bool bound;		       /* has a local port */
	uint32_t
		listener; /* TCP that nobody has accepted yet: the inet_obj in whose queue it waits; else 0 */
	uint32_t shutdown; /* bit 0 receive, bit 1 send; both in TCP's state 7 (closed): it was connected once
			    */
	bool reset;	   /* an error waits to be read */
	uint32_t backlog;
	sockopt_vec options;
	sock_packet_vec queue; /* UDP */
	/* TCP that was connected */
	uint32_t send_seq, recv_seq; /* of the first byte *behind* the queues */
	struct bytes send_queue, recv_queue;
	uint32_t unsent_bytes; /* at the end of send_queue */
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
	uint32_t mss, snd_wscale, rcv_wscale;
	bool wscale_ok, sack_ok, timestamps_ok;
	uint32_t timestamp;	     /* TCP_TIMESTAMP */
	bool fin_received, fin_sent; /* they are not in the queues, nor in the numbers */
	bool fin_unsent;	     /* fin_sent, but still to go out behind the unsent bytes */
};

#endif
