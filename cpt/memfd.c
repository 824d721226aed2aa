// SPDX-License-Identifier: GPL-2.0-only
/* A memfd that is open: its memory is the memory engine's. */
#include "cpt/file.h"

static bool memfd_match(const struct cpt_fd *fd)
{
	return S_ISREG(fd->st.st_mode) && !strncmp(fd->link, "/memfd:", 7);
}

static int memfd_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	return cpt_mm_shm_of_fd(c, fd->local, &fd->st, &ret->of, err);
}

const struct cpt_file_kind cpt_memfd_kind = {
	.kind = FILE_MEMFD,
	.match = memfd_match,
	.collect = memfd_collect,
};
