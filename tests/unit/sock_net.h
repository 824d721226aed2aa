/* SPDX-License-Identifier: GPL-2.0-only */
/* Two network namespaces of the test process's own, joined by a veth: `ve` (10.66.0.1, fd66::1) and `peer`
 * (.2, ::2). */
#ifndef VERST_TESTS_SOCK_NET_H
#define VERST_TESTS_SOCK_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/err.h"

#define NET_VE	  "10.66.0.1"
#define NET_PEER  "10.66.0.2"
#define NET_VE6	  "fd66::1"
#define NET_PEER6 "fd66::2"

struct net {
	int ve_fd, peer_fd;
};

/* Ends in `ve`. */
void net_make(struct net *net);
void net_enter(int netns_fd);
int net_socket(int netns_fd, int family, int type);

union net_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};
socklen_t net_addr(union net_addr *a, const char *ip, uint16_t port); /* either family */
int net_listen(int netns_fd, const char *ip, uint16_t port, int backlog);
int net_connect(int netns_fd, const char *ip, uint16_t port); /* -1 when refused */
uint16_t net_port(int fd);

/* Exactly so many bytes, within 10 s; false if not. pattern(i) is byte i of every stream of the tests. */
bool net_read(int fd, void *p, size_t len_bytes);
uint8_t net_pattern(size_t i);
bool net_read_pattern(int fd, size_t from, size_t len_bytes);
/* Writes the pattern from byte `from` on, until all is written or, with O_NONBLOCK, nothing more goes; how
 * many bytes. */
size_t net_write_pattern(int fd, size_t from, size_t len_bytes);

/* Whether a namespace hears nothing (it can still talk). Enters it. */
void net_deaf(int netns_fd, bool on);

int64_t net_now_us(void);
int net_int(int fd, int level, int name);
void net_set(int fd, int level, int name, int value);

#endif
