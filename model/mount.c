// SPDX-License-Identifier: GPL-2.0-only
#include "model/mount.h"

#include <string.h>

static bool same_filesystem(const struct mount_obj *a, const struct mount_obj *b)
{
	return a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

bool mount_is_bound(const struct mount_obj *mounts, const struct mount_obj *m)
{
	for (const struct mount_obj *other = mounts; other < m; other++) {
		if (same_filesystem(other, m))
			return true;
	}
	return false;
}

/* What of path lies below dir: "" for dir itself, "/x/y"; NULL if it does not. */
static const char *below(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") ? strlen(dir) : 0;

	if (strncmp(path, dir, len) || (path[len] && path[len] != '/'))
		return NULL;
	return strcmp(path + len, "/") ? path + len : "";
}

/* The mount that a path leads into, of those before m. The later of two at the same place covers the other.
 */
static const struct mount_obj *mount_at(const struct mount_obj *mounts, const struct mount_obj *m,
					const char *path)
{
	const struct mount_obj *found = NULL;

	for (const struct mount_obj *other = mounts; other < m; other++) {
		if (below(path, other->mountpoint) &&
		    (!found || strlen(other->mountpoint) >= strlen(found->mountpoint)))
			found = other;
	}
	return found;
}

char *mount_bind_source(const struct mount_obj *mounts, const struct mount_obj *m)
{
	for (const struct mount_obj *other = mounts; other < m; other++) {
		const char *rest = same_filesystem(other, m) ? below(m->root, other->root) : NULL;
		char *path;

		if (!rest)
			continue;
		path = mem_printf("%s%s", strcmp(other->mountpoint, "/") || !*rest ? other->mountpoint : "",
				  rest);
		if (mount_at(mounts, m, path) == other)
			return path;
		free(path);
	}
	return NULL;
}
