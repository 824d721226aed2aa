// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks that job control has stopped: they stop once more while their parents are still held, because a
 * parent that has heard of the stop must not hear of it again (wait(2) tells of each once, and sends a
 * SIGCHLD).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "facts/proc.h"
#include "rst/rst.h"

#define STOP_TIMEOUT_MS 5000

static int await_stop(const struct rst_task *t, struct err *err)
{
	char path[32];
	_fd_ int proc_fd = -1;
	struct proc_stat stat;

	snprintf(path, sizeof(path), "/proc/%d", t->pid);
	proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return err_sys(err, "%s", path);
	for (int ms = 0; ms < STOP_TIMEOUT_MS; ms++) {
		if (proc_stat_read(proc_fd, &stat, err))
			return -1;
		if (stat.state == 'T')
			return 0;
		usleep(1000);
	}
	return err_set(err, ERR_RESTORE, "it does not stop");
}

static bool has_pending(const struct task_obj *obj, int signo)
{
	vec_each(s, &obj->pending)
		if (s->signo == signo)
			return true;
	return false;
}

/* kernel/signal.c, do_notify_parent_cldstop */
static bool is_told_of_stops(const struct rst *r, const struct task_obj *obj)
{
	const struct sigaction_obj *a = &model_sighand(&r->m, obj->sighand)->actions[SIGCHLD - 1];

	return a->handler != (uint64_t)(uintptr_t)SIG_IGN && !(a->flags & SA_NOCLDSTOP);
}

/* The parent hears of the stop now; then it is as if it had long ago. */
static int hear_of(struct rst *r, const struct rst_task *parent, const struct rst_task *t, bool seen,
		   struct err *err)
{
	const struct task_obj *obj = model_task(&r->m, parent->t.pid);
	struct remote_batch *b = remote_batch_new();
	struct timespec second = {1, 0};
	uint64_t set = 1ull << (SIGCHLD - 1);
	size_t set_at = remote_batch_data(b, &set, sizeof(set)),
	       time_at = remote_batch_data(b, &second, sizeof(second));
	int ret;

	if (seen)
		remote_call(b, "wait4", 0, SYS_wait4, ra_num(t->t.pid), ra_num(0),
			    ra_num(WUNTRACED | WNOHANG | __WALL), ra_num(0));
	if (is_told_of_stops(r, obj) && !has_pending(obj, SIGCHLD))
		remote_call(b, "rt_sigtimedwait", 0, SYS_rt_sigtimedwait, ra_data(set_at), ra_num(0),
			    ra_data(time_at), ra_num(sizeof(set)));
	ret = remote_batch_run(parent->r, b, err);
	remote_batch_free(b);
	return ret;
}

int rst_stop(struct rst *r, const struct rst_task *t, struct err *err)
{
	const struct task_obj *obj = model_task(&r->m, t->t.pid);
	const struct rst_task *parent = rst_tree_find(r, t->t.ppid);

	if (await_stop(t, err))
		return -1;
	return parent && parent->r ? hear_of(r, parent, t, obj->stop_seen, err) : 0;
}
