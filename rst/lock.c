// SPDX-License-Identifier: GPL-2.0-only
/* Locks on files. Those that belong to an open file can be taken by any who has it; a POSIX lock is taken by
 * a task. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "rst/file.h"

static struct flock range_of(const struct file_lock_obj *l)
{
	return (struct flock){
		.l_type = l->write ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)l->start,
		.l_len = l->end == UINT64_MAX ? 0 : (off_t)(l->end - l->start + 1),
	};
}

/* A descriptor of the file in a task that has that table. */
static struct rst_task *holder_of(struct rst *r, file_id id, files_id table, uint32_t *ret_fd)
{
	const struct files_obj *files = model_files(&r->m, table);
	struct rst_task *task = NULL;

	vec_each(t, &r->m.tasks)
		if (!task && t->files == table)
			task = rst_tree_find(r, t->pid);
	vec_each(e, &files->fds) {
		if (e->file != id || !task || !task->r)
			continue;
		*ret_fd = e->fd;
		return task;
	}
	return NULL;
}

static int take_posix(struct rst *r, const struct file_obj *f, const struct file_lock_obj *l, struct err *err)
{
	struct flock range = range_of(l);
	struct rst_task *task;
	struct remote_batch *b;
	uint32_t fd;
	int ret;

	task = holder_of(r, f->id, l->table, &fd);
	if (!task)
		return err_set(err, ERR_IMAGE, "no task can hold the lock");
	b = remote_batch_new();
	remote_call(b, "F_SETLK", 0, SYS_fcntl, ra_num(fd), ra_num(F_SETLK),
		    ra_data(remote_batch_data(b, &range, sizeof(range))));
	ret = remote_batch_run(task->r, b, err);
	remote_batch_free(b);
	return ret;
}

static int take(struct rst *r, const struct file_obj *f, const struct file_lock_obj *l, struct err *err)
{
	int fd = r->file_fds[f->id];
	struct flock range = range_of(l);

	switch (l->kind) {
	case FILE_LOCK_FLOCK:
		return flock(fd, (l->write ? LOCK_EX : LOCK_SH) | LOCK_NB) ? err_sys(err, "flock") : 0;
	case FILE_LOCK_OFD:
		return fcntl(fd, F_OFD_SETLK, &range) ? err_sys(err, "F_OFD_SETLK") : 0;
	case FILE_LOCK_POSIX:
		return take_posix(r, f, l, err);
	}
	return err_set(err, ERR_IMAGE, "lock of unknown kind %d", l->kind);
}

int rst_lock_take_all(struct rst *r, struct err *err)
{
	char where[64];

	vec_each(f, &r->m.files)
		vec_each(l, &f->locks)
			if (take(r, f, l, err))
				return err_ctx(err, "%s: lock", rst_file_where(r, f->id, where));
	return 0;
}
