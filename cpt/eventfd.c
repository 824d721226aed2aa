// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>

#include "cpt/file.h"
#include "facts/fdinfo.h"

static bool eventfd_match(const struct cpt_fd *fd)
{
	return !strcmp(fd->link, "anon_inode:[eventfd]");
}

static int put_back(int fd, uint64_t count, struct err *err)
{
	if (count && write(fd, &count, sizeof(count)) != sizeof(count))
		return err_sys(err, "write back");
	return 0;
}

/*
 * Kernels before 6.5 do not tell whether it is a semaphore, so it is tried: reading from a counter of 2 or
 * more gives 1 if it is. All tasks stand still; what was read is written back. Of a lower counter 2 are added
 * first.
 */
static int try_semaphore(int fd, uint64_t count, bool *ret, struct err *err)
{
	uint64_t more = count < 2 ? 2 : 0, got, again = 0;

	if (put_back(fd, more, err))
		return -1;
	if (read(fd, &got, sizeof(got)) != sizeof(got))
		return err_sys(err, "read");
	*ret = got == 1;
	if (!*ret)
		return put_back(fd, got - more, err);
	if (!more)
		return put_back(fd, 1, err);
	return read(fd, &again, sizeof(again)) == sizeof(again) ? 0 : err_sys(err, "read");
}

static int eventfd_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct fdinfo_eventfd info;
	struct eventfd_obj *obj;

	if (fdinfo_eventfd_parse(fd->fdinfo, &info, err) ||
	    (!info.semaphore_known && try_semaphore(fd->local, info.count, &info.semaphore, err)))
		return err_ctx(err, "eventfd");
	obj = vec_add(&c->m.eventfds);
	obj->id = (uint32_t)c->m.eventfds.nr;
	obj->count = info.count;
	obj->semaphore = info.semaphore;
	ret->of = obj->id;
	return 0;
}

const struct cpt_file_kind cpt_eventfd_kind = {
	.kind = FILE_EVENTFD,
	.match = eventfd_match,
	.collect = eventfd_collect,
};
