// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "cpt/file.h"
#include "facts/fdinfo.h"

#define PIDFS_MAGIC 0x50494446 /* include/uapi/linux/magic.h */

/* include/uapi/linux/pidfd.h, since Linux 6.13; PIDFD_INFO_EXIT since 6.15 */
#define INFO_EXIT (1ull << 3)
struct info {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, uid_gid[8];
	int32_t exit_code;
};
#define GET_INFO _IOWR(0xff, 11, struct info)

static bool pidfd_match(const struct cpt_fd *fd)
{
	return !strcmp(fd->link, "anon_inode:[pidfd]");
}

/* Whom it names, as the number in the VE; 0: one that is gone. What cannot be carried goes into why, "" if
 * all can. */
static int target_of(const struct cpt *c, const struct cpt_fd *fd, uint32_t *ret_vpid, char why[static 128],
		     struct err *err)
{
	int32_t pid;

	why[0] = 0;
	*ret_vpid = 0;
	if (fdinfo_pidfd_parse(fd->fdinfo, &pid, err))
		return err_ctx(err, "pidfd");
	if (pid < 0)
		return 0;
	vec_each(t, &c->tasks) {
		if (t->pid == pid) {
			*ret_vpid = t->vpid;
			return 0;
		}
		vec_each(thread, &t->threads)
			if (thread->tid == pid)
				snprintf(why, 128, "pidfd of thread %u of task %u", thread->vtid, t->vpid);
	}
	if (!why[0])
		snprintf(why, 128, "pidfd of a process outside of the VE (%d of the node)", pid);
	return 0;
}

static int pidfd_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	char why[128], where[64];
	uint32_t vpid;

	if (target_of(c, fd, &vpid, why, err))
		return -1;
	if (why[0])
		findings_add(c->findings, cpt_fdopen_where(fd, where), NULL, "%s", why);
	return 0;
}

/* How it ended, if the kernel says so. */
static uint32_t exit_code_of(int fd)
{
	struct info info = {.mask = INFO_EXIT};

	return !ioctl(fd, GET_INFO, &info) && info.mask & INFO_EXIT ? (uint32_t)info.exit_code & 0xffff : 0;
}

/* The object of a process that is gone: one for all that name it, where that can be told. */
static bool is_known_dead(struct cpt *c, const struct cpt_fd *fd, uint32_t *ret_id)
{
	struct cpt_file_state *s = cpt_file_state(c);
	struct statfs fs;

	/* before Linux 6.9 all pidfds have the same inode */
	if (fstatfs(fd->local, &fs) || fs.f_type != PIDFS_MAGIC)
		return false;
	vec_each(k, &s->pidfds) {
		if (k->ino != fd->st.st_ino)
			continue;
		*ret_id = k->id;
		return true;
	}
	vec_push(&s->pidfds, ((struct cpt_pidfd_known){fd->st.st_ino, (uint32_t)c->m.pidfds.nr + 1}));
	return false;
}

static int pidfd_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct pidfd_obj *obj;
	char why[128];
	uint32_t vpid;

	if (target_of(c, fd, &vpid, why, err))
		return -1;
	if (why[0])
		return err_set(err, ERR_CHECKPOINT, "a %s cannot be carried", why);
	if (!vpid && is_known_dead(c, fd, &ret->of))
		return 0;
	obj = vec_add(&c->m.pidfds);
	obj->id = (uint32_t)c->m.pidfds.nr;
	obj->pid = vpid;
	obj->exit_code = vpid ? 0 : exit_code_of(fd->local);
	ret->of = obj->id;
	return 0;
}

const struct cpt_file_kind cpt_pidfd_kind = {
	.kind = FILE_PIDFD,
	.match = pidfd_match,
	.check = pidfd_check,
	.collect = pidfd_collect,
};
