/* SPDX-License-Identifier: GPL-2.0-only */
/* A rtnetlink conversation, over libmnl. */
#ifndef VERST_KERNEL_RTNL_H
#define VERST_KERNEL_RTNL_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "lib/lib.h"

struct rtnl {
	struct mnl_socket *nl;
	uint32_t seq;
	char buf[8192]; /* the request is built here: rtnl_begin */
};

/* In the network namespace netns_fd, or in the caller's own with -1. Single-threaded callers, or ones whose
 * thread may be in another network namespace for a moment. */
int rtnl_open(struct rtnl *rtnl, int netns_fd, struct err *err);
void rtnl_close(struct rtnl *rtnl);

/* A new request with room for its fixed header, which is returned zeroed. flags: NLM_F_* besides REQUEST. */
void *rtnl_begin(struct rtnl *rtnl, uint16_t type, uint16_t flags, size_t header_bytes,
		 struct nlmsghdr **ret);

/* Sends the request and waits for the acknowledgement. sys_errno tells the kernel's refusal. */
int rtnl_talk(struct rtnl *rtnl, struct nlmsghdr *nlh, struct err *err);
/* Sends the request and gives each answer to cb (MNL_CB_OK to go on). */
int rtnl_ask(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg, struct err *err);

#endif
