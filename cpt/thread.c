// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a frozen task is: signals, timers, limits, credentials, and its threads' registers. From outside by
 * /proc and ptrace what they tell; the rest by one batch of calls a thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "cpt/cpt.h"
#include "facts/proc.h"
#include "lib/kabi.h"

#define PEEK_AT_ONCE 32

/* Where the answers of a thread's batch lie. */
struct answers {
	struct remote_batch *b;
	size_t altstack, tid_address, pdeath, securebits, timer_slack; /* of every thread */
	size_t sigactions[SIGNALS], itimers[3], rlimits, subreaper, dumpable,
		brk; /* of the leader: the whole process */
	VEC(size_t) timers, overruns;
};

static void siginfo_of(const siginfo_t *si, struct siginfo_obj *ret)
{
	*ret = (struct siginfo_obj){.signo = si->si_signo, .code = si->si_code, .err = si->si_errno};
	if (si->si_code == SI_TIMER) {
		ret->timer_id = si->si_timerid;
		ret->overrun = si->si_overrun;
		ret->value = (uint64_t)(uintptr_t)si->si_value.sival_ptr;
	} else if (si->si_code <= 0) { /* sent by a process: kill, tgkill, sigqueue, mq, aio */
		ret->pid = (uint32_t)si->si_pid;
		ret->uid = si->si_uid;
		ret->value = (uint64_t)(uintptr_t)si->si_value.sival_ptr;
	} else if (si->si_code == SI_KERNEL) {
		return;
	} else if (si->si_signo == SIGCHLD) {
		ret->pid = (uint32_t)si->si_pid;
		ret->uid = si->si_uid;
		ret->status = si->si_status;
	} else if (si->si_signo == SIGIO) {
		ret->band = si->si_band;
		ret->fd = si->si_fd;
	} else {
		ret->value = (uint64_t)(uintptr_t)si->si_addr;
	}
}

static int peek_signals(pid_t tid, bool shared, struct siginfo_obj **ret_at, size_t *ret_nr, struct err *err)
{
	VEC(struct siginfo_obj) found = {0};

	for (uint64_t off = 0;;) {
		siginfo_t si[PEEK_AT_ONCE];
		struct __ptrace_peeksiginfo_args args = {off, shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
							 PEEK_AT_ONCE};
		long n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, si);

		if (n < 0) {
			vec_free(&found);
			return err_sys(err, "pending signals of thread %d", tid);
		}
		for (long i = 0; i < n; i++)
			siginfo_of(&si[i], vec_add(&found));
		off += (uint64_t)n;
		if (n < PEEK_AT_ONCE)
			break;
	}
	*ret_at = found.at;
	*ret_nr = found.nr;
	return 0;
}

#define PEEK_INTO(tid, shared, vec, err)                                                                     \
	({                                                                                                   \
		int _ret = peek_signals(tid, shared, &(vec)->at, &(vec)->nr, err);                           \
		(vec)->cap = (vec)->nr;                                                                      \
		_ret;                                                                                        \
	})

/* "ID: 3\nsignal: 10/00007ffd...\nnotify: signal/pid.12\nClockID: 1\n" per timer (fs/proc/base.c) */
static int read_posix_timers(struct cpt *c, const struct cpt_task *t, struct task_obj *ret, struct err *err)
{
	struct posix_timer_obj timer = {0};
	struct buf text;

	if (io_read_file(t->proc_fd, "timers", 16u << 20, &text, err))
		return err->sys_errno == ENOENT ? 0 : -1;
	for (char *line = (char *)text.at; *line;) {
		char *end = strchrnul(line, '\n'), how[16] = "", whom[8] = "";
		unsigned long long value;
		int tid = 0;

		sscanf(line, "ID: %d", &timer.id);
		if (sscanf(line, "signal: %d/%llx", &timer.signo, &value) == 2)
			timer.value = value;
		if (sscanf(line, "notify: %15[a-z]/%7[a-z].%d", how, whom, &tid) == 3) {
			timer.notify = !strcmp(how, "none")	? SIGEV_NONE
				       : !strcmp(how, "thread") ? SIGEV_THREAD
								: SIGEV_SIGNAL;
			if (!strcmp(whom, "tid"))
				timer.notify |= SIGEV_THREAD_ID;
			vec_each(thread, &t->threads)
				if (thread->tid == tid)
					timer.notify_tid = thread->vtid;
		}
		if (sscanf(line, "ClockID: %d", &timer.clock) == 1) {
			vec_push(&ret->posix_timers, timer);
			timer = (struct posix_timer_obj){0};
		}
		line = *end ? end + 1 : end;
	}
	buf_free(&text);
	return 0;
}

static void ask_thread(struct answers *a)
{
	struct remote_batch *b = a->b;

	a->altstack = remote_batch_data(b, NULL, sizeof(stack_t));
	a->tid_address = remote_batch_data(b, NULL, 8);
	a->pdeath = remote_batch_data(b, NULL, 4);
	remote_call(b, "sigaltstack", 0, SYS_sigaltstack, ra_num(0), ra_data(a->altstack));
	remote_call(b, "PR_GET_TID_ADDRESS", 0, SYS_prctl, ra_num(PR_GET_TID_ADDRESS),
		    ra_data(a->tid_address));
	remote_call(b, "PR_GET_PDEATHSIG", 0, SYS_prctl, ra_num(PR_GET_PDEATHSIG), ra_data(a->pdeath));
	a->securebits = remote_call(b, "PR_GET_SECUREBITS", 0, SYS_prctl, ra_num(PR_GET_SECUREBITS));
	a->timer_slack = remote_call(b, "PR_GET_TIMERSLACK", 0, SYS_prctl, ra_num(PR_GET_TIMERSLACK));
}

static void ask_process(struct answers *a, const struct task_obj *task)
{
	struct remote_batch *b = a->b;

	for (int s = 1; s <= SIGNALS; s++) {
		if (s == SIGKILL || s == SIGSTOP)
			continue;
		a->sigactions[s - 1] = remote_batch_data(b, NULL, sizeof(struct kabi_sigaction));
		remote_call(b, "rt_sigaction", 0, SYS_rt_sigaction, ra_num(s), ra_num(0),
			    ra_data(a->sigactions[s - 1]), ra_num(8));
	}
	for (int i = 0; i < 3; i++) {
		a->itimers[i] = remote_batch_data(b, NULL, sizeof(struct itimerval));
		remote_call(b, "getitimer", 0, SYS_getitimer, ra_num(i), ra_data(a->itimers[i]));
	}
	a->rlimits = remote_batch_data(b, NULL, RLIMITS * sizeof(struct rlimit));
	for (unsigned i = 0; i < RLIMITS; i++)
		remote_call(b, "prlimit64", 0, SYS_prlimit64, ra_num(0), ra_num(i), ra_num(0),
			    ra_data(a->rlimits + i * sizeof(struct rlimit)));
	a->subreaper = remote_batch_data(b, NULL, 4);
	remote_call(b, "PR_GET_CHILD_SUBREAPER", 0, SYS_prctl, ra_num(PR_GET_CHILD_SUBREAPER),
		    ra_data(a->subreaper));
	a->dumpable = remote_call(b, "PR_GET_DUMPABLE", 0, SYS_prctl, ra_num(PR_GET_DUMPABLE));
	a->brk = remote_call(b, "brk", 0, SYS_brk, ra_num(0));
	vec_each(timer, &task->posix_timers) {
		size_t at = remote_batch_data(b, NULL, sizeof(struct itimerspec));

		vec_push(&a->timers, at);
		remote_call(b, "timer_gettime", 0, SYS_timer_gettime, ra_num(timer->id), ra_data(at));
		vec_push(&a->overruns,
			 remote_call(b, "timer_getoverrun", 0, SYS_timer_getoverrun, ra_num(timer->id)));
	}
}

static int64_t ns_of_timeval(struct timeval tv)
{
	return (int64_t)tv.tv_sec * 1000000000 + (int64_t)tv.tv_usec * 1000;
}

static int64_t ns_of_timespec(struct timespec ts)
{
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void hear_process(const struct answers *a, struct task_obj *task, struct sighand_obj *hand)
{
	const struct remote_batch *b = a->b;
	const struct rlimit *limits = remote_batch_out(b, a->rlimits);

	for (int s = 1; s <= SIGNALS; s++) {
		const struct kabi_sigaction *k;

		if (s == SIGKILL || s == SIGSTOP)
			continue;
		k = remote_batch_out(b, a->sigactions[s - 1]);
		hand->actions[s - 1] = (struct sigaction_obj){k->handler, k->flags, k->restorer, k->mask};
	}
	for (int i = 0; i < 3; i++) {
		const struct itimerval *it = remote_batch_out(b, a->itimers[i]);

		task->itimers[i] =
			(struct itimer_obj){ns_of_timeval(it->it_value), ns_of_timeval(it->it_interval)};
	}
	for (unsigned i = 0; i < RLIMITS; i++) {
		task->rlimits[i].cur = limits[i].rlim_cur;
		task->rlimits[i].max = limits[i].rlim_max;
	}
	task->child_subreaper = *(const int *)remote_batch_out(b, a->subreaper);
	task->dumpable = (int32_t)remote_batch_result(b, a->dumpable);
	for (size_t i = 0; i < task->posix_timers.nr; i++) {
		const struct itimerspec *it = remote_batch_out(b, a->timers.at[i]);
		struct posix_timer_obj *timer = &task->posix_timers.at[i];

		timer->left_ns = ns_of_timespec(it->it_value);
		timer->interval_ns = ns_of_timespec(it->it_interval);
		timer->overrun = (int32_t)remote_batch_result(b, a->overruns.at[i]);
	}
}

static void hear_thread(const struct answers *a, struct thread_obj *ret)
{
	const stack_t *ss = remote_batch_out(a->b, a->altstack);

	ret->altstack_sp = (uint64_t)(uintptr_t)ss->ss_sp;
	ret->altstack_bytes = ss->ss_size;
	ret->altstack_flags = (uint32_t)ss->ss_flags;
	ret->clear_child_tid = *(const uint64_t *)remote_batch_out(a->b, a->tid_address);
	ret->pdeath_signal = *(const uint32_t *)remote_batch_out(a->b, a->pdeath);
	ret->creds.securebits = (uint32_t)remote_batch_result(a->b, a->securebits);
	ret->timer_slack_ns = (uint64_t)remote_batch_result(a->b, a->timer_slack);
}

/* Ids of the node's user namespace as the VE numbers them. */
static uint32_t id_in_ve(const struct cpt *c, uint32_t id)
{
	uint32_t v = id - c->run.uid_base;

	return v < 65536 ? v : 65534; /* not mapped: the overflow id, as the VE sees it */
}

static int collect_creds(const struct cpt *c, int proc_fd, struct thread_obj *ret, struct err *err)
{
	struct creds_obj *cr = &ret->creds;
	struct proc_status s;

	if (proc_status_read(proc_fd, &s, err))
		return -1;
	cr->uid = id_in_ve(c, s.uid[0]);
	cr->euid = id_in_ve(c, s.uid[1]);
	cr->suid = id_in_ve(c, s.uid[2]);
	cr->fsuid = id_in_ve(c, s.uid[3]);
	cr->gid = id_in_ve(c, s.gid[0]);
	cr->egid = id_in_ve(c, s.gid[1]);
	cr->sgid = id_in_ve(c, s.gid[2]);
	cr->fsgid = id_in_ve(c, s.gid[3]);
	vec_each(g, &s.groups)
		vec_push(&cr->groups, id_in_ve(c, *g));
	cr->cap_inh = s.cap_inh;
	cr->cap_prm = s.cap_prm;
	cr->cap_eff = s.cap_eff;
	cr->cap_bnd = s.cap_bnd;
	cr->cap_amb = s.cap_amb;
	cr->no_new_privs = s.no_new_privs;
	proc_status_free(&s);
	return 0;
}

static void trim_affinity(const cpu_set_t *set, size_t set_bytes, struct bytes *ret)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_CONF), last = 0;
	bool all = true;

	for (int i = 0; i < cpus; i++) {
		if (CPU_ISSET_S(i, set_bytes, set))
			last = i;
		else
			all = false;
	}
	if (!all)
		*ret = bytes_dup(set, (size_t)last / 8 + 1);
}

static int collect_scheduling(pid_t tid, struct thread_obj *ret, struct err *err)
{
	struct kabi_sched_attr attr = {.size_bytes = sizeof(attr)};
	cpu_set_t set;
	long prio;

	if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0))
		return err_sys(err, "sched_getattr");
	ret->sched_policy = attr.policy;
	ret->sched_priority = attr.priority;
	ret->sched_flags = (uint32_t)attr.flags & KABI_SCHED_RESET_ON_FORK;
	ret->nice = attr.nice;
	prio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);
	if (prio > 0)
		ret->ioprio = (uint32_t)prio;
	if (sched_getaffinity(tid, sizeof(set), &set))
		return err_sys(err, "sched_getaffinity");
	trim_affinity(&set, sizeof(set), &ret->affinity);
	return 0;
}

static int collect_kernel_pointers(pid_t tid, struct thread_obj *ret, struct err *err)
{
	struct kabi_rseq_config rseq = {0};
	size_t len = 0;
	void *head = NULL;

	if (syscall(SYS_get_robust_list, tid, &head, &len))
		return err_sys(err, "get_robust_list");
	ret->robust_head = (uint64_t)(uintptr_t)head;
	ret->robust_bytes = len;
	if (ptrace(KABI_PTRACE_GET_RSEQ, tid, sizeof(rseq), &rseq) < 0)
		return errno == EIO || errno == EINVAL ? 0 : err_sys(err, "PTRACE_GET_RSEQ_CONFIGURATION");
	ret->rseq_addr = rseq.addr;
	ret->rseq_bytes = rseq.addr ? rseq.size_bytes : 0;
	ret->rseq_sig = rseq.signature;
	return 0;
}

static int thread_comm(const struct cpt_task *t, pid_t tid, char **ret, struct err *err)
{
	char path[48];
	struct buf text;

	snprintf(path, sizeof(path), "task/%d/comm", tid);
	if (io_read_file(t->proc_fd, path, 64, &text, err))
		return -1;
	if (text.len_bytes && text.at[text.len_bytes - 1] == '\n')
		text.at[text.len_bytes - 1] = 0;
	*ret = (char *)text.at;
	return 0;
}

static int collect_thread(struct cpt *c, const struct cpt_task *t, const struct cpt_thread *thread,
			  struct answers *a, struct thread_obj *ret, struct err *err)
{
	char path[48];
	_fd_ int dir = -1;

	ret->tid = thread->vtid;
	ret->sigmask = remote_sigmask(thread->r);
	snprintf(path, sizeof(path), "task/%d", thread->tid);
	dir = openat(t->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "%s", path);
	if (thread_comm(t, thread->tid, &ret->comm, err) || remote_collect_regs(thread->r, &ret->regs, err) ||
	    PEEK_INTO(thread->tid, false, &ret->pending, err) || collect_creds(c, dir, ret, err) ||
	    collect_scheduling(thread->tid, ret, err) || collect_kernel_pointers(thread->tid, ret, err))
		return -1;
	if (remote_batch_run(thread->r, a->b, err))
		return -1;
	hear_thread(a, ret);
	return 0;
}

static int read_number(const struct cpt_task *t, const char *name, int base, uint32_t *ret, struct err *err)
{
	struct buf text;

	if (io_read_file(t->proc_fd, name, 64, &text, err))
		return -1;
	*ret = (uint32_t)strtoll((char *)text.at, NULL, base);
	buf_free(&text);
	return 0;
}

/* The session leader tells of its terminal; the group in front as the VE numbers it. */
static void collect_terminal(struct cpt *c, const struct cpt_task *t, const struct proc_stat *stat,
			     struct task_obj *ret)
{
	ret->ctty = cpt_tty_of_leader(c, t);
	if (!ret->ctty)
		return;
	vec_each(other, &c->tasks) {
		struct proc_stat os;
		struct err ignored;

		if (!proc_stat_read(other->proc_fd, &os, &ignored) && os.pgrp == stat->tpgid) {
			ret->ctty_pgrp = other->vpgid;
			return;
		}
	}
}

static int collect_outside(struct cpt *c, const struct cpt_task *t, struct task_obj *ret, struct err *err)
{
	struct proc_stat stat;
	uint32_t oom;

	if (proc_stat_read(t->proc_fd, &stat, err) ||
	    read_number(t, "personality", 16, &ret->personality, err) ||
	    read_number(t, "oom_score_adj", 10, &oom, err))
		return -1;
	ret->oom_score_adj = (int32_t)oom;
	ret->exit_signal = stat.exit_signal;
	/* of a stopped group the code that waits for its parent, 0 once it was told (fs/proc/array.c,
	 * do_task_stat) */
	ret->stop_seen = ret->state == TASK_STOPPED && !stat.exit_code;
	if (read_number(t, "loginuid", 10, &ret->loginuid, err))
		ret->loginuid = UINT32_MAX; /* a kernel without audit */
	ret->cgroup = mem_strdup(cpt_cgroup_of(c, t));
	collect_terminal(c, t, &stat, ret);
	return 0;
}

static int collect_alive(struct cpt *c, struct cpt_task *t, struct task_obj *ret, struct err *err)
{
	struct sighand_obj *hand = vec_add(&c->m.sighands);
	int result = 0;

	hand->id = t->sighand = ret->sighand = (sighand_id)c->m.sighands.nr;
	ret->mm = t->mm;
	ret->files = t->files;
	ret->fs = t->fs;
	if (remote_group_stop(t->threads.at[0].r)) {
		ret->state = TASK_STOPPED;
		ret->stop_signal = (uint32_t)remote_group_stop(t->threads.at[0].r);
	}
	if (collect_outside(c, t, ret, err) || read_posix_timers(c, t, ret, err) ||
	    PEEK_INTO(t->pid, true, &ret->pending, err))
		return -1;
	for (size_t i = 0; !result && i < t->threads.nr; i++) {
		struct answers a = {.b = remote_batch_new()};
		struct thread_obj *thread = vec_add(&ret->threads);

		ask_thread(&a);
		if (i == 0)
			ask_process(&a, ret);
		result = collect_thread(c, t, &t->threads.at[i], &a, thread, err);
		if (!result && i == 0)
			hear_process(&a, ret, hand);
		if (!result && i == 0)
			model_mm(&c->m, ret->mm)->brk = (uint64_t)remote_batch_result(a.b, a.brk);
		vec_free(&a.timers);
		vec_free(&a.overruns);
		remote_batch_free(a.b);
	}
	return result;
}

static int collect_zombie(const struct cpt_task *t, struct task_obj *ret, struct err *err)
{
	struct proc_stat stat;

	if (proc_stat_read(t->proc_fd, &stat, err))
		return -1;
	ret->state = TASK_ZOMBIE;
	ret->exit_code = stat.exit_code;
	ret->exit_signal = stat.exit_signal;
	vec_add(&ret->threads)->tid = t->vpid;
	ret->threads.at[0].comm = mem_strdup(t->comm);
	return 0;
}

int cpt_task_collect(struct cpt *c, struct err *err)
{
	vec_each(t, &c->tasks) {
		struct task_obj *task = vec_add(&c->m.tasks);
		char where[64];

		task->pid = t->vpid;
		task->ppid = t->vppid;
		task->pgid = t->vpgid;
		task->sid = t->vsid;
		if (t->zombie ? collect_zombie(t, task, err) : collect_alive(c, t, task, err))
			return err_ctx(err, "%s", cpt_where(t, -1, where));
		c->stats.tasks++;
		c->stats.threads += (unsigned)t->threads.nr;
	}
	return 0;
}
