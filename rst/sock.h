/* SPDX-License-Identifier: GPL-2.0-only */
/* What the restore's socket files share. */
#ifndef VERST_RST_SOCK_H
#define VERST_RST_SOCK_H

#include <netinet/in.h>

#include "kernel/inject.h"
#include "model/sockopt.h"
#include "rst/rst.h"

struct rst_unix_state; /* rst/unix.c */

struct rst_sock_state {
	bool inets_made;
	int *inet_fds; /* [index in m.inets]: -1 once it was handed out */
	bool inject_open;
	struct inject inject;
	struct rst_unix_state *unixs;
};

union sock_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage any;
};

struct rst_sock_state *rst_sock_state(struct rst *r); /* made on first use */
/* In the VE's network namespace. */
int rst_sock_inject(struct rst *r, struct inject **ret, struct err *err);

/* The options of one stage; sizes are left to the two below. */
int rst_sock_set_options(int fd, int family, int type, const sockopt_vec *options, enum sockopt_stage stage, struct err *err);
/* Value of an INT option; `otherwise` if it is not among them. */
int rst_sock_option(const sockopt_vec *options, int32_t level, int32_t name, int otherwise);

/* Room for queues that are to be filled, and sizes as they shall be in the end. */
struct rst_sock_sizes {
	int send, recv; /* of the new socket */
	bool grown;
};
int rst_sock_grow(int fd, size_t send_bytes, size_t recv_bytes, struct rst_sock_sizes *ret, struct err *err);
int rst_sock_settle(int fd, const struct rst_sock_sizes *sizes, const sockopt_vec *options, struct err *err);

/* Owner of the socket's inode. */
int rst_sock_own(const struct rst *r, int fd, uint32_t uid, uint32_t gid, struct err *err);
int rst_sock_set_int(int fd, int level, int name, int value, const char *what, struct err *err);

/* rst/inet.c, for rst/tcp.c and rst/udp.c */
socklen_t rst_inet_addr(const struct inet_obj *obj, const struct bytes *ip, uint32_t port, union sock_addr *ret);
int rst_inet_bind(int fd, const struct inet_obj *obj, struct err *err);
int rst_inet_device(int fd, const struct inet_obj *obj, struct err *err);
bool rst_inet_any(const struct bytes *ip);

/* In the VE's network namespace. fd is a new socket that is owned as it shall be. */
bool rst_tcp_is_connection(const struct inet_obj *obj); /* to be made after all others */
int rst_tcp_bind(struct rst *r, int fd, const struct inet_obj *obj, struct err *err);
int rst_tcp_listen(int fd, const struct inet_obj *obj, struct err *err);
int rst_tcp_connection(struct rst *r, int fd, const struct inet_obj *obj, struct err *err);
/* Makes the far end tell where it is. */
int rst_tcp_kick(struct rst *r, int fd, const struct inet_obj *obj, struct err *err);
int rst_udp_make(struct rst *r, int fd, const struct inet_obj *obj, struct err *err);

/* rst/unix.c */
void rst_unix_free(struct rst_unix_state *s);

#endif
