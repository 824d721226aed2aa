// SPDX-License-Identifier: GPL-2.0-only
/* Open files are made here, in the engine; rst/place.c brings them into the tasks. */
#include "rst/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

static const struct rst_file_kind *const kinds[] = {
	&rst_reg_kind,	 &rst_memfd_kind,   &rst_pipe_kind,	&rst_chardev_kind, &rst_eventfd_kind,
	&rst_epoll_kind, &rst_timerfd_kind, &rst_signalfd_kind, &rst_tty_kind,	   &rst_unix_kind,
	&rst_inet_kind,	 &rst_pidfd_kind,   &rst_inotify_kind,
};

#define OWN_FDS	    128 /* of the engine, beside the VE's open files */
#define FILE_ID_MAX (1u << 24)
#define STATUS_FLAGS                                                                                         \
	(O_APPEND | O_NONBLOCK | O_DIRECT |                                                                  \
	 O_NOATIME) /* what F_SETFL can change; O_ASYNC comes with the owner */

struct rst_file_state *rst_file_state(struct rst *r)
{
	if (!r->file)
		r->file = mem_new(struct rst_file_state);
	return r->file;
}

static const struct rst_file_kind *kind_of(const struct file_obj *f)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->kind == f->kind)
			return kinds[i];
	return NULL;
}

/* --- where it is, for errors and for those who need a task that has it --- */

static const struct fd_entry *entry_of(const struct files_obj *table, file_id id)
{
	vec_each(e, &table->fds)
		if (e->file == id)
			return e;
	return NULL;
}

const char *rst_file_where(const struct rst *r, file_id id, char ret[static 64])
{
	snprintf(ret, 64, "file %u, on its way in a socket", id);
	vec_each(t, &r->m.tasks) {
		const struct files_obj *table = t->files ? model_files(&r->m, t->files) : NULL;
		const struct fd_entry *e = table ? entry_of(table, id) : NULL;

		if (e) {
			snprintf(ret, 64, "task %u fd %u", t->pid, e->fd);
			break;
		}
	}
	return ret;
}

struct rst_task *rst_file_holder(struct rst *r, file_id id, uint32_t *ret_fd)
{
	vec_each(t, &r->m.tasks) {
		const struct files_obj *table = t->files ? model_files(&r->m, t->files) : NULL;
		const struct fd_entry *e = table ? entry_of(table, id) : NULL;
		struct rst_task *task = e ? rst_tree_find(r, t->pid) : NULL;

		if (task && task->r) {
			*ret_fd = e->fd;
			return task;
		}
	}
	return NULL;
}

/* --- opening --- */

static int raise_limit(size_t nr_files, struct err *err)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return err_sys(err, "RLIMIT_NOFILE");
	lim.rlim_cur = lim.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &lim))
		return err_sys(err, "RLIMIT_NOFILE");
	if (nr_files + OWN_FDS > lim.rlim_max)
		return err_set(err, ERR_RESOURCES,
			       "the VE has %zu open files, this process may open %llu (RLIMIT_NOFILE)",
			       nr_files, (unsigned long long)lim.rlim_max);
	return 0;
}

static int set_flags(int fd, uint32_t flags, struct err *err)
{
	int now = fcntl(fd, F_GETFL);
	uint32_t differ = ((uint32_t)now ^ flags) & STATUS_FLAGS;

	if (now < 0)
		return err_sys(err, "F_GETFL");
	if (differ && fcntl(fd, F_SETFL, ((uint32_t)now & ~STATUS_FLAGS) | (flags & STATUS_FLAGS)))
		return err_sys(err, "flags %o", flags);
	return 0;
}

static int open_file(struct rst *r, const struct file_obj *f, struct err *err)
{
	const struct rst_file_kind *kind = kind_of(f);
	_fd_ int fd = -1;

	if (!kind)
		return err_set(err, ERR_IMAGE, "unknown kind %d", f->kind);
	if (kind->open(r, f, &fd, err))
		return -1;
	if (!(f->flags & O_PATH) && set_flags(fd, f->flags, err))
		return -1;
	if (f->pos && (f->kind == FILE_REG || f->kind == FILE_MEMFD) && !(f->flags & O_PATH) &&
	    lseek(fd, f->pos, SEEK_SET) < 0)
		return err_sys(err, "position %lld", (long long)f->pos);
	r->file_fds[f->id] = fd_take(&fd);
	return 0;
}

int rst_file_open_all(struct rst *r, struct err *err)
{
	size_t nr = r->m.files.nr;
	file_id last = nr ? r->m.files.at[nr - 1].id : 0;
	char where[64];

	if (last > FILE_ID_MAX)
		return err_set(err, ERR_IMAGE, "open file with the id %u", last);
	if (raise_limit(nr, err))
		return -1;
	r->nr_file_fds = last + 1;
	r->file_fds = mem_realloc_array(NULL, r->nr_file_fds, sizeof(*r->file_fds));
	memset(r->file_fds, 0xff, r->nr_file_fds * sizeof(*r->file_fds));
	vec_each(f, &r->m.files)
		if (open_file(r, f, err))
			return err_ctx(err, "%s", rst_file_where(r, f->id, where));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->connect && kinds[i]->connect(r, err))
			return -1;
	rst_pipe_let_go(r);
	return rst_ghost_finish(r, err) || fault_point("restore-files", err) ? -1 : 0;
}

/* --- owners of signals --- */

/* The host's number of a process or group of the VE; the kernel keeps the process, not the number it was told
 * by. */
static pid_t owner_of(struct rst *r, const struct file_obj *f)
{
	vec_each(t, &r->tasks) {
		if (f->owner_type == F_OWNER_PGRP && t->t.pgid == (uint32_t)-f->owner_pid && t->r)
			return getpgid(t->pid);
		if (f->owner_type != F_OWNER_PGRP && t->t.pid == (uint32_t)f->owner_pid)
			return t->pid;
	}
	return 0;
}

static int set_owner(struct rst *r, const struct file_obj *f, struct err *err)
{
	int fd = r->file_fds[f->id];
	struct f_owner_ex owner = {.type = f->owner_type, .pid = f->owner_pid ? owner_of(r, f) : 0};

	/* one that is not alive any more, or a thread that comes later: nobody gets the signal */
	if (owner.pid && fcntl(fd, F_SETOWN_EX, &owner))
		return err_sys(err, "F_SETOWN_EX");
	if (f->owner_signal && fcntl(fd, F_SETSIG, f->owner_signal))
		return err_sys(err, "F_SETSIG");
	if (f->flags & O_ASYNC && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC))
		return err_sys(err, "O_ASYNC");
	return 0;
}

static void close_files(struct rst *r, bool all)
{
	vec_each(f, &r->m.files) {
		if (f->id >= r->nr_file_fds || (!all && f->kind == FILE_INET))
			continue;
		cleanup_fd(&r->file_fds[f->id]);
		r->file_fds[f->id] = -1;
	}
}

int rst_file_attach(struct rst *r, struct err *err)
{
	char where[64];

	vec_each(f, &r->m.files)
		if ((f->owner_pid || f->flags & O_ASYNC) && !(f->flags & O_PATH) && set_owner(r, f, err))
			return err_ctx(err, "%s", rst_file_where(r, f->id, where));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->attach && kinds[i]->attach(r, err))
			return -1;
	if (rst_lock_take_all(r, err))
		return -1;
	rst_tty_let_go(r);
	/* from here on only the VE has them; connections are woken up when it is let go (rst_sock_kick) */
	close_files(r, false);
	return 0;
}

void rst_file_free(struct rst *r)
{
	if (r->file_fds)
		close_files(r, true);
	free(r->file_fds);
	r->file_fds = NULL;
	r->nr_file_fds = 0;
	if (!r->file)
		return;
	rst_pipe_let_go(r);
	rst_tty_let_go(r);
	vec_each(g, &r->file->ghosts)
		cleanup_fd(&g->fd);
	vec_free(&r->file->ghosts);
	vec_each(p, &r->file->pidfds)
		cleanup_fd(&p->fd);
	vec_free(&r->file->pidfds);
	vec_each(i, &r->file->inotifys)
		cleanup_fd(&i->fd);
	vec_free(&r->file->inotifys);
	free(r->file);
	r->file = NULL;
}
