/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One command on a far node over SSH (libssh2): host key checked, authenticated, its standard streams as a
 * non-blocking duplex. A session belongs to one thread at a time; handing it to another is fine.
 */
#ifndef VERST_MIGRATE_SSH_H
#define VERST_MIGRATE_SSH_H

#include <sys/types.h>

#include "lib/lib.h"

struct ssh_target {
	char *user; /* never NULL */
	char *host;
	unsigned port;
	char *key_path;	   /* -i; NULL: the agent, then the default keys */
	char *known_hosts; /* NULL: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts */
};

/* [USER@]HOST[:PORT], HOST a name, an IPv4 address or an IPv6 address (in brackets if a port follows).
 * ERR_VALUE. */
int ssh_target_parse(const char *text, struct ssh_target *ret, struct err *err);
void ssh_target_free(struct ssh_target *t);

struct ssh;

/* Connected and authenticated, or ERR_CONNECT with what the admin can do about it. */
int ssh_connect(const struct ssh_target *target, int timeout_ms, struct ssh **ret, struct err *err);
/*
 * Starts the command. The words are joined by blanks for the far shell; a word with any character but
 * [A-Za-z0-9_@%+=:,./-] is refused (ERR_VALUE), so that no shell sees anything else in them.
 */
int ssh_exec(struct ssh *s, const char *const *words, size_t nr, int timeout_ms, struct err *err);

/* Like read(2) and write(2) on a non-blocking descriptor: EAGAIN; 0 of read: end. A broken link is
 * ECONNRESET. */
ssize_t ssh_read(struct ssh *s, void *p, size_t len_bytes);
ssize_t ssh_write(struct ssh *s, const void *p, size_t len_bytes);
int ssh_send_eof(struct ssh *s); /* 0, or -1 and EAGAIN or ECONNRESET */
int ssh_fd(const struct ssh *s);
short ssh_poll_events(const struct ssh *s); /* what to poll(2) its descriptor for after EAGAIN */
/* What the far command said on its standard error so far (the last 4 KiB, printable), and why the link broke.
 */
const char *ssh_far_stderr(struct ssh *s);
const char *ssh_link_error(const struct ssh *s);
int ssh_exit_status(struct ssh *s); /* after the end was read; -1 if unknown */
void ssh_close(struct ssh *s);

#endif
