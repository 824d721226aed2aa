// SPDX-License-Identifier: GPL-2.0-only
#include <sys/stat.h>

#include "model/validate.h"

#define SCHED_POLICY_MAX 7 /* SCHED_EXT */

/* --- trees --- */

struct place {
	uint32_t pid;
	uint32_t at; /* position in the tree */
};

static int by_pid(const void *a, const void *b)
{
	uint32_t x = ((const struct place *)a)->pid, y = ((const struct place *)b)->pid;

	return x < y ? -1 : x > y;
}

/* Position of each pid, to ask whether a parent comes before its child. */
static int places_of(const struct tree_obj *tree, struct place **ret, struct err *err)
{
	struct place *places = mem_realloc_array(NULL, tree->tasks.nr, sizeof(*places));

	*ret = places;
	for (size_t i = 0; i < tree->tasks.nr; i++)
		places[i] = (struct place){tree->tasks.at[i].pid, (uint32_t)i};
	qsort(places, tree->tasks.nr, sizeof(*places), by_pid);
	for (size_t i = 1; i < tree->tasks.nr; i++) {
		if (places[i].pid == places[i - 1].pid)
			return validate_bad(err, "task %u is there twice", places[i].pid);
	}
	return 0;
}

static const struct place *place_of(const struct place *places, size_t nr, uint32_t pid)
{
	return bsearch(&(struct place){pid, 0}, places, nr, sizeof(*places), by_pid);
}

static int validate_tree_task(const struct tree_obj *tree, const struct place *places, size_t i,
			      struct err *err)
{
	const struct tree_task *t = &tree->tasks.at[i];
	const struct place *parent, *from;

	if (!t->pid || t->pid > INT32_MAX || t->pgid > INT32_MAX || t->sid > INT32_MAX)
		return validate_bad(err, "task %u: impossible number", t->pid);
	if (t->sid == t->pid && t->pgid != t->pid) /* kernel/sys.c: setpgid refuses a session's leader */
		return validate_bad(err, "task %u: leads a session, but is in group %u", t->pid, t->pgid);
	if (t->tty > TREE_TTY_MAX || (t->tty && t->sid != t->pid))
		return validate_bad(err, "task %u: impossible terminal %u, or it leads no session", t->pid,
				    t->tty);
	if (i == 0)
		return t->pid == 1 && !t->ppid && !t->mm_from
			       ? 0
			       : validate_bad(err, "the first task is not the VE's init");
	parent = place_of(places, tree->tasks.nr, t->ppid);
	if (!parent || parent->at >= i)
		return validate_bad(err, "task %u: its parent %u is not before it", t->pid, t->ppid);
	if (t->mm_from) {
		from = place_of(places, tree->tasks.nr, t->mm_from);
		if (!from || from->at >= i)
			return validate_bad(err,
					    "task %u: task %u, which it is forked from, is not before it",
					    t->pid, t->mm_from);
	}
	return 0;
}

int model_validate_tree(const struct tree_obj *tree, struct err *err)
{
	_free_ struct place *places = NULL;

	if (!tree->round)
		return validate_bad(err, "rounds count from 1");
	if (!tree->tasks.nr)
		return validate_bad(err, "without a task");
	if (places_of(tree, &places, err))
		return -1;
	for (size_t i = 0; i < tree->tasks.nr; i++) {
		if (validate_tree_task(tree, places, i, err))
			return -1;
	}
	return 0;
}

/* --- threads --- */

static int validate_thread(const struct thread_obj *t, struct err *err)
{
	if (!t->tid || t->tid > INT32_MAX)
		return validate_bad(err, "impossible number");
	if (t->regs.nr_general > REGS_GENERAL_MAX || !t->regs.nr_general)
		return validate_bad(err, "%u general registers", t->regs.nr_general);
	if (t->nice < -20 || t->nice > 19 || t->sched_policy > SCHED_POLICY_MAX || t->sched_priority > 99)
		return validate_bad(err, "impossible scheduling");
	vec_each(s, &t->pending) {
		if (s->signo < 1 || s->signo > SIGNALS)
			return validate_bad(err, "signal %d is pending", s->signo);
	}
	return 0;
}

static int validate_threads(const struct task_obj *task, struct err *err)
{
	if (task->state == TASK_ZOMBIE)
		return task->threads.nr <= 1
			       ? 0
			       : validate_bad(err, "a zombie with %zu threads", task->threads.nr);
	if (!task->threads.nr || task->threads.at[0].tid != task->pid)
		return validate_bad(err, "its first thread is not its leader");
	vec_each(t, &task->threads) {
		if (validate_thread(t, err))
			return err_ctx(err, "thread %u", t->tid);
	}
	return 0;
}

/* Threads and processes share one space of numbers. */
static int validate_tids(const struct model *m, struct err *err)
{
	VEC(uint32_t) tids = {0};
	uint32_t twice;
	bool unique;

	vec_each(task, &m->tasks) {
		vec_push(&tids, task->pid);
		for (size_t i = 1; i < task->threads.nr; i++)
			vec_push(&tids, task->threads.at[i].tid);
	}
	unique = validate_unique(tids.at, tids.nr, &twice);
	vec_free(&tids);
	return unique ? 0 : validate_bad(err, "task: number %u is there twice", twice);
}

/* --- tasks --- */

static bool has_thread(const struct task_obj *task, uint32_t tid)
{
	vec_each(t, &task->threads) {
		if (t->tid == tid)
			return true;
	}
	return false;
}

static int validate_posix_timer(const struct task_obj *task, const struct posix_timer_obj *t, struct err *err)
{
	if (t->id < 0 || t->left_ns < 0 || t->interval_ns < 0 || t->signo < 0 || t->signo > SIGNALS)
		return validate_bad(err, "timer %d: impossible number, time or signal", t->id);
	if (t->notify_tid && !has_thread(task, t->notify_tid))
		return validate_bad(err, "timer %d: thread %u does not exist", t->id, t->notify_tid);
	return 0;
}

static int validate_timers(const struct task_obj *task, struct err *err)
{
	_free_ uint32_t *ids = mem_realloc_array(NULL, task->posix_timers.nr + 1, sizeof(*ids));
	uint32_t twice;
	size_t nr = 0;

	for (size_t i = 0; i < ARRAY_LEN(task->itimers); i++) {
		if (task->itimers[i].left_ns < 0 || task->itimers[i].interval_ns < 0)
			return validate_bad(err, "interval timer %zu: impossible time", i);
	}
	vec_each(t, &task->posix_timers) {
		if (validate_posix_timer(task, t, err))
			return -1;
		ids[nr++] = (uint32_t)t->id;
	}
	return validate_unique(ids, nr, &twice) ? 0 : validate_bad(err, "timer %u is there twice", twice);
}

/* All that a living task has. */
static int validate_parts(const struct model *m, const struct task_obj *t, struct err *err)
{
	if (!model_mm(m, t->mm))
		return validate_bad(err, "mm %u does not exist", t->mm);
	if (!model_files(m, t->files))
		return validate_bad(err, "files %u does not exist", t->files);
	if (!model_fs(m, t->fs))
		return validate_bad(err, "fs %u does not exist", t->fs);
	if (!model_sighand(m, t->sighand))
		return validate_bad(err, "sighand %u does not exist", t->sighand);
	return t->cgroup ? 0 : validate_bad(err, "in no cgroup");
}

static int validate_task(const struct model *m, const struct task_obj *t, struct err *err)
{
	if (t->state != TASK_ZOMBIE && validate_parts(m, t, err))
		return -1;
	if (t->state == TASK_ZOMBIE && t->mm)
		return validate_bad(err, "a zombie with memory");
	if (t->ctty && (!model_tty(m, t->ctty) || t->sid != t->pid))
		return validate_bad(err, "terminal %u does not exist, or the task leads no session", t->ctty);
	for (size_t i = 0; i < RLIMITS; i++) {
		if (t->rlimits[i].cur > t->rlimits[i].max)
			return validate_bad(err, "limit %zu is above its maximum", i);
	}
	vec_each(s, &t->pending) {
		if (s->signo < 1 || s->signo > SIGNALS)
			return validate_bad(err, "signal %d is pending", s->signo);
	}
	if (t->oom_score_adj < -1000 || t->oom_score_adj > 1000)
		return validate_bad(err, "oom_score_adj %d", t->oom_score_adj);
	if (validate_threads(t, err))
		return -1;
	return validate_timers(t, err);
}

/* The tasks are those of the frozen tree, in its order. */
static int validate_against_tree(const struct model *m, struct err *err)
{
	const struct tree_obj *tree = m->trees.nr ? &m->trees.at[m->trees.nr - 1] : NULL;

	if (!tree || !tree->frozen)
		return validate_bad(err, "tree: there is none of the frozen VE");
	if (tree->tasks.nr != m->tasks.nr)
		return validate_bad(err, "tree: %zu tasks, but %zu task records", tree->tasks.nr,
				    m->tasks.nr);
	for (size_t i = 0; i < m->tasks.nr; i++) {
		const struct tree_task *a = &tree->tasks.at[i];
		const struct task_obj *b = &m->tasks.at[i];

		if (a->pid != b->pid || a->ppid != b->ppid || a->pgid != b->pgid || a->sid != b->sid ||
		    a->mm != b->mm)
			return validate_bad(err, "task %u: is not what the tree says of task %u", b->pid,
					    a->pid);
	}
	return 0;
}

int validate_tasks(const struct model *m, struct err *err)
{
	vec_each(tree, &m->trees) {
		if (model_validate_tree(tree, err))
			return err_ctx(err, "tree of round %u", tree->round);
	}
	if (validate_against_tree(m, err) || validate_tids(m, err))
		return -1;
	vec_each(fs, &m->fss) {
		if (fs->umask > 0777)
			return validate_bad(err, "fs %u: umask 0%o", fs->id, fs->umask);
		if (fs->cwd_nameless &&
		    (!model_reg(m, fs->cwd_nameless) || !S_ISDIR(model_reg(m, fs->cwd_nameless)->mode)))
			return validate_bad(err, "fs %u: its working directory, reg %u, is no directory",
					    fs->id, fs->cwd_nameless);
	}
	vec_each(t, &m->tasks) {
		if (validate_task(m, t, err))
			return err_ctx(err, "task %u", t->pid);
	}
	return 0;
}
