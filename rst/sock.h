/* SPDX-License-Identifier: GPL-2.0-only */
/* What the restore's socket files share. */
#ifndef VERST_RST_SOCK_H
#define VERST_RST_SOCK_H

#include <netinet/in.h>

#include "kernel/inject.h"
#include "model/sockopt.h"
#include "rst/apart.h"

/* Room for queues that are to be filled, and sizes as they shall be in the end. */
struct rst_sock_sizes {
	int send, recv; /* of the new socket */
	bool grown;
};

/* How a unix socket comes to be. */
enum rst_unix_way {
	UNIX_SINGLE = 1, /* by itself */
	UNIX_PAIR,	 /* with `other`, by socketpair */
	UNIX_MATE,	 /* the same, with an end of ours in place of one that is gone */
	UNIX_CLIENT,	 /* by itself, and then connected: `other` is its far end */
	UNIX_ACCEPTED, /* by accept, from a listener of its name; `other`, or an end of ours, connects to that
			*/
	UNIX_WAITING,  /* by itself, and connected to the listener `other`, that does not accept it yet */
};

/* A unix socket while it is made: m.unixs.at[i] is unixs[i]. */
struct rst_unix {
	enum rst_unix_way way;
	ssize_t other; /* an index; -1: none */
	int fd;	       /* borrowed by the connect phase once it was handed out */
	bool handed_out;
	bool by_task;	       /* the task whose ids are seen makes the decisive call (rst/unix_task.c) */
	int handle;	       /* of its file, -1 */
	int mate;	       /* a far end of ours that takes the place of one that is gone; -1 */
	int door, door_handle; /* UNIX_ACCEPTED: the listener it comes from */
	bool own_door;	       /* ... which was made for this only */
	struct rst_sock_sizes sizes;
};

/* In memory that the process apart shares. All sockets are made when the first is asked for. */
struct rst_sock_state {
	size_t len_bytes;
	bool failed;
	bool inject_open;
	struct inject inject;
	size_t nr_inets, nr_unixs;
	int *inet_fds; /* of m.inets.at[i]: -1 once it was handed out */
	struct rst_unix *unixs;
};

union sock_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage any;
};

int rst_sock_make(struct rst *r, struct err *err);
/* In the VE's network namespace. */
int rst_sock_inject(struct rst *r, struct inject **ret, struct err *err);

/* The options of one stage; sizes are left to the two below. */
int rst_sock_set_options(int fd, int family, int type, const sockopt_vec *options, enum sockopt_stage stage,
			 struct err *err);
/* Value of an INT option; `otherwise` if it is not among them. */
int rst_sock_option(const sockopt_vec *options, int32_t level, int32_t name, int otherwise);

/* Gives room, and the sizes as they shall be in the end. */
int rst_sock_grow(int fd, size_t send_bytes, size_t recv_bytes, struct rst_sock_sizes *ret, struct err *err);
int rst_sock_settle(int fd, const struct rst_sock_sizes *sizes, const sockopt_vec *options, struct err *err);

/* Owner of the socket's inode. */
int rst_sock_own(const struct rst *r, int fd, uint32_t uid, uint32_t gid, struct err *err);
int rst_sock_set_int(int fd, int level, int name, int value, const char *what, struct err *err);

/* rst/inet.c, for rst/tcp.c and rst/udp.c */
socklen_t rst_inet_addr(const struct inet_obj *obj, const struct bytes *ip, uint32_t port,
			union sock_addr *ret);
int rst_inet_bind(int fd, const struct inet_obj *obj, struct err *err);
int rst_inet_device(int fd, const struct inet_obj *obj, struct err *err);
bool rst_inet_any(const struct bytes *ip);

/* In the VE's network namespace. fd is a new socket that is owned as it shall be. */
bool rst_tcp_is_connection(const struct inet_obj *obj); /* to be made after all others */
int rst_tcp_bind(struct rst *r, int fd, const struct inet_obj *obj, struct err *err);
int rst_tcp_listen(int fd, const struct inet_obj *obj, struct err *err);
int rst_tcp_connection(struct rst *r, int fd, const struct inet_obj *obj, struct err *err);
/* Makes the far end tell where it is. */
int rst_tcp_kick(struct rst *r, const struct inet_obj *obj, struct err *err);
int rst_udp_make(struct rst *r, int fd, const struct inet_obj *obj, struct err *err);

/* By the process apart. */
int rst_inet_make_all(struct rst_apart *a, struct err *err);
int rst_unix_make_all(struct rst_apart *a, struct err *err);

/* Before it and after it. */
int rst_unix_plan(struct rst *r, struct err *err);
int rst_unix_finish_making(struct rst *r, struct err *err);

/* rst/unix_queue.c: adds room for what is to be sent from fd; fills the queue of m.unixs.at[i]. */
int rst_unix_room(int fd, const sock_packet_vec *queue, struct err *err);
int rst_unix_fill(struct rst_apart *a, size_t i, struct err *err);

/*
 * rst/unix_task.c: what SO_PEERCRED tells is who called socketpair, connect or listen. So the tasks call
 * them, where they still live and have been made.
 */
bool rst_unix_task_is_there(struct rst *r, uint32_t pid);
int rst_unix_task_pairs(struct rst *r, struct err *err);    /* UNIX_PAIR, UNIX_MATE */
int rst_unix_task_accepted(struct rst *r, struct err *err); /* UNIX_ACCEPTED */
int rst_unix_task_listen(struct rst *r, struct err *err); /* in the end: with the length of queue they had */

#endif
