// SPDX-License-Identifier: GPL-2.0-only
/*
 * libssh2 leaves out names it does not know by itself, but by a memcpy of text onto itself
 * (libssh2_session_method_pref, up to 1.10 at least): it is never given one.
 */
#include "migrate/ssh_methods.h"

#include <string.h>

#include "lib/buf.h"

static bool is_known(const char *name, size_t len_bytes, const char **known, int nr_known)
{
	for (int i = 0; i < nr_known; i++)
		if (strlen(known[i]) == len_bytes && !strncmp(known[i], name, len_bytes))
			return true;
	return false;
}

void ssh_methods_prefer(LIBSSH2_SESSION *session, int kind, const char *list)
{
	const char **known = NULL;
	int nr = libssh2_session_supported_algs(session, kind, &known);
	struct buf usable = {0};

	for (const char *at = list; *at;) {
		size_t len = strcspn(at, ",");

		if (is_known(at, len, known, nr)) {
			if (usable.len_bytes)
				buf_put_u8(&usable, ',');
			buf_put(&usable, at, len);
		}
		at += len + (at[len] == ',');
	}
	buf_put_u8(&usable, 0);
	if (usable.len_bytes > 1)
		libssh2_session_method_pref(session, kind, (const char *)usable.at);
	buf_free(&usable);
	if (nr > 0)
		libssh2_free(session, (void *)known);
}
