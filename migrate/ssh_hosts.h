/* SPDX-License-Identifier: GPL-2.0-only */
/* known_hosts: is the far side who it says it is? */
#ifndef VERST_MIGRATE_SSH_HOSTS_H
#define VERST_MIGRATE_SSH_HOSTS_H

#include <libssh2.h>

#include "lib/lib.h"
#include "migrate/ssh.h"

struct ssh_hosts;

/* Reads the files there are. ERR_CONNECT when the one asked for by name cannot be read. */
int ssh_hosts_read(LIBSSH2_SESSION *session, const struct ssh_target *target, struct ssh_hosts **ret,
		   struct err *err);
void ssh_hosts_free(struct ssh_hosts *h);
/* Before the handshake: has the far side show a key of a kind that is known of it, if there is one. */
void ssh_hosts_prefer(struct ssh_hosts *h);
/* After the handshake: 0, or ERR_CONNECT with the fingerprint and what to do. */
int ssh_hosts_check(struct ssh_hosts *h, struct err *err);

#endif
