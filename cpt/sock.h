/* SPDX-License-Identifier: GPL-2.0-only */
/* What the dump's socket files share. */
#ifndef VERST_CPT_SOCK_H
#define VERST_CPT_SOCK_H

#include <netinet/in.h>

#include "cpt/cpt.h"
#include "facts/mcast.h"
#include "facts/sockdiag.h"
#include "model/sockopt.h"

#define SOCK_OPT_MAX_BYTES 16 /* of those with a default that is worth knowing */

struct cpt_sock_default {
	bool missing; /* this kernel does not have it */
	uint8_t value[SOCK_OPT_MAX_BYTES];
};

/* A unix socket of the model: m.unixs.at[i] belongs to unixs.at[i]. */
struct cpt_unix {
	int fd; /* ours, until its queue is read */
	uint32_t ino;
};

/* A TCP socket in our hands: a listener with connections that wait, or one of those, taken out of the queue.
 */
struct cpt_held {
	int fd;
	uint32_t id; /* of its inet_obj */
};

struct cpt_sock_state {
	struct sockdiag diag; /* as of the check, later as of the freeze */
	mcast_groups groups;  /* the same */
	uint64_t netns_cookie;
	struct cpt_sock_default
		*defaults[7]; /* of a new socket, by family and type; [row of sockopt_table] */
	VEC(struct cpt_unix) unixs;
	VEC(struct cpt_held) listeners, waiting;
	bool knows_acceptq, has_acceptq; /* can this kernel put connections into accept queues? */
	uint8_t *scratch;
	size_t scratch_bytes;
};

union sock_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage any;
};

/* Made on first use. */
int cpt_sock_state(struct cpt *c, struct cpt_sock_state **ret, struct err *err);

/* Obstacles that every kind of socket may have. */
int cpt_sock_check(struct cpt *c, const struct cpt_fd *fd, struct err *err);

/* Options that are not as in a new socket. connected: it is (was) a TCP connection. */
int cpt_sock_options(struct cpt *c, int fd, int family, int type, bool connected, sockopt_vec *ret,
		     struct err *err);

/* Multicast groups it is in, added to *ret (which may be NULL). false: it hears only some senders of one. */
bool cpt_sock_groups(const struct cpt_sock_state *s, int fd, sockopt_vec *ret);

/* Owner of the socket's inode, as the VE sees it. */
void cpt_sock_owner(const struct cpt *c, const struct stat *st, uint32_t *ret_uid, uint32_t *ret_gid);
/* Ids of the host as ids of the VE; those that the VE cannot see become its overflow id. */
uint32_t cpt_sock_id(const struct cpt *c, uint32_t host_id);
/* A pid of the host as a pid of the VE, 0 if it is not one of its tasks. */
uint32_t cpt_sock_pid(const struct cpt *c, pid_t pid);

/* getsockopt of an int; -1 if it is refused. */
int cpt_sock_int(int fd, int level, int name);
/* Room for one datagram, kept over calls. */
uint8_t *cpt_sock_scratch(struct cpt_sock_state *s, size_t len_bytes);

/* cpt/tcp.c, cpt/udp.c: for cpt/inet.c, but the first, which is cpt/inet.c's. */
int cpt_inet_collect_one(struct cpt *c, const struct cpt_fd *fd, struct inet_obj *obj, struct err *err);
int cpt_tcp_check(struct cpt *c, const struct cpt_fd *fd, const char *where, struct err *err);
int cpt_tcp_collect(struct cpt *c, const struct cpt_fd *fd, struct inet_obj *obj, struct err *err);
int cpt_udp_check(struct cpt *c, const struct cpt_fd *fd, const char *where, struct err *err);
int cpt_udp_collect(struct cpt *c, const struct cpt_fd *fd, struct inet_obj *obj, struct err *err);
/* cpt/acceptq.c: can connections be taken out of a listener's queue, as they can be put back? */
bool cpt_acceptq_works(struct cpt_sock_state *s);
int cpt_acceptq_note(struct cpt *c, int listener_fd, uint32_t id, struct err *err);
int cpt_acceptq_collect(struct cpt *c, struct err *err); /* from all listeners that were noted */
void cpt_acceptq_free(
	struct cpt_sock_state *s); /* without a trace for the far ends, which the VE's next life has */
/* "TCP 10.0.0.1:80", for errors. */
const char *cpt_inet_name(const struct inet_obj *obj, char ret[static 80]);

#endif
