// SPDX-License-Identifier: GPL-2.0-only
/*
 * Epoll sets. A target belongs to the number it is added under, so the call is made by a task of the set,
 * with the target at its number: usually it is there; else it is put there for the moment of the call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "facts/fdinfo.h"
#include "rst/file.h"

/* What EPOLLONESHOT leaves when it has fired (fs/eventpoll.c EP_PRIVATE_BITS). */
#define KEPT_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

static int epoll_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "epoll_create1");
	*ret_fd = fd;
	return 0;
}

/* One set in the hands of one task. */
struct set {
	const struct epoll_obj *obj;
	const struct file_obj *file;
	struct rst_task *task;
	const struct files_obj *table;
	int fd;	       /* of the set, in the task */
	bool borrowed; /* it is there only for now */
};

static const struct fd_entry *entry_at(const struct files_obj *table, uint32_t fd)
{
	size_t low = 0, high = table ? table->fds.nr : 0;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (table->fds.at[mid].fd == fd)
			return &table->fds.at[mid];
		if (table->fds.at[mid].fd < fd)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool has_fired(const struct epoll_target *t)
{
	return t->events & EPOLLONESHOT && !(t->events & ~KEPT_BITS);
}

/* --- targets in the batch --- */

static void add_ctl(struct remote_batch *b, const struct set *s, int op, const struct epoll_target *t,
		    uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = t->data};

	remote_call(b, "epoll_ctl", 0, SYS_epoll_ctl, ra_num(s->fd), ra_num(op), ra_num(t->fd),
		    ra_data(remote_batch_data(b, &event, sizeof(event))));
}

/* The target is open under another number, or in another task: it comes to its number for the call. */
static int add_absent(struct rst *r, const struct set *s, const struct epoll_target *t, uint32_t events,
		      struct err *err)
{
	const struct fd_entry *there = entry_at(s->table, t->fd);
	struct remote_batch *b;
	size_t aside = 0;
	int number, ret;

	if (t->file >= r->nr_file_fds || r->file_fds[t->file] < 0)
		return err_set(err, ERR_IMAGE, "epoll: file %u is not open", t->file);
	if (remote_send_fds(s->task->r, &r->file_fds[t->file], 1, &number, err))
		return -1;
	b = remote_batch_new();
	if (there)
		aside = remote_call(b, "dup", 0, SYS_fcntl, ra_num(t->fd), ra_num(F_DUPFD_CLOEXEC),
				    ra_num(0));
	if ((uint32_t)number != t->fd) {
		remote_call(b, "dup3", 0, SYS_dup3, ra_num(number), ra_num(t->fd), ra_num(O_CLOEXEC));
		remote_call(b, "close", 0, SYS_close, ra_num(number));
	}
	add_ctl(b, s, EPOLL_CTL_ADD, t, events);
	if (there) {
		remote_call(b, "dup3", 0, SYS_dup3, ra_result(aside), ra_num(t->fd),
			    ra_num(there->cloexec ? O_CLOEXEC : 0));
		remote_call(b, "close", 0, SYS_close, ra_result(aside));
	} else {
		remote_call(b, "close", 0, SYS_close, ra_num(t->fd));
	}
	ret = remote_batch_run(s->task->r, b, err);
	remote_batch_free(b);
	return ret;
}

static bool is_there(const struct set *s, const struct epoll_target *t)
{
	const struct fd_entry *e = entry_at(s->table, t->fd);

	return e && e->file == t->file;
}

/* Those for which `fired` is so. */
static int add_targets(struct rst *r, const struct set *s, bool fired, struct err *err)
{
	uint32_t more = fired ? EPOLLIN | EPOLLOUT : 0;
	struct remote_batch *b = remote_batch_new();
	int ret;

	vec_each(t, &s->obj->targets)
		if (has_fired(t) == fired && is_there(s, t))
			add_ctl(b, s, EPOLL_CTL_ADD, t, t->events | more);
	ret = remote_batch_run(s->task->r, b, err);
	remote_batch_free(b);
	vec_each(t, &s->obj->targets)
		if (!ret && has_fired(t) == fired && !is_there(s, t))
			ret = add_absent(r, s, t, t->events | more, err);
	return ret;
}

/* --- one-shot targets that have fired --- */

/*
 * An armed target always hears of errors and hang-ups (epoll_ctl adds EPOLLERR and EPOLLHUP), a fired one of
 * nothing. So it has to fire here: most can be written to, and fire at once. For the others errors and
 * hang-ups remain.
 */
static int fire(struct rst *r, const struct set *s, size_t nr, struct err *err)
{
	_free_ struct epoll_event *events = mem_alloc(nr * sizeof(*events));
	int set = r->file_fds[s->file->id];

	for (size_t fired = 0; fired < nr;) {
		int n = epoll_wait(set, events, (int)nr, 0);

		if (n < 0)
			return err_sys(err, "epoll_wait");
		if (n == 0)
			break;
		fired += (size_t)n;
	}
	return 0;
}

/* Targets still armed with what was only added to make them fire. */
static int calm(struct rst *r, const struct set *s, struct err *err)
{
	_fd_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fdinfo_epoll_targets now;
	struct buf text = {0};
	struct remote_batch *b;
	int ret = 0;

	if (self < 0)
		return err_sys(err, "/proc/self");
	if (fdinfo_read(self, (unsigned)r->file_fds[s->file->id], &text, err) ||
	    fdinfo_epoll_parse((const char *)text.at, &now, err))
		ret = -1;
	buf_free(&text);
	if (ret)
		return -1;
	b = remote_batch_new();
	vec_each(x, &now)
		vec_each(t, &s->obj->targets)
			if (x->events & EPOLLOUT && t->fd == x->fd && t->data == x->data && has_fired(t) &&
			    is_there(s, t))
				add_ctl(b, s, EPOLL_CTL_MOD, t, t->events);
	ret = remote_batch_run(s->task->r, b, err);
	remote_batch_free(b);
	vec_free(&now);
	return ret;
}

static int add_fired(struct rst *r, const struct set *s, struct err *err)
{
	size_t nr = 0;

	vec_each(t, &s->obj->targets)
		nr += has_fired(t);
	return nr && (add_targets(r, s, true, err) || fire(r, s, nr, err) || calm(r, s, err)) ? -1 : 0;
}

/* --- sets --- */

/* A set that is only on its way in a socket: any task does. */
static int borrow(struct rst *r, struct set *s, struct err *err)
{
	vec_each(t, &r->tasks) {
		if (!t->r)
			continue;
		s->task = t;
		s->borrowed = true;
		return remote_send_fds(t->r, &r->file_fds[s->file->id], 1, &s->fd, err);
	}
	return err_set(err, ERR_RESTORE, "no task can make the epoll set");
}

static int take(struct rst *r, struct set *s, struct err *err)
{
	uint32_t fd;

	s->task = rst_file_holder(r, s->file->id, &fd);
	s->fd = (int)fd;
	if (!s->task && borrow(r, s, err))
		return -1;
	if (!s->borrowed) {
		const struct task_obj *obj = model_task(&r->m, s->task->t.pid);

		s->table = model_files(&r->m, obj->files);
	}
	return 0;
}

static int restore_set(struct rst *r, const struct file_obj *f, struct err *err)
{
	struct set s = {.obj = model_epoll(&r->m, f->of), .file = f};
	uint64_t fd;
	int64_t ignored;

	if (!s.obj->targets.nr)
		return 0;
	if (take(r, &s, err) || add_fired(r, &s, err) || add_targets(r, &s, false, err))
		return -1;
	fd = (uint64_t)s.fd;
	return s.borrowed ? remote_syscall(s.task->r, SYS_close, 1, &fd, &ignored, err) : 0;
}

static int epoll_attach(struct rst *r, struct err *err)
{
	char where[64];

	vec_each(f, &r->m.files)
		if (f->kind == FILE_EPOLL && restore_set(r, f, err))
			return err_ctx(err, "%s: epoll set", rst_file_where(r, f->id, where));
	return 0;
}

const struct rst_file_kind rst_epoll_kind = {.kind = FILE_EPOLL, .open = epoll_open, .attach = epoll_attach};
