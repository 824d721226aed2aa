// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "rst/file.h"

/* Only what a dump carries, and only if it is the same device: the path comes from the image. */
static bool is_harmless(const struct chardev_obj *dev)
{
	switch (dev->major == 1 ? dev->minor : 0) {
	case 3: /* null, zero, full, random, urandom */
	case 5:
	case 7:
	case 8:
	case 9:
		return true;
	default:
		return false;
	}
}

static int chardev_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	const struct chardev_obj *dev = model_chardev(&r->m, f->of);
	_fd_ int place = -1;
	struct stat st;

	if (!is_harmless(dev))
		return err_set(err, ERR_IMAGE, "device %u:%u is not opened for a VE", dev->major, dev->minor);
	if (rst_reg_place(r, dev->path, S_IFCHR, &place, err))
		return -1;
	if (fstat(place, &st))
		return err_sys(err, "%s", dev->path);
	if (st.st_rdev != makedev(dev->major, dev->minor))
		return err_set(err, ERR_RESTORE, "%s is device %u:%u, and was %u:%u when the VE was saved",
			       dev->path, major(st.st_rdev), minor(st.st_rdev), dev->major, dev->minor);
	return rst_reg_again(place, (int)f->flags & (O_ACCMODE | O_APPEND | O_NONBLOCK), ret_fd, err);
}

const struct rst_file_kind rst_chardev_kind = {.kind = FILE_CHARDEV, .open = chardev_open};
