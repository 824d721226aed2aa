// SPDX-License-Identifier: GPL-2.0-only
#include <sys/inotify.h>
#include <time.h>

#include "model/validate.h"

#define FD_MAX	       0x3fffffffu /* fs/file.c: sysctl_nr_open_max */
#define PIPE_MAX_BYTES (1u << 31)  /* fs/pipe.c: round_pipe_size */
#define MAJOR_MAX      4095u
#define MINOR_MAX      0xfffffu

/* --- kinds of things that are open --- */

static int validate_pipe(const struct pipe_obj *pipe, struct err *err)
{
	uint64_t sum = 0;

	vec_each(c, &pipe->chunks) {
		if (!c->data.len_bytes)
			return validate_bad(err, "an empty piece of data");
		sum += c->data.len_bytes;
	}
	if (pipe->capacity_bytes > PIPE_MAX_BYTES || sum > pipe->capacity_bytes)
		return validate_bad(err, "%llu bytes in %u", (unsigned long long)sum, pipe->capacity_bytes);
	return 0;
}

static bool is_timerfd_clock(int32_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
	       clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

static int validate_small(const struct model *m, struct err *err)
{
	vec_each(c, &m->chardevs) {
		if (c->major > MAJOR_MAX || c->minor > MINOR_MAX)
			return validate_bad(err, "chardev %u: impossible device %u:%u", c->id, c->major,
					    c->minor);
	}
	vec_each(e, &m->eventfds) {
		if (e->count == UINT64_MAX) /* fs/eventfd.c: ULLONG_MAX is no count */
			return validate_bad(err, "eventfd %u: impossible count", e->id);
	}
	vec_each(t, &m->timerfds) {
		if (!is_timerfd_clock(t->clock) || t->left_ns < 0 || t->interval_ns < 0 || t->absolute_ns < 0)
			return validate_bad(err, "timerfd %u: impossible clock or time", t->id);
	}
	vec_each(pipe, &m->pipes) {
		if (validate_pipe(pipe, err))
			return err_ctx(err, "pipe %u", pipe->id);
	}
	return 0;
}

static int validate_inotify(const struct model *m, const struct inotify_obj *inotify, struct err *err)
{
	uint32_t last = 0;

	vec_each(w, &inotify->watches) {
		if (w->wd <= last || w->wd > INOTIFY_WD_MAX)
			return validate_bad(err, "watch %u: impossible number, or out of order", w->wd);
		if (w->mask & ~(uint32_t)(IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK))
			return validate_bad(err, "watch %u: impossible mask %x", w->wd, w->mask);
		if (!model_reg(m, w->reg))
			return validate_bad(err, "watch %u: file %u does not exist", w->wd, w->reg);
		last = w->wd;
	}
	return 0;
}

static int validate_inotifys(const struct model *m, struct err *err)
{
	vec_each(i, &m->inotifys) {
		if (validate_inotify(m, i, err))
			return err_ctx(err, "inotify %u", i->id);
	}
	return 0;
}

static int validate_pidfds(const struct model *m, struct err *err)
{
	vec_each(p, &m->pidfds) {
		if (p->pid && !model_task(m, p->pid))
			return validate_bad(err, "pidfd %u: task %u does not exist", p->id, p->pid);
		/* sys_wait.h: a signal, or a code in the second byte; 0x7f would be a stop */
		if (p->exit_code > 0xffff || (p->exit_code & 0x7f) > 64 || (p->pid && p->exit_code))
			return validate_bad(err, "pidfd %u: impossible end %x", p->id, p->exit_code);
	}
	return 0;
}

static int validate_ttys(const struct model *m, struct err *err)
{
	_free_ uint32_t *indexes = mem_realloc_array(NULL, m->ttys.nr + 1, sizeof(*indexes));
	size_t nr = 0, consoles = 0;
	uint32_t twice;

	vec_each(tty, &m->ttys) {
		if (tty->console)
			consoles++;
		else
			indexes[nr++] = tty->index;
	}
	if (consoles > 1)
		return validate_bad(err, "tty: %zu consoles", consoles);
	return validate_unique(indexes, nr, &twice)
		       ? 0
		       : validate_bad(err, "tty: index %u is there twice", twice);
}

/* --- open files --- */

static const void *thing_of(const struct model *m, const struct file_obj *f)
{
	const struct shm_obj *shm;

	switch (f->kind) {
	case FILE_REG:
		return model_reg(m, f->of);
	case FILE_MEMFD: /* nothing opens a System V segment */
		shm = model_shm(m, f->of);
		return shm && shm->kind != SHM_SYSV ? shm : NULL;
	case FILE_PIPE:
		return model_pipe(m, f->of);
	case FILE_CHARDEV:
		return model_chardev(m, f->of);
	case FILE_EVENTFD:
		return model_eventfd(m, f->of);
	case FILE_EPOLL:
		return model_epoll(m, f->of);
	case FILE_TIMERFD:
		return model_timerfd(m, f->of);
	case FILE_SIGNALFD:
		return model_signalfd(m, f->of);
	case FILE_TTY:
		return model_tty(m, f->of);
	case FILE_UNIX:
		return model_unix(m, f->of);
	case FILE_INET:
		return model_inet(m, f->of);
	case FILE_INOTIFY:
		return model_inotify(m, f->of);
	case FILE_PIDFD:
		return model_pidfd(m, f->of);
	case FILE_KINDS:
		break;
	}
	return NULL;
}

static int validate_file(const struct model *m, const struct file_obj *f, struct err *err)
{
	if (!thing_of(m, f))
		return validate_bad(err, "what it opens, %u of kind %u, does not exist", f->of, f->kind);
	if (f->tty_master && f->kind != FILE_TTY)
		return validate_bad(err, "a terminal's master, but no terminal");
	vec_each(l, &f->locks) {
		if (f->kind != FILE_REG || l->start > l->end || l->start > INT64_MAX ||
		    (l->end > INT64_MAX && l->end != UINT64_MAX))
			return validate_bad(err, "an impossible lock");
		if (l->kind == FILE_LOCK_POSIX && !model_files(m, l->table))
			return validate_bad(err, "a lock of descriptor table %u, which does not exist",
					    l->table);
	}
	if (f->owner_type < 0 || f->owner_type > 2 || f->owner_signal > 64)
		return validate_bad(err, "impossible owner");
	return 0;
}

static int validate_fdtable(const struct model *m, const struct files_obj *files, struct err *err)
{
	for (size_t i = 0; i < files->fds.nr; i++) {
		const struct fd_entry *e = &files->fds.at[i];

		if (e->fd > FD_MAX || (i && e->fd <= files->fds.at[i - 1].fd))
			return validate_bad(err, "fd %u: impossible, or out of order", e->fd);
		if (!model_file(m, e->file))
			return validate_bad(err, "fd %u: file %u does not exist", e->fd, e->file);
	}
	return 0;
}

/* --- epoll: targets exist, and no epoll watches itself through others --- */

struct epoll_walk {
	const struct model *m;
	uint8_t *state; /* by index of the epoll: 0 not seen, 1 on the way down, 2 done */
};

static const struct epoll_obj *watched_epoll(const struct model *m, const struct epoll_target *t)
{
	const struct file_obj *f = model_file(m, t->file);

	return f && f->kind == FILE_EPOLL ? model_epoll(m, f->of) : NULL;
}

static int walk_epoll(struct epoll_walk *walk, const struct epoll_obj *epoll, unsigned depth, struct err *err)
{
	uint8_t *state = &walk->state[epoll - walk->m->epolls.at];

	if (*state == 2)
		return 0;
	if (*state == 1 || depth > 5) /* fs/eventpoll.c: EP_MAX_NESTS is 4 */
		return validate_bad(err, "epoll %u: watches itself, or nested too deep", epoll->id);
	*state = 1;
	vec_each(t, &epoll->targets) {
		const struct epoll_obj *next = watched_epoll(walk->m, t);

		if (next && walk_epoll(walk, next, depth + 1, err))
			return -1;
	}
	*state = 2;
	return 0;
}

static int validate_epolls(const struct model *m, struct err *err)
{
	_free_ uint8_t *state = mem_alloc(m->epolls.nr + 1);
	struct epoll_walk walk = {m, state};

	vec_each(e, &m->epolls) {
		vec_each(t, &e->targets) {
			if (t->fd > FD_MAX || !model_file(m, t->file))
				return validate_bad(err, "epoll %u: target %u: file %u does not exist", e->id,
						    t->fd, t->file);
		}
		if (walk_epoll(&walk, e, 0, err))
			return -1;
	}
	return 0;
}

int validate_files(const struct model *m, struct err *err)
{
	if (validate_small(m, err) || validate_ttys(m, err) || validate_epolls(m, err) ||
	    validate_pidfds(m, err) || validate_inotifys(m, err))
		return -1;
	vec_each(f, &m->files) {
		if (validate_file(m, f, err))
			return err_ctx(err, "file %u", f->id);
	}
	vec_each(files, &m->fdtables) {
		if (validate_fdtable(m, files, err))
			return err_ctx(err, "files %u", files->id);
	}
	return 0;
}
