// SPDX-License-Identifier: GPL-2.0-only
/* Roots, working directories and umasks. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>

#include "cpt/file.h"
#include "facts/proc.h"

/* The path of the task's "root" or "cwd" in the VE's root, or NULL with what is wrong in `why`. */
static char *path_of(struct cpt *c, const struct cpt_task *t, const char *what, char why[static 256])
{
	char link[PATH_MAX];
	const char *path;
	struct err err;
	struct stat st;

	if (proc_link_read(t->proc_fd, what, link, sizeof(link), &err) || fstatat(t->proc_fd, what, &st, 0)) {
		snprintf(why, 256, "%s: %s", what, strerror(errno));
		return NULL;
	}
	path = cpt_fdopen_in_root(c, link);
	if (!path || !cpt_reg_leads_to(c, link, st.st_dev, st.st_ino)) {
		snprintf(why, 256, "its %s directory %.180s is %s", strcmp(what, "cwd") ? "root" : "working",
			 link,
			 st.st_nlink && !strstr(link, " (deleted)") ? "reachable by no path in the VE"
								    : "deleted");
		return NULL;
	}
	return mem_strdup(path);
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

/* A task that has ended since it was listed has neither root nor working directory, and is no obstacle. */
static bool still_there(const struct cpt_task *t)
{
	struct proc_stat stat;
	struct err ignored;

	return !proc_stat_read(t->proc_fd, &stat, &ignored) && stat.state != 'Z' && stat.state != 'X';
}

int cpt_fs_check(struct cpt *c, struct err *err)
{
	static const char *const links[] = {"root", "cwd"};
	struct cpt_task_set seen = {.type = KCMP_FS};

	vec_each(t, &c->tasks) {
		char why[256], where[64];

		if (t->zombie)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(links); i++) {
			_free_ char *path = path_of(c, t, links[i], why);

			if (!path && still_there(t))
				findings_add(c->findings, cpt_where(t, -1, where), NULL, "%s", why);
		}
		vec_each(thread, &t->threads)
			if (has_own_fs(t, thread))
				findings_add(c->findings, cpt_where(t, -1, where), NULL,
					     "thread %u has a working directory of its own", thread->vtid);
		check_shared(c, &seen, t);
	}
	vec_free(&seen.tasks);
	return 0;
}

static int collect_one(struct cpt *c, struct cpt_task *t, struct err *err)
{
	struct fs_obj fs = {.id = (fs_id)c->m.fss.nr + 1};
	struct proc_status status;
	char why[256];

	if (proc_status_read(t->proc_fd, &status, err))
		return -1;
	fs.umask = status.umask;
	proc_status_free(&status);
	fs.root = path_of(c, t, "root", why);
	fs.cwd = fs.root ? path_of(c, t, "cwd", why) : NULL;
	if (!fs.cwd) {
		free(fs.root);
		return err_set(err, ERR_CHECKPOINT, "%s", why);
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
