// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <string.h>

#include "lib/cleanup.h"
#include "model/mount.h"

#define MOUNT(dev, root_, point)                                                                             \
	{                                                                                                    \
		.dev_minor = (dev), .root = (char *)(root_), .mountpoint = (char *)(point)                   \
	}

static void bound_from(const struct mount_obj *mounts, size_t i, const char *want)
{
	_free_ char *got = mount_bind_source(mounts, &mounts[i]);

	cr_assert(mount_is_bound(mounts, &mounts[i]), "%zu", i);
	cr_assert(!want == !got && (!want || !strcmp(want, got)), "%zu: %s instead of %s", i,
		  got ? got : "none", want ? want : "none");
}

Test(model_mount, where_it_is_bound_from)
{
	static const struct mount_obj mounts[] = {
		MOUNT(1, "/", "/"),	      MOUNT(2, "/", "/run"),	     MOUNT(3, "/", "/srv/data"),
		MOUNT(1, "/srv/www", "/a"),   MOUNT(2, "/lock", "/b"),	     MOUNT(3, "/", "/c"),
		MOUNT(1, "/", "/d"),	      MOUNT(1, "/srv/data/x", "/e"), MOUNT(1, "/srv/wwwx", "/f"),
		MOUNT(1, "/srv/www/y", "/g"), MOUNT(4, "/", "/h"),
	};

	for (size_t i = 0; i < 3; i++)
		cr_assert(!mount_is_bound(mounts, &mounts[i]), "%zu", i);
	bound_from(mounts, 3, "/srv/www");
	bound_from(mounts, 4, "/run/lock");
	bound_from(mounts, 5, "/srv/data");
	bound_from(mounts, 6, "/");
	/* covered by what is mounted at /srv/data, but to be seen through /d */
	bound_from(mounts, 7, "/d/srv/data/x");
	bound_from(mounts, 8, "/srv/wwwx");
	bound_from(mounts, 9, "/srv/www/y");
	cr_assert(!mount_is_bound(mounts, &mounts[10]));
}

Test(model_mount, what_is_covered_cannot_be_bound)
{
	static const struct mount_obj mounts[] = {
		MOUNT(1, "/", "/"),
		MOUNT(2, "/", "/srv"),
		MOUNT(1, "/srv/x", "/e"),
	};

	bound_from(mounts, 2, NULL);
}
