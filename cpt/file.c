// SPDX-License-Identifier: GPL-2.0-only
/* Descriptor tables and open files: the registry of kinds, and what all kinds have in common. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "cpt/file.h"
#include "facts/fdinfo.h"
#include "facts/proc.h"

/* FILE_REG last: it takes what has a path. */
static const struct cpt_file_kind *const kinds[] = {
	&cpt_memfd_kind, &cpt_pipe_kind,    &cpt_tty_kind,	&cpt_chardev_kind, &cpt_eventfd_kind,
	&cpt_epoll_kind, &cpt_timerfd_kind, &cpt_signalfd_kind, &cpt_pidfd_kind,   &cpt_inotify_kind,
	&cpt_unix_kind,	 &cpt_inet_kind,    &cpt_reg_kind,
};

/* From how many descriptors on, in all, it pays to load the iterator: 20 ms before the freeze for 6 us each
 * in it. */
#define WALK_FROM 150

static const struct cpt_file_kind *kind_of(const struct cpt_fd *fd)
{
	if (fd->flags & O_PATH) /* nothing but a place in the tree, whatever lies there */
		return fd->link[0] == '/' ? &cpt_reg_kind : NULL;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->match(fd))
			return kinds[i];
	return NULL;
}

/* --- what nobody carries, in words --- */

static const struct {
	const char *link, *what, *hint;
} strangers[] = {
	{"anon_inode:[fanotify]", "fanotify queue", NULL},
	{"anon_inode:[io_uring]", "io_uring", "configure the program to use epoll"},
	{"anon_inode:bpf-map", "BPF map", NULL},
	{"anon_inode:bpf-prog", "BPF program", NULL},
	{"anon_inode:bpf_link", "BPF link", NULL},
	{"anon_inode:[perf_event]", "performance counter", "stop profiling"},
	{"anon_inode:[userfaultfd]", "userfaultfd", NULL},
	{"anon_inode:[landlock-ruleset]", "Landlock rule set", NULL},
	{"anon_inode:seccomp notify", "seccomp listener", NULL},
	{"anon_inode:[fscontext]", "filesystem being set up", NULL},
	{"/secretmem", "memfd_secret", "its memory cannot be read from outside"},
};

static void obstacle_unknown(struct cpt *c, const struct cpt_fd *fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	char where[64];

	cpt_fdopen_where(fd, where);
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
		if (!strcmp(fd->link, strangers[i].link)) {
			findings_add(c->findings, where, strangers[i].hint, "%s", strangers[i].what);
			return;
		}
	}
	if (S_ISSOCK(fd->st.st_mode) && !getsockopt(fd->local, SOL_SOCKET, SO_DOMAIN, &domain, &len))
		findings_add(c->findings, where, NULL, "socket of family %d%s", domain,
			     domain == AF_NETLINK  ? " (netlink)"
			     : domain == AF_PACKET ? " (packet)"
						   : "");
	else if (S_ISBLK(fd->st.st_mode) || S_ISCHR(fd->st.st_mode))
		findings_add(c->findings, where, NULL, "%s device %u:%u (%s)",
			     S_ISBLK(fd->st.st_mode) ? "block" : "character", major(fd->st.st_rdev),
			     minor(fd->st.st_rdev), fd->link);
	else
		findings_add(c->findings, where, NULL, "%s", fd->link);
}

/* --- check --- */

/* Leases; other locks are carried. */
static int check_locks(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	struct fdinfo_common common;

	if (!S_ISREG(fd->st.st_mode) || (fd->flags & O_PATH) ||
	    fdinfo_read(fd->task->proc_fd, (unsigned)fd->fd, &s->text, err) ||
	    fdinfo_common_parse((const char *)s->text.at, &common, err))
		return 0; /* closed by now */
	return common.locks ? cpt_lock_check(c, fd, (const char *)s->text.at, err) : 0;
}

static int check_fd(struct cpt *c, struct cpt_task *t, unsigned nr, struct err *err)
{
	struct cpt_fd fd;
	const struct cpt_file_kind *kind;
	char where[64];
	int ret = cpt_fdopen(c, t, nr, &fd, err);

	if (ret)
		return ret < 0 ? err_ctx(err, "%s", cpt_where(t, (int)nr, where)) : 0;
	kind = kind_of(&fd);
	if (!kind)
		obstacle_unknown(c, &fd);
	else if (kind->check)
		ret = kind->check(c, &fd, err);
	ret = ret || check_locks(c, &fd, err);
	cpt_fdopen_close(&fd);
	return ret ? err_ctx(err, "%s", cpt_where(t, (int)nr, where)) : 0;
}

/* A thread may have left its process's table (unshare); a table of its own is not carried. 0 fine, 1 not, -1.
 */
static int own_table(const struct cpt_task *t, const struct cpt_thread *thread)
{
	struct err ignored;

	if (thread->tid == t->pid)
		return 0;
	return cpt_fdid_kcmp(t->pid, thread->tid, KCMP_FILES, 0, 0, &ignored) > 0;
}

static int check_task(struct cpt *c, struct cpt_task *t, size_t *nr_fds, struct err *err)
{
	proc_numbers fds;
	char where[64];
	int ret = 0;

	vec_each(thread, &t->threads)
		if (own_table(t, thread))
			findings_add(c->findings, cpt_where(t, -1, where), NULL,
				     "thread %u has a descriptor table of its own", thread->vtid);
	if (proc_numbers_read(t->proc_fd, "fd", &fds, err))
		return err->sys_errno == ENOENT || err->sys_errno == ESRCH ? 0 : -1;
	*nr_fds += fds.nr;
	for (size_t i = 0; i < fds.nr && !ret; i++)
		ret = check_fd(c, t, fds.at[i], err);
	vec_free(&fds);
	return ret;
}

static void check_sharing(struct cpt *c)
{
	struct cpt_task_set seen = {.type = KCMP_FILES};
	struct cpt_task *same;
	struct err ignored;
	char where[64];

	vec_each(t, &c->tasks) {
		if (t->zombie || cpt_fdid_task(&seen, t, &same, &ignored) || !same)
			continue; /* an error: it ended meanwhile */
		findings_add(c->findings, cpt_where(t, -1, where), NULL,
			     "it shares its descriptor table with task %u (CLONE_FILES)", same->vpid);
	}
	vec_free(&seen.tasks);
}

void cpt_file_use_walk(struct cpt *c)
{
	struct cpt_file_state *s = cpt_file_state(c);
	struct err err;

	if (!s->walk && filewalk_new(&s->walk, &err))
		log_debug("%s; descriptors are looked at one by one", err.msg);
}

int cpt_file_check(struct cpt *c, struct err *err)
{
	size_t nr_fds = 0;
	int ret = 0;

	vec_each(t, &c->tasks) {
		if (!t->zombie && !ret)
			ret = check_task(c, t, &nr_fds, err);
	}
	if (ret)
		return -1;
	if (nr_fds >= WALK_FROM)
		cpt_file_use_walk(c);
	check_sharing(c);
	cpt_pipe_check_ends(c);
	cpt_tty_check_ends(c);
	return cpt_fs_check(c, err);
}

/* --- collect: one open file --- */

/* A process or group of the host by its number in the VE; 0 if it is not of the VE. */
static int32_t owner_in_ve(const struct cpt *c, const struct f_owner_ex *owner)
{
	vec_each(t, &c->tasks) {
		if (owner->type == F_OWNER_PGRP && !t->zombie && getpgid(t->pid) == owner->pid)
			return -(int32_t)t->vpgid;
		if (owner->type == F_OWNER_PID && t->pid == owner->pid)
			return (int32_t)t->vpid;
		if (owner->type != F_OWNER_TID)
			continue;
		vec_each(thread, &t->threads)
			if (thread->tid == owner->pid)
				return (int32_t)thread->vtid;
	}
	return 0;
}

static void collect_owner(const struct cpt *c, const struct cpt_fd *fd, struct file_obj *f)
{
	struct f_owner_ex owner;
	int sig;

	if ((fd->flags & O_PATH) || fcntl(fd->local, F_GETOWN_EX, &owner) || !owner.pid)
		return;
	f->owner_pid = owner_in_ve(c, &owner);
	f->owner_type = owner.type;
	sig = fcntl(fd->local, F_GETSIG);
	f->owner_signal = sig > 0 ? (uint32_t)sig : 0;
}

/* The object of an open file that was met for the first time. */
static int describe_file(struct cpt *c, const struct cpt_fd *fd, file_id id, struct err *err)
{
	const struct cpt_file_kind *kind = kind_of(fd);
	struct file_obj f = {.id = id, .flags = fd->flags, .pos = fd->pos};

	/* its place is taken before its kind is asked: a socket's queue may hold further files, even itself
	 */
	*vec_add(&c->m.files) = f;
	if (!kind)
		return err_set(err, ERR_CHECKPOINT, "%s cannot be carried", fd->link);
	f.kind = kind->kind;
	collect_owner(c, fd, &f);
	if (kind->collect(c, fd, &f, err))
		return -1;
	c->m.files.at[id - 1] = f;
	return 0;
}

/* The open file behind fd, which is descriptor `nr` of process `pid`; made if it is new. */
static int collect_file(struct cpt *c, pid_t pid, int nr, const struct cpt_fd *fd, file_id *ret,
			struct err *err)
{
	bool is_new;

	if (cpt_fdid_find(c, pid, nr, fd, ret, &is_new, err))
		return -1;
	return is_new ? describe_file(c, fd, *ret, err) : 0;
}

file_id cpt_file_of_local(struct cpt *c, int local, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	_fd_ int copy = fcntl(local, F_DUPFD_CLOEXEC, 3);
	_free_ struct cpt_fd *fd = mem_new(struct cpt_fd);
	file_id id;

	if (copy < 0) {
		err_sys(err, "copy of a descriptor");
		return 0;
	}
	if (cpt_fdopen_own(c, copy, fd, err) || collect_file(c, getpid(), copy, fd, &id, err)) {
		err_ctx(err, "file on its way in a socket");
		return 0;
	}
	if (s->first.at[id - 1].fd == copy && s->first.at[id - 1].pid == getpid())
		vec_push(&s->in_flight, fd_take(&copy));
	return id;
}

/* --- collect: tables --- */

/* FD_CLOEXEC belongs to the descriptor, so a copy does not tell it; nor does it tell of locks. */
static int rest_by_fdinfo(struct cpt *c, struct cpt_task *t, files_id table, struct fd_entry *e,
			  struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	const struct file_obj *f = &c->m.files.at[e->file - 1];
	struct fdinfo_common common;
	char where[64];

	if (fdinfo_read(t->proc_fd, e->fd, &s->text, err) ||
	    fdinfo_common_parse((const char *)s->text.at, &common, err) ||
	    (common.locks && f->kind == FILE_REG &&
	     cpt_lock_collect(c, e->file, table, (const char *)s->text.at, err)))
		return err_ctx(err, "%s", cpt_where(t, (int)e->fd, where));
	e->cloexec = common.flags & O_CLOEXEC;
	return 0;
}

static int collect_fd(struct cpt *c, struct cpt_task *t, unsigned nr, file_id *ret, struct err *err)
{
	struct cpt_fd fd;
	char where[64];
	int result;

	if (cpt_fdopen(c, t, nr, &fd, err))
		return err_ctx(err, "%s", cpt_where(t, (int)nr, where));
	result = collect_file(c, t->pid, (int)nr, &fd, ret, err);
	cpt_fdopen_close(&fd);
	return result ? err_ctx(err, "%s", cpt_where(t, (int)nr, where)) : 0;
}

/* Descriptor by descriptor. */
static int collect_by_proc(struct cpt *c, struct cpt_task *t, struct files_obj *table, struct err *err)
{
	proc_numbers fds;
	int ret = 0;

	if (proc_numbers_read(t->proc_fd, "fd", &fds, err))
		return -1;
	for (size_t i = 0; i < fds.nr && !ret; i++) {
		struct fd_entry *e = vec_add(&table->fds);

		e->fd = fds.at[i];
		ret = collect_fd(c, t, fds.at[i], &e->file, err);
	}
	vec_free(&fds);
	for (size_t i = 0; i < table->fds.nr && !ret; i++)
		ret = rest_by_fdinfo(c, t, table->id, &table->fds.at[i], err);
	return ret;
}

static int collect_entry(struct cpt *c, struct cpt_task *t, const struct filewalk_entry *e, file_id *ret,
			 struct err *err)
{
	struct cpt_fd fd;
	bool is_new;
	int result;

	*ret = cpt_fdid_walked(c, e->file);
	if (*ret)
		return 0;
	if (cpt_fdopen_walked(c, t, e, &fd, err))
		return -1;
	result = cpt_fdid_learn(c, e->file, t->pid, fd.fd, &fd, ret, &is_new, err);
	if (!result && is_new)
		result = describe_file(c, &fd, *ret, err);
	cpt_fdopen_close(&fd);
	return result;
}

/* All at once. */
static int collect_by_walk(struct cpt *c, struct cpt_task *t, struct files_obj *table, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	char where[64];

	if (filewalk_read(s->walk, t->pidfd, &s->entries, err))
		return -1;
	vec_each(e, &s->entries) {
		struct fd_entry *entry = vec_add(&table->fds);

		entry->fd = e->fd;
		entry->cloexec = e->cloexec;
		if (collect_entry(c, t, e, &entry->file, err))
			return err_ctx(err, "%s", cpt_where(t, (int)e->fd, where));
		if (e->maybe_locked && c->m.files.at[entry->file - 1].kind == FILE_REG &&
		    rest_by_fdinfo(c, t, table->id, entry, err))
			return -1;
	}
	return 0;
}

static int collect_table(struct cpt *c, struct cpt_task *t, struct err *err)
{
	struct files_obj table = {.id = (files_id)c->m.fdtables.nr + 1};
	int ret = cpt_file_state(c)->walk ? collect_by_walk(c, t, &table, err)
					  : collect_by_proc(c, t, &table, err);

	vec_push(&c->m.fdtables, table);
	t->files = table.id;
	return ret;
}

static int collect_tables(struct cpt *c, struct err *err)
{
	struct cpt_task_set seen = {.type = KCMP_FILES};
	struct cpt_task *same;
	char where[64];
	int ret = 0;

	vec_each(t, &c->tasks) {
		if (t->zombie || ret)
			continue;
		vec_each(thread, &t->threads)
			if (own_table(t, thread) && !ret)
				ret = err_set(err, ERR_CHECKPOINT,
					      "%s: thread %u has a descriptor table of its own",
					      cpt_where(t, -1, where), thread->vtid);
		if (!ret)
			ret = cpt_fdid_task(&seen, t, &same, err);
		if (!ret && same)
			t->files = same->files;
		else if (!ret)
			ret = collect_table(c, t, err);
	}
	vec_free(&seen.tasks);
	return ret;
}

int cpt_file_collect(struct cpt *c, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	if (!s->frozen_seen)
		cpt_reg_forget_dirs(c);
	s->frozen_seen = true;
	if (collect_tables(c, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->finish && kinds[i]->finish(c, err))
			return -1;
	return cpt_fs_collect(c, err) || cpt_ghost_refresh(c, err) ? -1 : 0;
}

/* --- asked by others --- */

file_id cpt_file_of(const struct cpt *c, const struct cpt_task *t, int fd)
{
	const struct files_obj *table = t->files ? &c->m.fdtables.at[t->files - 1] : NULL;
	size_t low = 0, high = table ? table->fds.nr : 0;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (table->fds.at[mid].fd == (uint32_t)fd)
			return table->fds.at[mid].file;
		if (table->fds.at[mid].fd < (uint32_t)fd)
			low = mid + 1;
		else
			high = mid;
	}
	return 0;
}

void cpt_file_free(struct cpt *c)
{
	struct cpt_file_state *s = c->file;

	if (!s)
		return;
	vec_each(g, &s->groups)
		vec_free(&g->members);
	vec_each(fd, &s->in_flight)
		close(*fd);
	vec_each(m, &s->mappings)
		free(m->path);
	vec_each(n, &s->names)
		free(n->path);
	vec_each(g, &s->ghosts)
		close(g->fd);
	vec_each(t, &s->ttys) {
		cleanup_fd(&t->master_fd);
		cleanup_fd(&t->slave_fd);
	}
	cleanup_fd(&s->proc_self);
	cpt_reg_forget_dirs(c);
	filewalk_free(s->walk);
	vec_free(&s->entries);
	vec_free(&s->pointers);
	idx_clear(&s->pointer_idx);
	vec_free(&s->groups);
	vec_free(&s->first);
	vec_free(&s->first_st);
	vec_free(&s->in_flight);
	vec_free(&s->regs);
	vec_free(&s->mappings);
	vec_free(&s->names);
	vec_free(&s->ghosts);
	vec_free(&s->pipes);
	vec_free(&s->ttys);
	vec_free(&s->epolls);
	vec_free(&s->pidfds);
	vec_free(&s->inotifys);
	cpt_inotify_forget_mounts(c);
	idx_clear(&s->group_idx);
	idx_clear(&s->reg_idx);
	idx_clear(&s->mapping_idx);
	idx_clear(&s->ghost_idx);
	idx_clear(&s->pipe_idx);
	buf_free(&s->text);
	free(s);
	c->file = NULL;
}
