// SPDX-License-Identifier: GPL-2.0-only
/* Roots, working directories and umasks. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>

#include "cpt/file.h"
#include "facts/proc.h"

/* The task's "root" or "cwd" as a place of ours. 0; 1: the task is gone; -1. */
static int open_place(struct cpt *c, const struct cpt_task *t, const char *what, struct cpt_fd *ret,
		      struct err *err)
{
	int fd = openat(t->proc_fd, what, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ESRCH ? 1 : err_sys(err, "%s", what);
	if (!cpt_fdopen_own(c, fd, ret, err))
		return 0;
	close(fd);
	return -1;
}

/* Its path in the VE's root, or NULL. */
static const char *path_of(struct cpt *c, const struct cpt_fd *place)
{
	const char *path = cpt_fdopen_in_root(c, place->link);

	return path && (place->deleted ||
			cpt_reg_leads_to(c, place->link, place->st.st_dev, place->st.st_ino))
		       ? path
		       : NULL;
}

static int check_place(struct cpt *c, const struct cpt_task *t, const char *what, struct err *err)
{
	_free_ struct cpt_fd *place = mem_new(struct cpt_fd);
	const char *name = strcmp(what, "cwd") ? "root" : "working";
	int ret = open_place(c, t, what, place, err);
	char where[64];

	if (ret)
		return ret < 0 ? -1 : 0;
	if (!path_of(c, place))
		findings_add(c->findings, cpt_where(t, -1, where),
			     "it may be of the host, or hidden below a mount",
			     "its %s directory %s is reachable by no path in the VE", name, place->link);
	else if (place->deleted && strcmp(what, "cwd"))
		findings_add(c->findings, cpt_where(t, -1, where), NULL, "its root directory %s is deleted",
			     place->link);
	close(place->local);
	return 0;
}

/* CLONE_FS among processes: a chdir of one would move the other. */
static void check_shared(struct cpt *c, struct cpt_task_set *seen, struct cpt_task *t)
{
	struct cpt_task *same;
	struct err ignored;
	char where[64];

	if (!cpt_fdid_task(seen, t, &same, &ignored) && same)
		findings_add(c->findings, cpt_where(t, -1, where), NULL,
			     "it shares its working directory with task %u (CLONE_FS)", same->vpid);
}

static bool has_own_fs(const struct cpt_task *t, const struct cpt_thread *thread)
{
	struct err ignored;

	return thread->tid != t->pid && cpt_fdid_kcmp(t->pid, thread->tid, KCMP_FS, 0, 0, &ignored) > 0;
}

int cpt_fs_check(struct cpt *c, struct err *err)
{
	struct cpt_task_set seen = {.type = KCMP_FS};
	int ret = 0;

	vec_each(t, &c->tasks) {
		char where[64];

		if (t->zombie || ret)
			continue;
		ret = check_place(c, t, "root", err) || check_place(c, t, "cwd", err) ? -1 : 0;
		vec_each(thread, &t->threads)
			if (has_own_fs(t, thread))
				findings_add(c->findings, cpt_where(t, -1, where), NULL,
					     "thread %u has a working directory of its own", thread->vtid);
		check_shared(c, &seen, t);
	}
	vec_free(&seen.tasks);
	return ret;
}

/* One of both; nameless: the object of a directory that was removed, NULL where that is not carried. */
static int collect_place(struct cpt *c, const struct cpt_task *t, const char *what, char **ret_path,
			 reg_id *ret_nameless, struct err *err)
{
	_free_ struct cpt_fd *place = mem_new(struct cpt_fd);
	const char *path;
	int ret = open_place(c, t, what, place, err);

	if (ret)
		return ret < 0 ? -1 : err_set(err, ERR_CHECKPOINT, "%s is gone", what);
	path = path_of(c, place);
	if (!path || (place->deleted && !ret_nameless))
		ret = err_set(err, ERR_CHECKPOINT, "%s %s is %s", what, place->link,
			      place->deleted ? "deleted" : "reachable by no path in the VE");
	else if (place->deleted)
		ret = cpt_reg_of_fd(c, place, ret_nameless, err);
	if (!ret)
		*ret_path = mem_strdup(path);
	close(place->local);
	return ret;
}

static int collect_one(struct cpt *c, struct cpt_task *t, struct err *err)
{
	struct fs_obj fs = {.id = (fs_id)c->m.fss.nr + 1};
	struct proc_status status;

	if (proc_status_read(t->proc_fd, &status, err))
		return -1;
	fs.umask = status.umask;
	proc_status_free(&status);
	if (collect_place(c, t, "root", &fs.root, NULL, err) ||
	    collect_place(c, t, "cwd", &fs.cwd, &fs.cwd_nameless, err)) {
		free(fs.root);
		return -1;
	}
	vec_push(&c->m.fss, fs);
	t->fs = fs.id;
	return 0;
}

int cpt_fs_collect(struct cpt *c, struct err *err)
{
	struct cpt_task_set seen = {.type = KCMP_FS};
	struct cpt_task *same;
	char where[64];
	int ret = 0;

	vec_each(t, &c->tasks) {
		if (t->zombie || ret)
			continue;
		vec_each(thread, &t->threads)
			if (has_own_fs(t, thread) && !ret)
				ret = err_set(err, ERR_CHECKPOINT,
					      "thread %u has a working directory of its own", thread->vtid);
		if (!ret)
			ret = cpt_fdid_task(&seen, t, &same, err);
		if (!ret && same)
			t->fs = same->fs;
		else if (!ret)
			ret = collect_one(c, t, err);
		if (ret)
			err_ctx(err, "%s", cpt_where(t, -1, where));
	}
	vec_free(&seen.tasks);
	return ret;
}
