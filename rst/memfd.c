// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>

#include "rst/file.h"

/* The memory engine has it open; each open file of the VE opens it once more, for a position and flags of its
 * own. */
static int memfd_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	int fd;

	if (rst_mm_shm_fd(r, f->of, &fd, err))
		return -1;
	return rst_reg_again(fd, (int)f->flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_PATH), ret_fd, err);
}

const struct rst_file_kind rst_memfd_kind = {.kind = FILE_MEMFD, .open = memfd_open};
