// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tree of tasks comes to life: each forked from the right one with its own pid, in the right session,
 * when it is first needed; what a later tree no longer has, or has elsewhere, is dropped. model/tree.h
 * decides who is born how.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "model/tree.h"
#include "rst/rst.h"

struct rst_task *rst_tree_find(struct rst *r, uint32_t vpid)
{
	vec_each(t, &r->tasks)
		if (t->t.pid == vpid)
			return t;
	return NULL;
}

struct rst_task *rst_tree_of_mm(struct rst *r, mm_id id)
{
	vec_each(t, &r->tasks)
		if (id && t->t.mm == id)
			return t;
	return NULL;
}

static const struct tree_obj *newest_tree(const struct rst *r)
{
	return &r->m.trees.at[r->m.trees.nr - 1];
}

/* --- one call in a task, by name --- */

static int call_in(struct rst_task *t, const char *what, long nr, const uint64_t *args, size_t nr_args,
		   struct err *err)
{
	int64_t result;

	if (remote_syscall(t->r, nr, nr_args, args, &result, err))
		return err_ctx(err, "task %u: %s", t->t.pid, what);
	if (result < 0) {
		errno = (int)-result;
		return err_sys(err, "task %u: %s", t->t.pid, what);
	}
	return 0;
}

#define CALL(t, what, err, nr, ...)                                                                          \
	call_in(t, what, nr, (const uint64_t[]){__VA_ARGS__},                                                \
		sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), err)

/* --- birth --- */

/*
 * A child of `from` with that pid. Without an exit signal its death later is of no interest to anyone: used
 * for helpers. The true exit signal cannot be changed after the birth, so it must be right here; ordinary
 * processes have SIGCHLD.
 */
static int fork_from(struct remote *from, uint32_t vpid, uint64_t flags, int exit_signal, struct remote **ret,
		     struct err *err)
{
	pid_t tid = (pid_t)vpid;
	struct clone_args args = {
		.flags = flags,
		.exit_signal = (uint64_t)exit_signal,
		.set_tid = vpid ? (uint64_t)(uintptr_t)&tid : 0,
		.set_tid_size = vpid ? 1 : 0,
	};

	if (remote_clone(from, &args, ret, err))
		return err_ctx(err, "making task %u", vpid);
	return 0;
}

static int helper_end(struct rst_task *parent, struct remote *helper, struct err *err)
{
	int64_t result;

	kill(remote_tid(helper), SIGKILL);
	remote_bury(helper);
	if (remote_syscall(parent->r, SYS_wait4, 4, (const uint64_t[]){(uint64_t)-1, 0, __WALL | WNOHANG, 0},
			   &result, err))
		return err_ctx(err, "task %u: wait for a helper", parent->t.pid);
	return 0;
}

/* A helper below `from` forks the task and dies: init adopts it. new_session: the helper first becomes its
 * leader. */
static int birth_by_helper(struct rst *r, struct rst_task *from, struct rst_task *t, bool new_session,
			   struct err *err)
{
	struct remote *helper = NULL;
	int64_t sid;
	int ret;

	if (fork_from(from->r, new_session ? t->t.sid : 0, 0, 0, &helper, err))
		return -1;
	ret = 0;
	if (new_session && (remote_syscall(helper, SYS_setsid, 0, NULL, &sid, err) || sid < 0))
		ret = err_set(err, ERR_RESTORE, "session %u cannot be made", t->t.sid);
	if (!ret)
		ret = fork_from(helper, t->t.pid, 0, SIGCHLD, &t->r, err);
	if (helper_end(from, helper, ret ? &(struct err){0} : err))
		ret = -1;
	return ret;
}

static int birth(struct rst *r, struct rst_task *t, const struct tree_birth *b, struct err *err)
{
	struct rst_task *from;
	uint32_t pid = t->t.pid;

	if (rst_tree_task(r, b->from, &from, err))
		return -1;
	t = rst_tree_find(r, pid);
	if (t->r)
		return 0; /* born early, with its parent */
	switch (b->way) {
	case TREE_FORK:
	case TREE_EARLY:
		return fork_from(from->r, t->t.pid, 0, SIGCHLD, &t->r, err);
	case TREE_SIBLING: /* CLONE_PARENT takes the caller's exit signal (kernel/fork.c) */
		return fork_from(from->r, t->t.pid, CLONE_PARENT, 0, &t->r, err);
	case TREE_ORPHAN:
	case TREE_NEW_SESSION:
		return birth_by_helper(r, from, t, b->way == TREE_NEW_SESSION, err);
	case TREE_INIT:
		break;
	}
	return err_set(err, ERR_RESTORE, "task %u: init is not there", t->t.pid);
}

static int settle(struct rst *r, struct rst_task *t, struct rst_task *from, struct err *err)
{
	t->pid = remote_tid(t->r);
	t->pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	if (t->pidfd < 0)
		return err_sys(err, "pidfd of task %u", t->t.pid);
	return rst_mm_forked(r, from, t, err);
}

/* Children that must have the session their parent has before its own setsid. */
static int early_children(struct rst *r, struct rst_task *t, const struct tree_birth *births, struct err *err)
{
	const struct tree_obj *tree = newest_tree(r);

	for (size_t i = 0; i < tree->tasks.nr; i++) {
		struct rst_task *child = &r->tasks.at[i];

		if (births[i].way != TREE_EARLY || births[i].from != t->t.pid || child->r)
			continue;
		if (fork_from(t->r, child->t.pid, 0, SIGCHLD, &child->r, err) || settle(r, child, t, err))
			return -1;
	}
	return 0;
}

static int make_task(struct rst *r, size_t index, struct err *err)
{
	const struct tree_obj *tree = newest_tree(r);
	_free_ struct tree_birth *births = mem_alloc(tree->tasks.nr * sizeof(*births));
	struct rst_task *t;

	if (tree_plan(tree, births, err))
		return -1;
	if (birth(r, &r->tasks.at[index], &births[index], err))
		return -1;
	t = &r->tasks.at[index];
	if (!t->pid && settle(r, t, rst_tree_find(r, births[index].from), err))
		return -1;
	if (t->t.sid == t->t.pid && t->t.mm) {
		if (early_children(r, t, births, err) || CALL(t, "setsid", err, SYS_setsid) ||
		    rst_tty_early(r, t, err))
			return -1;
	}
	return fault_point("restore-task", err);
}

int rst_tree_task(struct rst *r, uint32_t vpid, struct rst_task **ret, struct err *err)
{
	struct rst_task *t = rst_tree_find(r, vpid);

	if (!t)
		return err_set(err, ERR_IMAGE, "there is no task %u in the tree", vpid);
	if (!t->r && make_task(r, (size_t)(t - r->tasks.at), err))
		return -1;
	*ret = rst_tree_find(r, vpid);
	return 0;
}

/* --- a new tree --- */

static void drop_task(struct rst *r, struct rst_task *t)
{
	struct rst_task *parent = rst_tree_find(r, t->t.ppid);
	struct err ignored;

	if (t->r) {
		kill(t->pid, SIGKILL);
		remote_bury(t->r);
		if (parent && parent->r) { /* else it is init's, who will be asked at the end */
			int64_t result;

			remote_syscall(parent->r, SYS_wait4, 4,
				       (const uint64_t[]){(uint64_t)-1, 0, __WALL | WNOHANG, 0}, &result,
				       &ignored);
		}
	}
	if (t->pidfd >= 0)
		close(t->pidfd);
	rst_mm_drop(r, t);
	*t = (struct rst_task){.pidfd = -1};
}

/* By the same rule the dump knows what is left here (cpt/mirror.c). */
static void who_stays(const struct rst *r, const struct tree_obj *tree, bool *ret)
{
	struct tree_obj old = {0};

	vec_each(t, &r->tasks)
		vec_push(&old.tasks, t->t);
	tree_staying(&old, tree, ret);
	vec_free(&old.tasks);
}

int rst_tree_apply(struct rst *r, const struct tree_obj *tree, struct err *err)
{
	VEC(struct rst_task) now = {0};
	_free_ struct tree_birth *births = mem_alloc(tree->tasks.nr * sizeof(*births));
	_free_ bool *keep = mem_alloc(r->tasks.nr + 1);

	if (tree_plan(tree, births, err))
		return -1;
	who_stays(r, tree, keep);
	for (size_t i = r->tasks.nr; i-- > 0;)
		if (!keep[i])
			drop_task(r, &r->tasks.at[i]);
	vec_each(want, &tree->tasks) {
		struct rst_task *old = rst_tree_find(r, want->pid), *t = vec_add(&now);

		if (old && old->r)
			*t = *old;
		else
			t->pidfd = -1;
		t->t = *want;
	}
	vec_free(&r->tasks);
	memcpy(&r->tasks, &now, sizeof(now));
	return 0;
}

/* --- sessions are right by birth; groups and the dead come at the end --- */

static bool group_leader_lives(struct rst *r, const struct rst_task *t)
{
	return rst_tree_find(r, t->t.pgid) != NULL;
}

static bool same_group_before(struct rst *r, const struct rst_task *t)
{
	for (const struct rst_task *x = r->tasks.at; x < t; x++)
		if (x->t.pgid == t->t.pgid)
			return true;
	return false;
}

static int join_groups(struct rst *r, struct err *err)
{
	vec_each(t, &r->tasks) {
		if (t->t.pgid == t->t.pid && t->t.sid != t->t.pid &&
		    CALL(t, "setpgid", err, SYS_setpgid, 0, 0))
			return -1;
	}
	vec_each(t, &r->tasks) {
		if (t->t.pgid == t->t.pid || !group_leader_lives(r, t))
			continue;
		if (CALL(t, "setpgid", err, SYS_setpgid, 0, t->t.pgid))
			return -1;
	}
	return 0;
}

/* A group whose leader is gone: a helper with its pid makes the group, the members join, the helper goes. */
static int join_orphan_groups(struct rst *r, struct err *err)
{
	vec_each(t, &r->tasks) {
		struct remote *helper;
		int64_t result;
		int ret = 0;

		if (group_leader_lives(r, t) || same_group_before(r, t) || !t->t.mm)
			continue;
		if (t->t.pgid == t->t.sid && t->t.sid != t->t.pid)
			continue; /* born into the group with the session */
		if (fork_from(t->r, t->t.pgid, 0, 0, &helper, err))
			return -1;
		if (remote_syscall(helper, SYS_setpgid, 2, (const uint64_t[]){0, 0}, &result, err) ||
		    result < 0)
			ret = err_set(err, ERR_RESTORE, "process group %u cannot be made", t->t.pgid);
		for (struct rst_task *x = t; !ret && x < r->tasks.at + r->tasks.nr; x++)
			if (x->t.pgid == t->t.pgid)
				ret = CALL(x, "setpgid", err, SYS_setpgid, 0, x->t.pgid);
		if (helper_end(t, helper, ret ? &(struct err){0} : err) || ret)
			return -1;
	}
	return 0;
}

/* Dies with the wait status the image tells. Its parent will find it as a zombie. */
static int die_as(struct rst *r, struct rst_task *t, const struct task_obj *obj, struct err *err)
{
	int sig = (int)(obj->exit_code & 0x7f), status;
	uint64_t none = 0;
	int64_t result;

	if (sig == SIGKILL) {
		kill(t->pid, SIGKILL);
	} else if (sig) {
		if (remote_syscall(t->r, SYS_tgkill, 3, (const uint64_t[]){t->t.pid, t->t.pid, (uint64_t)sig},
				   &result, err))
			return -1;
		if (ptrace(PTRACE_SETSIGMASK, t->pid, 8, &none) || ptrace(PTRACE_CONT, t->pid, 0, 0))
			return err_sys(err, "zombie %u", t->t.pid);
	} else {
		remote_exit(t->r, (int)(obj->exit_code >> 8) & 0xff);
	}
	for (;;) {
		if (waitpid(t->pid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(err, "zombie %u", t->t.pid);
		}
		if (!WIFSTOPPED(status))
			break;
		if (ptrace(PTRACE_CONT, t->pid, 0, WSTOPSIG(status) == sig ? sig : 0))
			return err_sys(err, "zombie %u", t->t.pid);
	}
	remote_release(t->r, &(struct err){0});
	t->r = NULL;
	return 0;
}

static int eat_sigchld(struct rst_task *t, struct err *err)
{
	uint64_t mask = 1ull << (SIGCHLD - 1);
	struct timespec zero = {0};
	struct remote_batch *b = remote_batch_new();
	size_t set = remote_batch_data(b, &mask, sizeof(mask)),
	       now = remote_batch_data(b, &zero, sizeof(zero));
	int ret;

	remote_call(b, "rt_sigtimedwait", REMOTE_MAY_FAIL, SYS_rt_sigtimedwait, ra_data(set), ra_num(0),
		    ra_data(now), ra_num(8));
	ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	return ret;
}

static int make_zombies(struct rst *r, struct err *err)
{
	for (size_t i = 0; i < r->tasks.nr; i++) {
		const struct task_obj *obj = model_task(&r->m, r->tasks.at[i].t.pid);
		struct rst_task *parent;

		if (obj->state != TASK_ZOMBIE)
			continue;
		if (die_as(r, &r->tasks.at[i], obj, err))
			return -1;
		parent = rst_tree_find(r, r->tasks.at[i].t.ppid);
		if (parent && parent->r && eat_sigchld(parent, err))
			return -1;
	}
	return 0;
}

int rst_tree_complete(struct rst *r, struct err *err)
{
	for (size_t i = 0; i < r->tasks.nr; i++)
		if (!r->tasks.at[i].r && make_task(r, i, err))
			return -1;
	/* a zombie that led a session or a group must have been its leader before it dies */
	vec_each(t, &r->tasks)
		if (!t->t.mm && t->t.sid == t->t.pid && CALL(t, "setsid", err, SYS_setsid))
			return -1;
	return join_groups(r, err) || join_orphan_groups(r, err) || make_zombies(r, err) ? -1 : 0;
}

void rst_tree_kill(struct rst *r)
{
	/* children first; PTRACE_O_EXITKILL would do as much, but only when this process ends */
	for (size_t i = r->tasks.nr; i-- > 0;) {
		struct rst_task *t = &r->tasks.at[i];

		if (!t->r)
			continue;
		kill(t->pid, SIGKILL);
		vec_each(thread, &t->threads)
			remote_bury(*thread);
		vec_free(&t->threads);
		remote_bury(t->r);
		t->r = NULL;
	}
}
