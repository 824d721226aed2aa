/* SPDX-License-Identifier: GPL-2.0-only */
/* Which methods of SSH are asked for. */
#ifndef VERST_MIGRATE_SSH_METHODS_H
#define VERST_MIGRATE_SSH_METHODS_H

#include <libssh2.h>

/*
 * Before the handshake: those of a comma-separated list that this libssh2 has, first choice first. kind:
 * LIBSSH2_METHOD_*. If it has none of them, its own choice stays.
 */
void ssh_methods_prefer(LIBSSH2_SESSION *session, int kind, const char *list);

#endif
