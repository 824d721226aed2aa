// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inotify queues. They are made with the other files, and by a task: so they are charged to the VE and not to
 * root of the node. Watches begin as the last thing, because all that was done before would cause events.
 * Numbers of watches are handed out in order (fs/notify/inotify: idr_alloc_cyclic): for those that are
 * missing in between a watch on a pipe of ours comes and goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "rst/file.h"

#define DRAIN_AFTER 4096 /* events; fs.inotify.max_queued_events is 16384 as it comes */

/* --- the queue --- */

static struct rst_task *any_task(struct rst *r)
{
	vec_each(t, &r->tasks)
		if (t->r)
			return t;
	return NULL;
}

static int inotify_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	struct rst_task *t = any_task(r);
	uint64_t number = IN_CLOEXEC;
	_fd_ int pidfd = -1, fd = -1;
	struct rst_inotify copy;
	int64_t result;

	if (!t)
		return err_set(err, ERR_RESTORE, "no task can make the inotify queue");
	if (remote_syscall(t->r, SYS_inotify_init1, 1, &number, &result, err))
		return -1;
	if (result < 0) {
		errno = (int)-result;
		return err_sys(err, "inotify_init1");
	}
	number = (uint64_t)result;
	pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	if (pidfd >= 0)
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (fd < 0)
		return err_sys(err, "pidfd_getfd");
	if (remote_syscall(t->r, SYS_close, 1, &number, &result, err))
		return -1;
	copy = (struct rst_inotify){f->of, fcntl(fd, F_DUPFD_CLOEXEC, 3)};
	if (copy.fd < 0)
		return err_sys(err, "copy of a descriptor");
	vec_push(&rst_file_state(r)->inotifys, copy);
	*ret_fd = fd_take(&fd);
	return 0;
}

/* --- watches --- */

struct counter {
	int fd;
	uint32_t next; /* number that the next watch will have */
	uint32_t left; /* events in the queue, of watches that are gone */
	char pipe[32]; /* a path that leads to something to be watched */
};

static int watch(int fd, const char *path, uint32_t mask, uint32_t wd, struct err *err)
{
	int got = inotify_add_watch(fd, path, mask);

	if (got < 0)
		return err_sys(err, "inotify_add_watch");
	if ((uint32_t)got != wd)
		return err_set(err, ERR_RESTORE, "a watch got the number %d instead of %u", got, wd);
	return 0;
}

/* Nothing of the VE's own can be among them: it stands still. */
static int drain(struct counter *n, struct err *err)
{
	_free_ char *piece = mem_alloc(65536);
	int bytes;

	n->left = 0;
	while (!ioctl(n->fd, FIONREAD, &bytes) && bytes)
		if (read(n->fd, piece, 65536) < 0 && errno != EINTR)
			return err_sys(err, "read of an inotify queue");
	return 0;
}

static int count_to(struct counter *n, uint32_t wd, struct err *err)
{
	for (; n->next < wd; n->next++) {
		if (watch(n->fd, n->pipe, IN_MOVE_SELF, n->next, err))
			return -1;
		if (inotify_rm_watch(n->fd, (int)n->next)) /* leaves an IN_IGNORED */
			return err_sys(err, "inotify_rm_watch");
		if (++n->left == DRAIN_AFTER && drain(n, err))
			return -1;
	}
	return n->left ? drain(n, err) : 0;
}

static int add_watch(struct rst *r, struct counter *n, const struct inotify_watch *w, struct err *err)
{
	_fd_ int place = -1;
	char path[32];

	if (count_to(n, w->wd, err) || rst_reg_open(r, w->reg, O_PATH, &place, err))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
	/* IN_UNMOUNT is reported anyway, and a watch may have asked for nothing else: no event at all is
	 * refused */
	if (watch(n->fd, path, w->mask | IN_UNMOUNT, w->wd, err))
		return err_ctx(err, "%s", model_reg(&r->m, w->reg)->path);
	n->next = w->wd + 1;
	return 0;
}

static int add_watches(struct rst *r, int fd, const struct inotify_obj *obj, struct err *err)
{
	struct counter n = {.fd = fd, .next = 1};
	_fd_ int read_end = -1, write_end = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return err_sys(err, "pipe2");
	read_end = ends[0];
	write_end = ends[1];
	snprintf(n.pipe, sizeof(n.pipe), "/proc/self/fd/%d", read_end);
	vec_each(w, &obj->watches)
		if (add_watch(r, &n, w, err))
			return err_ctx(err, "inotify watch %u", w->wd);
	return 0;
}

/* O_ASYNC rests meanwhile: nobody is to get a signal. */
static int restore_queue(struct rst *r, const struct rst_inotify *queue, struct err *err)
{
	const struct inotify_obj *obj = model_inotify(&r->m, queue->id);
	int flags = fcntl(queue->fd, F_GETFL);

	if (!obj->watches.nr)
		return 0;
	if (flags & O_ASYNC && fcntl(queue->fd, F_SETFL, flags & ~O_ASYNC))
		return err_sys(err, "F_SETFL");
	if (add_watches(r, queue->fd, obj, err))
		return -1;
	if (flags & O_ASYNC && fcntl(queue->fd, F_SETFL, flags))
		return err_sys(err, "F_SETFL");
	return 0;
}

int rst_inotify_watch(struct rst *r, struct err *err)
{
	vec_each(i, &rst_file_state(r)->inotifys) {
		if (restore_queue(r, i, err))
			return -1;
		close(fd_take(&i->fd));
	}
	return 0;
}

const struct rst_file_kind rst_inotify_kind = {.kind = FILE_INOTIFY, .open = inotify_open};
