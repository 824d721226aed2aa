// SPDX-License-Identifier: GPL-2.0-only
#include "cpt/file.h"
#include "facts/fdinfo.h"

static bool signalfd_match(const struct cpt_fd *fd)
{
	return !strcmp(fd->link, "anon_inode:[signalfd]");
}

static int signalfd_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct signalfd_obj *obj;
	uint64_t mask;

	if (fdinfo_signalfd_parse(fd->fdinfo, &mask, err))
		return err_ctx(err, "signalfd");
	obj = vec_add(&c->m.signalfds);
	obj->id = (uint32_t)c->m.signalfds.nr;
	obj->mask = mask;
	ret->of = obj->id;
	return 0;
}

const struct cpt_file_kind cpt_signalfd_kind = {
	.kind = FILE_SIGNALFD,
	.match = signalfd_match,
	.collect = signalfd_collect,
};
