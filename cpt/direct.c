// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct I/O: a read of a file opened with O_DIRECT has the device write into pages that were pinned when the
 * call began, past all page tables. Were such a page armed while the call is under way, what arrives then
 * would never show as written. So the threads of a task with such a file are stopped for the arming: a
 * stopped thread is inside of no such call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cpt/mm.h"
#include "facts/proc.h"

static bool is_direct(const struct cpt_task *t, uint32_t fd)
{
	char path[32], text[256];
	_fd_ int info = -1;
	const char *flags;
	ssize_t n;

	snprintf(path, sizeof(path), "fdinfo/%u", fd);
	info = openat(t->proc_fd, path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = 0;
	flags = strstr(text, "flags:");
	return flags && strtoul(flags + strlen("flags:"), NULL, 8) & O_DIRECT;
}

int cpt_direct_has(const struct cpt_task *t, bool *ret, struct err *err)
{
	proc_numbers fds = {0};

	*ret = false;
	if (proc_numbers_read(t->proc_fd, "fdinfo", &fds, err))
		return err->sys_errno == ENOENT || err->sys_errno == ESRCH ? 0 : -1;
	for (size_t i = 0; i < fds.nr && !*ret; i++)
		*ret = is_direct(t, fds.at[i]);
	vec_free(&fds);
	return 0;
}

static bool is_held(const struct stopped_threads *held, pid_t tid)
{
	vec_each(known, &held->tids)
		if (*known == tid)
			return true;
	return false;
}

/* Threads that are not ours yet; none is left when all that could make one stand still. */
static int seize_more(const struct cpt_task *t, struct stopped_threads *held, size_t *ret_nr, struct err *err)
{
	proc_numbers tids = {0};
	VEC(pid_t) more = {0};
	struct remote **got;
	int ret = 0;

	if (proc_numbers_read(t->proc_fd, "task", &tids, err))
		return -1;
	vec_each(tid, &tids)
		if (!is_held(held, (pid_t)*tid))
			vec_push(&more, (pid_t)*tid);
	got = mem_alloc((more.nr + 1) * sizeof(*got));
	if (more.nr)
		ret = remote_seize(more.at, more.nr, REMOTE_LIVING, got, err);
	for (size_t i = 0; !ret && i < more.nr; i++) {
		vec_push(&held->tids, more.at[i]);
		if (got[i])
			vec_push(&held->remotes, got[i]);
	}
	*ret_nr = ret ? 0 : more.nr;
	free(got);
	vec_free(&more);
	vec_free(&tids);
	return ret;
}

int cpt_direct_stop(const struct cpt_task *t, struct stopped_threads *ret, struct err *err)
{
	struct stopped_threads held = {0};
	size_t nr;
	int result;

	do
		result = seize_more(t, &held, &nr, err);
	while (!result && nr);
	if (result) {
		cpt_direct_go(&held, &(struct err){0});
		return err->sys_errno == ENOENT || err->sys_errno == ESRCH ? 0 : -1;
	}
	*ret = held;
	return 0;
}

int cpt_direct_go(struct stopped_threads *held, struct err *err)
{
	int ret = held->remotes.nr ? remote_release_all(held->remotes.at, held->remotes.nr, err) : 0;

	vec_free(&held->remotes);
	vec_free(&held->tids);
	return ret;
}
