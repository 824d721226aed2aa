// SPDX-License-Identifier: GPL-2.0-only
/*
 * Epoll sets. A target is known to the kernel by its open file and the number it had when it was added; that
 * number may have been closed or given to another file since, so who the target is, is decided by kcmp.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "cpt/file.h"
#include "facts/fdinfo.h"
#include "facts/proc.h"

static bool epoll_match(const struct cpt_fd *fd)
{
	return !strcmp(fd->link, "anon_inode:[eventpoll]");
}

int cpt_epoll_same(pid_t pid, int fd, pid_t set_pid, int set_fd, uint32_t target_fd, uint32_t nth)
{
	struct kcmp_epoll_slot slot = {.efd = (uint32_t)set_fd, .tfd = target_fd, .toff = nth};

	return syscall(SYS_kcmp, pid, set_pid, KCMP_EPOLL_TFD, fd, &slot) == 0;
}

/* How many targets before this one have the same number. */
static uint32_t nth_of(const fdinfo_epoll_targets *targets, const struct fdinfo_epoll_target *t)
{
	uint32_t nth = 0;

	for (const struct fdinfo_epoll_target *x = targets->at; x < t; x++)
		nth += x->fd == t->fd;
	return nth;
}

/* --- check: any descriptor of the VE that is the target --- */

static bool is_open_in(const struct cpt_task *t, const struct cpt_fd *set, uint32_t target_fd, uint32_t nth)
{
	proc_numbers fds;
	struct err ignored;
	bool found = false;

	if (proc_numbers_read(t->proc_fd, "fd", &fds, &ignored))
		return false;
	for (size_t i = 0; i < fds.nr && !found; i++)
		found = cpt_epoll_same(t->pid, (int)fds.at[i], set->task->pid, set->fd, target_fd, nth);
	vec_free(&fds);
	return found;
}

static int epoll_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	fdinfo_epoll_targets targets;
	char where[64];

	if (fdinfo_epoll_parse(fd->fdinfo, &targets, err))
		return -1;
	vec_each(x, &targets) {
		uint32_t nth = nth_of(&targets, x);
		bool found = cpt_epoll_same(fd->task->pid, (int)x->fd, fd->task->pid, fd->fd, x->fd, nth);

		vec_each(t, &c->tasks)
			if (!found && !t->zombie)
				found = is_open_in(t, fd, x->fd, nth);
		if (!found)
			findings_add(
				c->findings, cpt_fdopen_where(fd, where), NULL,
				"epoll set with a target (added as fd %u) that is open nowhere in the VE",
				x->fd);
	}
	vec_free(&targets);
	return 0;
}

/* --- collect --- */

static int epoll_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	struct epoll_obj *obj = vec_add(&c->m.epolls);
	struct cpt_epoll_known *k = vec_add(&s->epolls);

	obj->id = (uint32_t)c->m.epolls.nr;
	k->id = obj->id;
	k->pid = fd->task ? fd->task->pid : getpid();
	k->fd = fd->fd;
	cpt_fdopen_where(fd, k->where);
	ret->of = obj->id;
	return 0;
}

static const struct cpt_task *task_of(const struct cpt *c, pid_t pid)
{
	vec_each(t, &c->tasks)
		if (t->pid == pid)
			return t;
	return NULL;
}

/* Most targets still have their number in the table of the set; the others are looked for among all open
 * files. */
static file_id target_of(const struct cpt *c, const struct cpt_epoll_known *k,
			 const struct fdinfo_epoll_target *x, uint32_t nth)
{
	const struct cpt_file_state *s = c->file;
	const struct cpt_task *t = task_of(c, k->pid);
	file_id id = t ? cpt_file_of(c, t, (int)x->fd) : 0;

	if (id && cpt_epoll_same(t->pid, (int)x->fd, k->pid, k->fd, x->fd, nth))
		return id;
	for (size_t i = 0; i < s->first.nr; i++) {
		if (s->first_st.at[i].st_ino != x->ino)
			continue;
		if (cpt_epoll_same(s->first.at[i].pid, s->first.at[i].fd, k->pid, k->fd, x->fd, nth))
			return s->first.at[i].id;
	}
	return 0;
}

static int finish_set(struct cpt *c, const struct cpt_epoll_known *k, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	const struct cpt_task *t = task_of(c, k->pid);
	_fd_ int self = t ? -1 : open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fdinfo_epoll_targets targets;
	int ret = 0;

	if (fdinfo_read(t ? t->proc_fd : self, (unsigned)k->fd, &s->text, err) ||
	    fdinfo_epoll_parse((const char *)s->text.at, &targets, err))
		return -1;
	vec_each(x, &targets) {
		file_id id = target_of(c, k, x, nth_of(&targets, x));
		struct epoll_target *target;

		if (!id) {
			ret = err_set(err, ERR_CHECKPOINT,
				      "its target that was added as fd %u is open nowhere in the VE", x->fd);
			break;
		}
		target = vec_add(&c->m.epolls.at[k->id - 1].targets);
		*target =
			(struct epoll_target){.fd = x->fd, .file = id, .events = x->events, .data = x->data};
	}
	vec_free(&targets);
	return ret;
}

static int epoll_finish(struct cpt *c, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(k, &s->epolls)
		if (finish_set(c, k, err))
			return err_ctx(err, "%s: epoll set", k->where);
	return 0;
}

const struct cpt_file_kind cpt_epoll_kind = {
	.kind = FILE_EPOLL,
	.match = epoll_match,
	.check = epoll_check,
	.collect = epoll_collect,
	.finish = epoll_finish,
};
