// SPDX-License-Identifier: GPL-2.0-only
/* Descriptor tables, working directories and roots of the tasks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "rst/file.h"

/* What one task is to get: the files of its table, each once, and two directories behind them. */
struct delivery {
	const struct files_obj *table;
	const struct fs_obj *fs;
	int *fds, *numbers; /* ours, and as they arrived */
	size_t nr_files, nr;
	size_t *file_at; /* [entry of the table]: which of fds */
};

static int open_dirs(struct rst *r, const struct fs_obj *fs, int *ret_root, int *ret_cwd, struct err *err)
{
	if (rst_reg_place(r, fs->root, S_IFDIR, ret_root, err))
		return err_ctx(err, "root");
	if (fs->cwd_nameless ? rst_reg_open(r, fs->cwd_nameless, O_PATH, ret_cwd, err)
			     : rst_reg_place(r, fs->cwd, S_IFDIR, ret_cwd, err))
		return err_ctx(err, "working directory");
	return 0;
}

static int gather(struct rst *r, struct delivery *d, struct err *err)
{
	_free_ size_t *seen = mem_alloc(r->nr_file_fds * sizeof(*seen)); /* [file_id]: place in fds + 1 */
	size_t nr = d->table ? d->table->fds.nr : 0;

	d->fds = mem_alloc((nr + 2) * sizeof(int));
	d->numbers = mem_alloc((nr + 2) * sizeof(int));
	d->file_at = mem_alloc((nr + 1) * sizeof(size_t));
	for (size_t i = 0; i < nr; i++) {
		file_id id = d->table->fds.at[i].file;

		if (id >= r->nr_file_fds || r->file_fds[id] < 0)
			return err_set(err, ERR_IMAGE, "fd %u: file %u is not open", d->table->fds.at[i].fd,
				       id);
		if (!seen[id]) {
			d->fds[d->nr_files] = r->file_fds[id];
			seen[id] = ++d->nr_files;
		}
		d->file_at[i] = seen[id] - 1;
	}
	d->nr = d->nr_files;
	if (d->fs) {
		d->fds[d->nr] = d->fds[d->nr + 1] = -1;
		if (open_dirs(r, d->fs, &d->fds[d->nr], &d->fds[d->nr + 1], err))
			return -1;
		d->nr += 2;
	}
	return 0;
}

static void delivery_free(struct delivery *d)
{
	for (size_t i = d->nr_files; d->fs && d->fds && i < d->nr_files + 2; i++)
		if (d->fds[i] > 0)
			close(d->fds[i]);
	free(d->fds);
	free(d->numbers);
	free(d->file_at);
}

/* Nothing but what comes now; and room for numbers up to the hard limit, the VE's own limits come later. */
static int make_room(struct rst_task *t, struct err *err)
{
	struct remote_batch *b = remote_batch_new();
	struct rlimit lim = {0};
	size_t at = remote_batch_data(b, &lim, sizeof(lim));
	int ret;

	remote_call(b, "close_range", 0, SYS_close_range, ra_num(0), ra_num(~0u), ra_num(0));
	remote_call(b, "getrlimit", 0, SYS_prlimit64, ra_num(0), ra_num(RLIMIT_NOFILE), ra_num(0),
		    ra_data(at));
	ret = remote_batch_run(t->r, b, err);
	if (!ret) {
		memcpy(&lim, remote_batch_out(b, at), sizeof(lim));
		lim.rlim_cur = lim.rlim_max;
		remote_batch_reset(b);
		at = remote_batch_data(b, &lim, sizeof(lim));
		remote_call(b, "setrlimit", 0, SYS_prlimit64, ra_num(0), ra_num(RLIMIT_NOFILE), ra_data(at),
			    ra_num(0));
		ret = remote_batch_run(t->r, b, err);
	}
	remote_batch_free(b);
	return ret;
}

static void add_dirs(struct remote_batch *b, const struct delivery *d)
{
	int root = d->numbers[d->nr_files], cwd = d->numbers[d->nr_files + 1];

	if (strcmp(d->fs->root, "/")) {
		static const char here[] = ".";

		remote_call(b, "fchdir to the root", 0, SYS_fchdir, ra_num(root));
		remote_call(b, "chroot", 0, SYS_chroot, ra_data(remote_batch_data(b, here, sizeof(here))));
	}
	remote_call(b, "fchdir", 0, SYS_fchdir, ra_num(cwd));
	remote_call(b, "umask", 0, SYS_umask, ra_num(d->fs->umask & 0777));
	remote_call(b, "close", 0, SYS_close, ra_num(root));
	remote_call(b, "close", 0, SYS_close, ra_num(cwd));
}

static struct remote_arg place_arg(const size_t *calls, int from)
{
	return from >= 0 ? ra_num(from) : ra_result(calls[-1 - from]);
}

static void add_moves(struct remote_batch *b, const rst_moves *moves)
{
	_free_ size_t *calls = mem_alloc((moves->nr + 1) * sizeof(*calls));

	for (size_t i = 0; i < moves->nr; i++) {
		const struct rst_move *m = &moves->at[i];

		if (m->what == RST_MOVE_CLOSE)
			remote_call(b, "close", 0, SYS_close, place_arg(calls, m->from));
		else if (m->what == RST_MOVE_ASIDE)
			calls[i] = remote_call(b, "dup", 0, SYS_fcntl, place_arg(calls, m->from),
					       ra_num(F_DUPFD_CLOEXEC), ra_num(0));
		else if (m->from >= 0 && (uint32_t)m->from == m->to)
			remote_call(b, "F_SETFD", 0, SYS_fcntl, ra_num(m->to), ra_num(F_SETFD),
				    ra_num(m->cloexec ? FD_CLOEXEC : 0));
		else
			remote_call(b, "dup3", 0, SYS_dup3, place_arg(calls, m->from), ra_num(m->to),
				    ra_num(m->cloexec ? O_CLOEXEC : 0));
	}
}

static int deliver(struct rst_task *t, const struct delivery *d, struct err *err)
{
	size_t nr = d->table ? d->table->fds.nr : 0;
	_free_ struct rst_move_want *wants = mem_alloc((nr + 1) * sizeof(*wants));
	struct remote_batch *b;
	rst_moves moves = {0};
	int ret;

	if (make_room(t, err) || remote_send_fds(t->r, d->fds, d->nr, d->numbers, err))
		return -1;
	for (size_t i = 0; i < nr; i++) {
		const struct fd_entry *e = &d->table->fds.at[i];

		wants[i] = (struct rst_move_want){
			.to = e->fd, .from = d->numbers[d->file_at[i]], .cloexec = e->cloexec};
	}
	rst_move_plan(wants, nr, d->numbers, d->nr_files, &moves);
	b = remote_batch_new();
	if (d->fs)
		add_dirs(b, d);
	add_moves(b, &moves);
	ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	vec_free(&moves);
	return ret;
}

int rst_file_place(struct rst *r, struct err *err)
{
	vec_each(obj, &r->m.tasks) {
		struct delivery d = {.table = obj->files ? model_files(&r->m, obj->files) : NULL,
				     .fs = obj->fs ? model_fs(&r->m, obj->fs) : NULL};
		struct rst_task *t = rst_tree_find(r, obj->pid);
		int ret;

		if (obj->state == TASK_ZOMBIE || !t || !t->r)
			continue;
		ret = gather(r, &d, err) || deliver(t, &d, err);
		delivery_free(&d);
		if (ret)
			return err_ctx(err, "task %u", obj->pid);
	}
	return fault_point("restore-placed", err);
}
