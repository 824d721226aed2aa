// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "rst/file.h"

static int signalfd_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	const struct signalfd_obj *obj = model_signalfd(&r->m, f->of);
	/* the kernel's own set of 64 signals: libc's leaves out those it keeps for itself */
	int fd = (int)syscall(SYS_signalfd4, -1, &obj->mask, sizeof(obj->mask), SFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "signalfd");
	*ret_fd = fd;
	return 0;
}

const struct rst_file_kind rst_signalfd_kind = {.kind = FILE_SIGNALFD, .open = signalfd_open};
