// SPDX-License-Identifier: GPL-2.0-only
/* `verst __rsh`, rsync's way to the far side. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "migrate/peer.h"

#define CONNECT_MS  15000
#define CHUNK_BYTES (256 * 1024)

struct rsh {
	struct ssh *s;
	uint8_t out[CHUNK_BYTES]; /* to the far side */
	size_t out_at, out_len;
	bool in_ended, eof_sent;
};

static int broke(const struct rsh *r, struct err *err)
{
	return err_set(err, ERR_CONNECT, "the link broke: %s", ssh_link_error(r->s));
}

/* 1: something moved; 0: has to wait; -1. */
static int upload(struct rsh *r, bool readable, struct err *err)
{
	ssize_t n;

	if (r->out_at == r->out_len && readable && !r->in_ended) {
		n = read(0, r->out, sizeof(r->out));
		if (n < 0)
			return errno == EINTR ? 1 : err_sys(err, "standard input");
		r->in_ended = n == 0;
		r->out_at = 0;
		r->out_len = (size_t)n;
	}
	if (r->out_at < r->out_len) {
		n = ssh_write(r->s, r->out + r->out_at, r->out_len - r->out_at);
		if (n < 0)
			return errno == EAGAIN ? 0 : broke(r, err);
		r->out_at += (size_t)n;
		return 1;
	}
	if (r->in_ended && !r->eof_sent) {
		if (ssh_send_eof(r->s))
			return errno == EAGAIN ? 0 : broke(r, err);
		r->eof_sent = true;
	}
	return 0;
}

/* 1: something moved; 0: has to wait; 2: the end. */
static int download(struct rsh *r, struct err *err)
{
	static uint8_t bytes[CHUNK_BYTES];
	ssize_t n = ssh_read(r->s, bytes, sizeof(bytes));

	if (n == 0)
		return 2;
	if (n < 0)
		return errno == EAGAIN ? 0 : broke(r, err);
	return io_write_full(1, bytes, (size_t)n, err) ? -1 : 1;
}

static int pump_both(struct rsh *r, struct err *err)
{
	bool readable = false;

	for (;;) {
		struct pollfd fds[2] = {{.fd = ssh_fd(r->s), .events = ssh_poll_events(r->s)},
					{.fd = -1, .events = POLLIN}};
		int up, down;

		up = upload(r, readable, err);
		if (up < 0)
			return -1;
		readable = false;
		down = download(r, err);
		if (down < 0)
			return -1;
		if (down == 2)
			return 0;
		if (r->out_at == r->out_len && !r->in_ended)
			fds[1].fd = 0;
		fds[0].events = ssh_poll_events(r->s);
		poll(fds, 2, up || down ? 0 : 1000);
		readable = fds[1].revents != 0;
	}
}

int verst_rsh(const struct verst_migrate_opts *opts, const char *const *words, unsigned nr_words,
	      int *ret_status, struct err *err)
{
	struct rsh *r = mem_new(struct rsh);
	struct ssh_target t;
	int ret = -1;

	if (peer_target(opts, &t, err)) {
		free(r);
		return -1;
	}
	if (!ssh_connect(&t, CONNECT_MS, &r->s, err)) {
		ret = ssh_exec(r->s, words, nr_words, CONNECT_MS, err);
		if (!ret)
			ret = pump_both(r, err);
		if (!ret) {
			const char *said = ssh_far_stderr(r->s);

			if (*said)
				dprintf(2, "%s\n", said);
			*ret_status = ssh_exit_status(r->s);
		}
		ssh_close(r->s);
	}
	ssh_target_free(&t);
	free(r);
	return ret;
}
