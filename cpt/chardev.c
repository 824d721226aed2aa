// SPDX-License-Identifier: GPL-2.0-only
/* Character devices that hold no state of their own. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "cpt/file.h"

/* Documentation/admin-guide/devices.txt: null, zero, full, random, urandom */
static bool chardev_match(const struct cpt_fd *fd)
{
	if (!S_ISCHR(fd->st.st_mode) || major(fd->st.st_rdev) != 1)
		return false;
	switch (minor(fd->st.st_rdev)) {
	case 3:
	case 5:
	case 7:
	case 8:
	case 9:
		return true;
	default:
		return false;
	}
}

/* The path by which the VE has the same device: its own, though the descriptor may be of the host's node. */
static const char *path_of(struct cpt *c, const struct cpt_fd *fd)
{
	const char *path = cpt_fdopen_in_root(c, fd->link);
	struct stat st;

	return path && !cpt_reg_stat(c, fd->link, &st) && S_ISCHR(st.st_mode) && st.st_rdev == fd->st.st_rdev
		       ? path
		       : NULL;
}

static int chardev_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	char where[64];

	if (!path_of(c, fd))
		findings_add(c->findings, cpt_fdopen_where(fd, where), NULL,
			     "device %u:%u is not at %s in the VE", major(fd->st.st_rdev),
			     minor(fd->st.st_rdev), fd->link);
	return 0;
}

static int chardev_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	const char *path = path_of(c, fd);
	struct chardev_obj *dev;

	if (!path)
		return err_set(err, ERR_CHECKPOINT, "device %u:%u is not at %s in the VE",
			       major(fd->st.st_rdev), minor(fd->st.st_rdev), fd->link);
	for (size_t i = 0; i < c->m.chardevs.nr; i++) {
		if (!strcmp(c->m.chardevs.at[i].path, path)) {
			ret->of = c->m.chardevs.at[i].id;
			return 0;
		}
	}
	dev = vec_add(&c->m.chardevs);
	dev->id = (uint32_t)c->m.chardevs.nr;
	dev->path = mem_strdup(path);
	dev->major = major(fd->st.st_rdev);
	dev->minor = minor(fd->st.st_rdev);
	ret->of = dev->id;
	return 0;
}

const struct cpt_file_kind cpt_chardev_kind = {
	.kind = FILE_CHARDEV,
	.match = chardev_match,
	.check = chardev_check,
	.collect = chardev_collect,
};
