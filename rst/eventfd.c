// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <sys/eventfd.h>

#include "rst/file.h"

static int eventfd_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	const struct eventfd_obj *obj = model_eventfd(&r->m, f->of);
	_fd_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (obj->semaphore ? EFD_SEMAPHORE : 0));

	if (fd < 0)
		return err_sys(err, "eventfd");
	/* the argument of eventfd(2) has 32 bits only */
	if (obj->count && write(fd, &obj->count, sizeof(obj->count)) != sizeof(obj->count))
		return err_sys(err, "eventfd: count");
	*ret_fd = fd_take(&fd);
	return 0;
}

const struct rst_file_kind rst_eventfd_kind = {.kind = FILE_EVENTFD, .open = eventfd_open};
