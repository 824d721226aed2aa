// SPDX-License-Identifier: GPL-2.0-only
/* Threads, signals, timers, limits and credentials of tasks that are complete otherwise; and their release.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "lib/kabi.h"
#include "rst/rst.h"

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static struct remote *thread_remote(const struct rst_task *t, size_t i)
{
	return i == 0 ? t->r : t->threads.at[i - 1];
}

int rst_task_threads(struct rst *r, struct err *err)
{
	vec_each(t, &r->tasks) {
		const struct task_obj *obj = model_task(&r->m, t->t.pid);

		for (size_t i = 1; t->r && i < obj->threads.nr; i++) {
			pid_t tid = (pid_t)obj->threads.at[i].tid;
			struct clone_args args = {.flags = THREAD_FLAGS,
						  .set_tid = (uint64_t)(uintptr_t)&tid,
						  .set_tid_size = 1};
			struct remote *thread;

			if (remote_clone(t->r, &args, &thread, err))
				return err_ctx(err, "task %u: thread %u", t->t.pid, tid);
			vec_push(&t->threads, thread);
		}
	}
	return fault_point("restore-threads", err);
}

/* --- signals --- */

static void add_actions(struct remote_batch *b, const struct sighand_obj *hand)
{
	for (int s = 1; s <= SIGNALS; s++) {
		const struct sigaction_obj *a = &hand->actions[s - 1];
		struct kabi_sigaction k = {a->handler, a->flags, a->restorer, a->mask};

		if (s == SIGKILL || s == SIGSTOP)
			continue;
		remote_call(b, "rt_sigaction", 0, SYS_rt_sigaction, ra_num(s),
			    ra_data(remote_batch_data(b, &k, sizeof(k))), ra_num(0), ra_num(8));
	}
}

static void siginfo_to(const struct siginfo_obj *s, siginfo_t *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->si_signo = s->signo;
	ret->si_code = s->code;
	ret->si_errno = s->err;
	if (s->code == SI_TIMER) {
		ret->si_timerid = s->timer_id;
		ret->si_overrun = s->overrun;
		ret->si_value.sival_ptr = (void *)(uintptr_t)s->value;
	} else if (s->code <= 0) {
		ret->si_pid = (pid_t)s->pid;
		ret->si_uid = s->uid;
		ret->si_value.sival_ptr = (void *)(uintptr_t)s->value;
	} else if (s->code == SI_KERNEL) {
		return;
	} else if (s->signo == SIGCHLD) {
		ret->si_pid = (pid_t)s->pid;
		ret->si_uid = s->uid;
		ret->si_status = s->status;
	} else if (s->signo == SIGIO) {
		ret->si_band = s->band;
		ret->si_fd = s->fd;
	} else {
		ret->si_addr = (void *)(uintptr_t)s->value;
	}
}

/* To oneself any siginfo may be sent (kernel/signal.c), so each thread queues its own. All signals are
 * blocked here. */
static void add_pending(struct remote_batch *b, const struct siginfo_obj *at, size_t nr, uint32_t pid,
			uint32_t tid)
{
	for (size_t i = 0; i < nr; i++) {
		siginfo_t si;
		size_t info;

		siginfo_to(&at[i], &si);
		info = remote_batch_data(b, &si, sizeof(si));
		if (tid)
			remote_call(b, "rt_tgsigqueueinfo", 0, SYS_rt_tgsigqueueinfo, ra_num(pid),
				    ra_num(tid), ra_num(at[i].signo), ra_data(info));
		else
			remote_call(b, "rt_sigqueueinfo", 0, SYS_rt_sigqueueinfo, ra_num(pid),
				    ra_num(at[i].signo), ra_data(info));
	}
}

/* --- timers --- */

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ns / 1000000000, ns % 1000000000};
}

static struct timeval timeval_of(int64_t ns)
{
	return (struct timeval){ns / 1000000000, ns % 1000000000 / 1000};
}

/* What has passed in the VE since it stood still counts; one that is over by now expires at once. */
static int64_t left_by_now(int64_t left_ns, int64_t passed_ns, int64_t least_ns)
{
	int64_t by_now_ns;

	if (__builtin_sub_overflow(left_ns, passed_ns, &by_now_ns))
		return left_ns; /* it never expires */
	return MAX(by_now_ns, least_ns);
}

/*
 * One with an interval and nothing left has expired, and its signal waits to be taken (only then does the
 * kernel start it again): it expires at once, which adds nothing to a signal that is pending. Less than 1 us
 * would be taken for "none".
 */
static void add_itimers(struct remote_batch *b, const struct rst *r, const struct task_obj *obj)
{
	for (int i = 0; i < 3; i++) {
		const struct itimer_obj *timer = &obj->itimers[i];
		int64_t passed_ns = i == ITIMER_REAL ? rst_clock_passed_ns(r, CLOCK_MONOTONIC) : 0;
		struct itimerval it = {timeval_of(timer->interval_ns),
				       timeval_of(left_by_now(timer->left_ns, passed_ns, 1000))};

		if (timer->left_ns || timer->interval_ns)
			remote_call(b, "setitimer", 0, SYS_setitimer, ra_num(i),
				    ra_data(remote_batch_data(b, &it, sizeof(it))), ra_num(0));
	}
}

/* The kernel's struct sigevent: 64 bytes, the thread id in the union behind sigev_notify. */
static size_t add_sigevent(struct remote_batch *b, const struct posix_timer_obj *timer)
{
	struct {
		uint64_t value;
		int32_t signo, notify, tid;
		uint8_t pad[64 - 20];
	} ev = {timer->value, timer->signo, timer->notify, (int32_t)timer->notify_tid, {0}};

	return remote_batch_data(b, &ev, sizeof(ev));
}

static void add_timer_armed(struct remote_batch *b, const struct rst *r, const struct posix_timer_obj *timer)
{
	int64_t left_ns = left_by_now(timer->left_ns, rst_clock_passed_ns(r, timer->clock), 1);
	struct itimerspec it = {timespec_of(timer->interval_ns), timespec_of(left_ns)};

	if (timer->left_ns)
		remote_call(b, "timer_settime", 0, SYS_timer_settime, ra_num(timer->id), ra_num(0),
			    ra_data(remote_batch_data(b, &it, sizeof(it))), ra_num(0));
}

/* Linux 6.15 on lets a process choose ids. Before, they count up from 0: timers in between are made and
 * deleted. */
static int restore_posix_timers(struct rst *r, struct rst_task *t, const struct task_obj *obj,
				struct err *err)
{
	struct remote_batch *b;
	int64_t mode;
	int32_t next = 0;
	int ret;

	if (!obj->posix_timers.nr)
		return 0;
	if (remote_syscall(t->r, SYS_prctl, 2,
			   (const uint64_t[]){KABI_PR_TIMER_RESTORE_IDS, KABI_PR_TIMER_RESTORE_IDS_ON}, &mode,
			   err))
		return -1;
	b = remote_batch_new();
	vec_each(timer, &obj->posix_timers) {
		size_t ev = add_sigevent(b, timer), id = remote_batch_data(b, &timer->id, sizeof(timer->id));

		for (; mode < 0 && next < timer->id; next++) {
			remote_call(b, "timer_create", 0, SYS_timer_create, ra_num(timer->clock), ra_data(ev),
				    ra_data(id));
			remote_call(b, "timer_delete", 0, SYS_timer_delete, ra_num(next));
		}
		next++;
		remote_call(b, "timer_create", 0, SYS_timer_create, ra_num(timer->clock), ra_data(ev),
			    ra_data(id));
		add_timer_armed(b, r, timer);
	}
	if (mode >= 0)
		remote_call(b, "prctl", 0, SYS_prctl, ra_num(KABI_PR_TIMER_RESTORE_IDS),
			    ra_num(KABI_PR_TIMER_RESTORE_IDS_OFF));
	ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	return ret;
}

/* --- limits --- */

/* Without CAP_SYS_RESOURCE on the node a hard limit cannot be raised; the process then keeps the lower one,
 * and it is said. */
static void add_limits(struct remote_batch *b, const struct task_obj *obj)
{
	for (unsigned i = 0; i < RLIMITS; i++) {
		struct rlimit lim = {obj->rlimits[i].cur, obj->rlimits[i].max};

		remote_call(b, "prlimit64", REMOTE_MAY_FAIL, SYS_prlimit64, ra_num(0), ra_num(i),
			    ra_data(remote_batch_data(b, &lim, sizeof(lim))), ra_num(0));
	}
}

static void write_oom_score(const struct rst_task *t, const struct task_obj *obj)
{
	char path[64], text[16];
	struct err err;

	if (!obj->oom_score_adj)
		return;
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", t->pid);
	snprintf(text, sizeof(text), "%d", obj->oom_score_adj);
	if (io_write_file(AT_FDCWD, path, text, &err))
		log_warn("task %u: oom_score_adj stays as it is: %s", t->t.pid, err.msg);
}

/* --- credentials: the last of a thread's own calls, as they take the right to make others --- */

static void add_caps(struct remote_batch *b, const struct creds_obj *cr)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)cr->cap_eff, (uint32_t)cr->cap_prm, (uint32_t)cr->cap_inh},
		{(uint32_t)(cr->cap_eff >> 32), (uint32_t)(cr->cap_prm >> 32), (uint32_t)(cr->cap_inh >> 32)},
	};

	remote_call(b, "capset", 0, SYS_capset, ra_data(remote_batch_data(b, &head, sizeof(head))),
		    ra_data(remote_batch_data(b, data, sizeof(data))));
	for (unsigned cap = 0; cap < 64; cap++)
		if (cr->cap_amb >> cap & 1)
			remote_call(b, "PR_CAP_AMBIENT", 0, SYS_prctl, ra_num(PR_CAP_AMBIENT),
				    ra_num(PR_CAP_AMBIENT_RAISE), ra_num(cap));
}

static void add_creds(struct remote_batch *b, const struct creds_obj *cr)
{
	size_t groups = remote_batch_data(b, cr->groups.at, cr->groups.nr * sizeof(uint32_t));

	for (unsigned cap = 0; cap < 64; cap++)
		if (!(cr->cap_bnd >> cap & 1)) /* EINVAL above the last capability the kernel knows */
			remote_call(b, "PR_CAPBSET_DROP", REMOTE_MAY_FAIL, SYS_prctl, ra_num(PR_CAPBSET_DROP),
				    ra_num(cap));
	remote_call(b, "setgroups", 0, SYS_setgroups, ra_num(cr->groups.nr), ra_data(groups));
	remote_call(b, "setresgid", 0, SYS_setresgid, ra_num(cr->gid), ra_num(cr->egid), ra_num(cr->sgid));
	remote_call(b, "setfsgid", 0, SYS_setfsgid, ra_num(cr->fsgid));
	/* the change of uid must not take the capabilities that are set right after */
	remote_call(b, "PR_SET_SECUREBITS", 0, SYS_prctl, ra_num(PR_SET_SECUREBITS),
		    ra_num(SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS));
	remote_call(b, "setresuid", 0, SYS_setresuid, ra_num(cr->uid), ra_num(cr->euid), ra_num(cr->suid));
	remote_call(b, "setfsuid", 0, SYS_setfsuid, ra_num(cr->fsuid));
	remote_call(b, "PR_SET_SECUREBITS", 0, SYS_prctl, ra_num(PR_SET_SECUREBITS), ra_num(cr->securebits));
	add_caps(b, cr);
	if (cr->no_new_privs)
		remote_call(b, "PR_SET_NO_NEW_PRIVS", 0, SYS_prctl, ra_num(PR_SET_NO_NEW_PRIVS), ra_num(1));
}

/* --- threads --- */

static void add_kernel_pointers(struct remote_batch *b, const struct thread_obj *th)
{
	stack_t ss = {.ss_sp = (void *)(uintptr_t)th->altstack_sp,
		      .ss_flags = (int)(th->altstack_flags & ~(uint32_t)SS_ONSTACK),
		      .ss_size = th->altstack_bytes};

	/* called on the blob's stack, so that not even SS_ONSTACK is in the way */
	remote_call(b, "sigaltstack", 0, SYS_sigaltstack, ra_data(remote_batch_data(b, &ss, sizeof(ss))),
		    ra_num(0));
	remote_call(b, "set_tid_address", 0, SYS_set_tid_address, ra_num(th->clear_child_tid));
	if (th->robust_head)
		remote_call(b, "set_robust_list", 0, SYS_set_robust_list, ra_num(th->robust_head),
			    ra_num(th->robust_bytes));
	if (th->rseq_bytes)
		remote_call(b, "rseq", 0, SYS_rseq, ra_num(th->rseq_addr), ra_num(th->rseq_bytes), ra_num(0),
			    ra_num(th->rseq_sig));
}

static int restore_scheduling(pid_t tid, const struct thread_obj *th, struct err *err)
{
	struct kabi_sched_attr attr = {
		.size_bytes = sizeof(attr),
		.policy = th->sched_policy,
		.flags = th->sched_flags,
		.nice = th->nice,
		.priority = th->sched_priority,
	};
	cpu_set_t set;

	if ((th->sched_policy || th->nice || th->sched_flags) && syscall(SYS_sched_setattr, tid, &attr, 0))
		return err_sys(err, "thread %u: sched_setattr", th->tid);
	if (th->ioprio && syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, tid, th->ioprio))
		return err_sys(err, "thread %u: ioprio_set", th->tid);
	if (!th->affinity.len_bytes)
		return 0;
	CPU_ZERO(&set);
	memcpy(&set, th->affinity.at, MIN(th->affinity.len_bytes, sizeof(set)));
	if (sched_setaffinity(tid, sizeof(set), &set)) /* this node may have other cpus */
		log_warn("thread %u: its cpu affinity cannot be kept: %s", th->tid, strerror(errno));
	return 0;
}

static int restore_thread(struct rst *r, struct rst_task *t, const struct task_obj *obj, size_t i,
			  struct err *err)
{
	const struct thread_obj *th = &obj->threads.at[i];
	struct remote *remote = thread_remote(t, i);
	struct remote_batch *b = remote_batch_new();
	int ret;

	remote_call(b, "PR_SET_NAME", 0, SYS_prctl, ra_num(PR_SET_NAME),
		    ra_data(remote_batch_data(b, th->comm, strnlen(th->comm, 15) + 1)));
	remote_call(b, "PR_SET_TIMERSLACK", 0, SYS_prctl, ra_num(PR_SET_TIMERSLACK),
		    ra_num(th->timer_slack_ns));
	add_kernel_pointers(b, th);
	add_pending(b, th->pending.at, th->pending.nr, obj->pid, th->tid);
	if (i == 0) {
		add_pending(b, obj->pending.at, obj->pending.nr, obj->pid, 0);
		add_itimers(b, r, obj);
		add_limits(b, obj);
		if (obj->child_subreaper)
			remote_call(b, "PR_SET_CHILD_SUBREAPER", 0, SYS_prctl, ra_num(PR_SET_CHILD_SUBREAPER),
				    ra_num(1));
		remote_call(b, "personality", 0, SYS_personality, ra_num(obj->personality));
	}
	add_creds(b, &th->creds);
	/* both are forgotten by the kernel when credentials change */
	if (th->pdeath_signal)
		remote_call(b, "PR_SET_PDEATHSIG", 0, SYS_prctl, ra_num(PR_SET_PDEATHSIG),
			    ra_num(th->pdeath_signal));
	if (i == 0 && obj->dumpable != 2) /* 2 comes by itself; it cannot be asked for */
		remote_call(b, "PR_SET_DUMPABLE", 0, SYS_prctl, ra_num(PR_SET_DUMPABLE),
			    ra_num(obj->dumpable));
	ret = remote_batch_run(remote, b, err);
	remote_batch_free(b);
	return ret || restore_scheduling(remote_tid(remote), th, err) ? -1 : 0;
}

/* Before anything is pending: an action that ignores its signal throws away what of it waits (sigaction(2)).
 */
static int restore_actions(struct rst *r, struct rst_task *t, const struct task_obj *obj, struct err *err)
{
	struct remote_batch *b = remote_batch_new();
	int ret;

	add_actions(b, model_sighand(&r->m, obj->sighand));
	ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	return ret;
}

int rst_task_state(struct rst *r, struct err *err)
{
	vec_each(t, &r->tasks) {
		const struct task_obj *obj = model_task(&r->m, t->t.pid);

		if (!t->r)
			continue;
		write_oom_score(t, obj);
		if (restore_actions(r, t, obj, err) || restore_posix_timers(r, t, obj, err))
			return err_ctx(err, "task %u", t->t.pid);
		/* the leader last: what it sets for all must not be undone by what a thread does */
		for (size_t i = obj->threads.nr; i-- > 0;)
			if (restore_thread(r, t, obj, i, err))
				return err_ctx(err, "task %u thread %u", t->t.pid, obj->threads.at[i].tid);
	}
	return fault_point("restore-state", err);
}

/* --- the end: own registers, the blob gone --- */

static int seal_thread(struct remote *remote, const struct thread_obj *th, struct err *err)
{
	if (remote_finish(remote, err) || arch_thread_restore(remote_tid(remote), &th->regs, err))
		return err_ctx(err, "thread %u", th->tid);
	remote_set_sigmask(remote, th->sigmask);
	return 0;
}

static int release_task(struct rst_task *t, const struct task_obj *obj, struct err *err)
{
	if (obj->state == TASK_STOPPED && kill(t->pid, (int)obj->stop_signal))
		return err_sys(err, "task %u: stop signal", t->t.pid);
	for (size_t i = obj->threads.nr; i-- > 0;)
		if (remote_release(thread_remote(t, i), err))
			return err_ctx(err, "task %u", t->t.pid);
	vec_free(&t->threads);
	t->r = NULL;
	return 0;
}

int rst_task_seal(struct rst *r, struct err *err)
{
	/* children first: their parents can still be asked to do something */
	for (size_t k = r->tasks.nr; k-- > 0;) {
		struct rst_task *t = &r->tasks.at[k];
		const struct task_obj *obj = model_task(&r->m, t->t.pid);

		/* the leader last: its blob is its threads' too */
		for (size_t i = obj->threads.nr; t->r && i-- > 0;)
			if (seal_thread(thread_remote(t, i), &obj->threads.at[i], err))
				return err_ctx(err, "task %u", t->t.pid);
		if (t->r && obj->state == TASK_STOPPED && (release_task(t, obj, err) || rst_stop(r, t, err)))
			return err_ctx(err, "task %u", t->t.pid);
	}
	/* Stopped by ptrace counts as frozen (kernel/signal.c, ptrace_stop), so they stay where they are when
	 * let go. */
	if (ve_freeze(&r->run, 10000, err))
		return -1;
	vec_each(t, &r->tasks)
		if (t->r && release_task(t, model_task(&r->m, t->t.pid), err))
			return -1;
	return ve_freeze(&r->run, 10000, err) || fault_point("restore-sealed", err) ? -1 : 0;
}
