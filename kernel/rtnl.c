// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/rtnl.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>

static struct mnl_socket *open_socket(struct err *err)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (nl && !mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID))
		return nl;
	err_sys(err, "rtnetlink");
	if (nl)
		mnl_socket_close(nl);
	return NULL;
}

int rtnl_open(struct rtnl *rtnl, int netns_fd, struct err *err)
{
	_fd_ int own = -1;

	rtnl->seq = (uint32_t)time(NULL);
	if (netns_fd >= 0) {
		own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		if (own < 0 || setns(netns_fd, CLONE_NEWNET))
			return err_sys(err, "entering the VE's network namespace");
	}
	rtnl->nl = open_socket(err);
	if (own >= 0 && setns(own, CLONE_NEWNET)) {
		err_sys(err, "leaving the VE's network namespace");
		rtnl_close(rtnl);
		return -1;
	}
	return rtnl->nl ? 0 : -1;
}

void rtnl_close(struct rtnl *rtnl)
{
	if (rtnl->nl)
		mnl_socket_close(rtnl->nl);
	rtnl->nl = NULL;
}

void *rtnl_begin(struct rtnl *rtnl, uint16_t type, uint16_t flags, size_t header_bytes, struct nlmsghdr **ret)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(rtnl->buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++rtnl->seq;
	*ret = nlh;
	return mnl_nlmsg_put_extra_header(nlh, header_bytes);
}

static int run(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg)
{
	char buf[16384];
	int r = MNL_CB_OK;

	if (mnl_socket_sendto(rtnl->nl, nlh, nlh->nlmsg_len) < 0)
		return -1;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(rtnl->nl, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		r = mnl_cb_run(buf, (size_t)n, rtnl->seq, mnl_socket_get_portid(rtnl->nl), cb, arg);
	}
	return r;
}

int rtnl_talk(struct rtnl *rtnl, struct nlmsghdr *nlh, struct err *err)
{
	nlh->nlmsg_flags |= NLM_F_ACK;
	return run(rtnl, nlh, NULL, NULL) < 0 ? err_sys(err, "rtnetlink") : 0;
}

int rtnl_ask(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg, struct err *err)
{
	if (!(nlh->nlmsg_flags & NLM_F_DUMP))
		nlh->nlmsg_flags |= NLM_F_ACK;
	return run(rtnl, nlh, cb, arg) < 0 ? err_sys(err, "rtnetlink") : 0;
}
