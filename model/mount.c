// SPDX-License-Identifier: GPL-2.0-only
#include "model/mount.h"

#include <string.h>

/* What of root is below the root of `from`, with its slash: "/dir", "", or NULL if it is elsewhere. */
static const char *below(const struct mount_obj *m, const struct mount_obj *from)
{
	size_t len = strlen(from->root);

	if (!strcmp(from->root, "/"))
		return strcmp(m->root, "/") ? m->root : "";
	if (strncmp(m->root, from->root, len) || (m->root[len] && m->root[len] != '/'))
		return NULL;
	return m->root + len;
}

bool mount_is_bind_of(const struct mount_obj *m, const struct mount_obj *from)
{
	return m->dev_major == from->dev_major && m->dev_minor == from->dev_minor && below(m, from);
}

char *mount_bind_source(const struct mount_obj *m, const struct mount_obj *from)
{
	return mem_printf("%s%s", strcmp(from->mountpoint, "/") ? from->mountpoint : "", below(m, from));
}
