// SPDX-License-Identifier: GPL-2.0-only
/* Finding the VE's tasks, and what of them cannot be carried. cpt/thread.c collects what they are. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "cpt/cpt.h"
#include "facts/proc.h"
#include "model/tree.h"

const char *cpt_where(const struct cpt_task *t, int fd, char ret[static 64])
{
	if (fd < 0)
		snprintf(ret, 64, "task %u (%s)", t->vpid, t->comm);
	else
		snprintf(ret, 64, "task %u (%s) fd %d", t->vpid, t->comm, fd);
	return ret;
}

static void task_close(struct cpt_task *t)
{
	if (t->pidfd >= 0)
		close(t->pidfd);
	if (t->proc_fd >= 0)
		close(t->proc_fd);
	vec_free(&t->threads);
}

/* 1: it is there and filled in; 0: it is gone. */
static int task_read(struct cpt_task *t, struct err *err)
{
	struct proc_stat stat;
	struct proc_status status;

	if (proc_stat_read(t->proc_fd, &stat, err) || proc_status_read(t->proc_fd, &status, err))
		return err->sys_errno == ESRCH || err->sys_errno == ENOENT ? 0 : -1;
	t->vpid = status.ns_pid;
	t->vpgid = status.ns_pgid;
	t->vsid = status.ns_sid;
	t->start_ticks = stat.start_ticks;
	t->tty_nr = stat.tty_nr;
	t->zombie = stat.state == 'Z' || stat.state == 'X';
	snprintf(t->comm, sizeof(t->comm), "%.15s", stat.comm);
	proc_status_free(&status);
	return 1;
}

static int thread_vtid(const struct cpt_task *t, pid_t tid, uint32_t *ret, struct err *err)
{
	char path[32];
	struct proc_status status;
	_fd_ int fd = -1;

	if (tid == t->pid) {
		*ret = t->vpid;
		return 0;
	}
	snprintf(path, sizeof(path), "task/%d", tid);
	fd = openat(t->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "thread %d", tid);
	if (proc_status_read(fd, &status, err))
		return -1;
	*ret = status.ns_pid;
	proc_status_free(&status);
	return 0;
}

static int task_threads(struct cpt_task *t, struct err *err)
{
	proc_numbers tids = {0};
	int ret = 0;

	vec_free(&t->threads);
	if (t->zombie) {
		vec_push(&t->threads, ((struct cpt_thread){t->pid, t->vpid, NULL}));
		return 0;
	}
	if (proc_numbers_read(t->proc_fd, "task", &tids, err))
		return -1;
	vec_push(&t->threads, ((struct cpt_thread){t->pid, t->vpid, NULL}));
	vec_each(tid, &tids) {
		uint32_t vtid = 0;

		if ((pid_t)*tid == t->pid)
			continue;
		if (!thread_vtid(t, (pid_t)*tid, &vtid, err)) {
			vec_push(&t->threads, ((struct cpt_thread){(pid_t)*tid, vtid, NULL}));
		} else if (err->sys_errno != ENOENT && err->sys_errno != ESRCH) {
			ret = -1;
			break;
		}
	}
	vec_free(&tids);
	return ret;
}

/* A task we knew before keeps its descriptors and ids; else they are opened now. 1 found, 0 gone. */
static int task_open(struct cpt *c, pid_t pid, struct cpt_task *ret, struct err *err)
{
	char path[32];
	int there;

	vec_each(old, &c->tasks) {
		struct cpt_task known = *old;

		if (old->pid != pid || old->proc_fd < 0)
			continue;
		there = task_read(&known, err);
		if (there > 0 && known.start_ticks == old->start_ticks) {
			memset(&old->threads, 0, sizeof(old->threads)); /* taken over */
			old->pidfd = old->proc_fd = -1;
			*ret = known;
			return 1;
		}
	}
	*ret = (struct cpt_task){.pid = pid, .pidfd = -1, .proc_fd = -1};
	snprintf(path, sizeof(path), "/proc/%d", pid);
	ret->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret->proc_fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", path);
	there = task_read(ret, err);
	if (there > 0) {
		ret->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (ret->pidfd < 0 && errno != ESRCH && errno != EINVAL)
			there = err_sys(err, "pidfd of %d", pid);
	}
	if (there <= 0)
		task_close(ret);
	return there;
}

typedef VEC(pid_t) pid_vec;
typedef VEC(struct cpt_task) task_vec;

/* fs/proc/array.c: children of one thread, as the reader's namespace numbers them; zombies too. */
static int children_of(const struct cpt_task *t, pid_vec *ret, struct err *err)
{
	vec_each(thread, &t->threads) {
		char path[48];
		struct buf text;

		snprintf(path, sizeof(path), "task/%d/children", thread->tid);
		if (io_read_file(t->proc_fd, path, 16u << 20, &text, err)) {
			if (err->sys_errno == ENOENT || err->sys_errno == ESRCH)
				continue;
			return -1;
		}
		for (char *p = (char *)text.at, *end;; p = end) {
			unsigned long v = strtoul(p, &end, 10);

			if (end == p)
				break;
			vec_push(ret, (pid_t)v);
		}
		buf_free(&text);
	}
	return 0;
}

static int add_task(struct cpt *c, pid_t pid, uint32_t vppid, task_vec *to, struct err *err)
{
	struct cpt_task t;
	int there = task_open(c, pid, &t, err);

	if (there <= 0)
		return there;
	t.vppid = vppid;
	if (task_threads(&t, err)) {
		task_close(&t);
		return err->sys_errno == ENOENT || err->sys_errno == ESRCH ? 0 : -1;
	}
	vec_push(to, t);
	return 0;
}

/* Breadth first from init: parents come before children. */
int cpt_task_list(struct cpt *c, struct err *err)
{
	task_vec found = {0};
	pid_vec children = {0};
	int ret = add_task(c, c->run.init_pid, 0, &found, err);

	for (size_t i = 0; !ret && i < found.nr; i++) {
		uint32_t vpid = found.at[i].vpid;

		children.nr = 0;
		ret = found.at[i].zombie ? 0 : children_of(&found.at[i], &children, err);
		for (size_t k = 0; !ret && k < children.nr; k++)
			ret = add_task(c, children.at[k], vpid, &found, err);
	}
	vec_free(&children);
	vec_each(t, &c->tasks)
		task_close(t);
	vec_free(&c->tasks);
	memcpy(&c->tasks, &found, sizeof(found));
	if (!ret && !c->tasks.nr)
		return err_set(err, ERR_NOT_RUNNING, "the VE's init is gone");
	return ret;
}

void cpt_task_free(struct cpt *c)
{
	vec_each(t, &c->tasks)
		task_close(t);
	vec_free(&c->tasks);
}

/* By its parents; one that is gone by now is no stranger. */
static bool below_init(const struct cpt *c, pid_t pid)
{
	struct proc_stat stat = {.ppid = (uint32_t)pid};
	struct err ignored;

	while (stat.ppid != (uint32_t)c->run.init_pid) {
		_fd_ int proc_fd = -1;
		char path[32];

		if (stat.ppid <= 1)
			return false;
		snprintf(path, sizeof(path), "/proc/%u", stat.ppid);
		proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (proc_fd < 0 || proc_stat_read(proc_fd, &stat, &ignored))
			return true;
	}
	return true;
}

/* Tasks of the VE's cgroup that are not below its init came in from outside (verst exec) and have their
 * parent there. */
int cpt_task_check_entered(struct cpt *c, int cgroup_fd, struct err *err)
{
	struct buf text;

	if (io_read_file(cgroup_fd, "cgroup.procs", 16u << 20, &text, err))
		return -1;
	for (char *p = (char *)text.at, *end;; p = end) {
		unsigned long pid = strtoul(p, &end, 10);
		bool known = false;
		char where[64];

		if (end == p)
			break;
		vec_each(t, &c->tasks)
			known |= t->pid == (pid_t)pid;
		/* it may have been born since we looked */
		if (known || below_init(c, (pid_t)pid))
			continue;
		snprintf(where, sizeof(where), "process %lu of the node", pid);
		findings_add(c->findings, where, "end the session (verst exec, verst enter) and try again",
			     "it entered the VE from outside, its parent is not in the VE");
	}
	buf_free(&text);
	return 0;
}

#define VFORK_TRIES    100
#define VFORK_PAUSE_US 10000

static bool shares(const struct cpt_task *a, const struct cpt_task *b, int what)
{
	return syscall(SYS_kcmp, a->pid, b->pid, what, 0, 0) == 0;
}

/* Between vfork and exec a child is in its parent's memory, as a rule for less than a millisecond: that is
 * waited for. */
static bool shares_for_long(const struct cpt_task *a, const struct cpt_task *b)
{
	for (int tries = 0; tries < VFORK_TRIES; tries++) {
		if (!shares(a, b, KCMP_VM))
			return false;
		usleep(VFORK_PAUSE_US);
	}
	return true;
}

bool cpt_task_in_vfork(const struct cpt *c)
{
	vec_each(t, &c->tasks)
		vec_each(other, &c->tasks)
			if (other->vpid == t->vppid && !t->zombie && !other->zombie &&
			    shares(t, other, KCMP_VM))
				return true;
	return false;
}

static void check_one(struct cpt *c, const struct cpt_task *t, const struct proc_status *s)
{
	char where[64];

	cpt_where(t, -1, where);
	if (s->tracer_pid)
		findings_add(c->findings, where, "detach the debugger",
			     "it is traced by process %u of the node", s->tracer_pid);
	if (s->seccomp)
		findings_add(c->findings, where, NULL, "it has a seccomp %s",
			     s->seccomp == 1 ? "strict mode" : "filter");
	if (t->zombie && s->threads > 1)
		findings_add(c->findings, where, NULL, "its first thread has ended while %u others live",
			     s->threads - 1);
	if (s->nr_ns > 2)
		findings_add(c->findings, where, NULL, "it is in a nested pid namespace");
	vec_each(other, &c->tasks) {
		if (other->vpid != t->vppid || t->zombie || other->zombie)
			continue;
		if (shares_for_long(t, other))
			findings_add(c->findings, where, NULL,
				     "it shares its memory with task %u (vfork, or CLONE_VM)", other->vpid);
	}
}

int cpt_task_check(struct cpt *c, struct err *err)
{
	vec_each(t, &c->tasks) {
		struct proc_status s;
		char where[64];

		if (proc_status_read(t->proc_fd, &s, err)) {
			if (err->sys_errno == ESRCH)
				continue; /* ended meanwhile */
			return err_ctx(err, "%s", cpt_where(t, -1, where));
		}
		check_one(c, t, &s);
		proc_status_free(&s);
	}
	return 0;
}

int cpt_task_write_tree(struct cpt *c, uint32_t round, bool frozen, struct err *err)
{
	struct tree_obj tree = {.round = round, .frozen = frozen};
	struct tree_birth *births;
	int ret;

	vec_each(t, &c->tasks) {
		struct tree_task *tt = vec_add(&tree.tasks);

		*tt = (struct tree_task){.pid = t->vpid, .ppid = t->vppid, .pgid = t->vpgid, .sid = t->vsid};
		tt->tty = cpt_tty_in_tree(c, t);
		cpt_mm_tree(c, t, tt);
	}
	births = mem_alloc(tree.tasks.nr * sizeof(*births));
	ret = tree_plan(&tree, births, err);
	for (size_t i = 0; !ret && i < tree.tasks.nr; i++)
		tree.tasks.at[i].mm_from = births[i].from;
	free(births);
	if (!ret)
		ret = img_put_tree(c->w, &tree, err);
	if (!ret)
		vec_push(&c->m.trees, tree);
	else
		vec_free(&tree.tasks);
	return ret;
}
