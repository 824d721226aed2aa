// SPDX-License-Identifier: GPL-2.0-only
/* Resuming a thread and waiting for what it does. Nothing here forces a SIGTRAP: that would reset its action.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "remote/internal.h"

static struct stop stop_of(pid_t tid, const siginfo_t *info)
{
	int sig = info->si_status & 0xff;
	unsigned long pid = 0;

	if (info->si_code != CLD_TRAPPED)
		return (struct stop){STOP_GONE, info->si_code == CLD_EXITED ? 0 : sig, 0};
	switch (info->si_status >> 8) {
	case 0:
		if (sig == (SIGTRAP | 0x80)) /* PTRACE_O_TRACESYSGOOD */
			return (struct stop){STOP_CALL, 0, 0};
		return (struct stop){STOP_SIGNAL, sig, 0};
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		ptrace(PTRACE_GETEVENTMSG, tid, 0, &pid);
		return (struct stop){STOP_CHILD, 0, pid};
	default:
		return (struct stop){STOP_EVENT, sig, 0};
	}
}

/*
 * Looks at a stop without taking it (WNOWAIT): when a tracer dies that has taken a signal stop, the kernel
 * drops the signal; one that was not taken is delivered (ptrace_stop and wait_task_stopped of the kernel, by
 * way of the thread's exit_code).
 */
int stop_look(pid_t tid, int flags, struct stop *ret)
{
	siginfo_t info = {0};

	while (waitid(P_PID, tid, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL | flags) < 0)
		if (errno != EINTR) {
			*ret = (struct stop){STOP_GONE, 0, 0};
			return 1;
		}
	if (!info.si_pid)
		return 0;
	*ret = stop_of(tid, &info);
	if (ret->kind == STOP_GONE)
		waitpid(tid, NULL, __WALL | WNOHANG);
	return 1;
}

static int gone(struct remote *r, int sig, struct err *err)
{
	r->gone = true;
	if (sig)
		return err_set(err, ERR_SYSTEM, "task %d was killed by signal %d", r->tid, sig);
	return err_set(err, ERR_SYSTEM, "task %d has ended", r->tid);
}

int stop_wait(struct remote *r, struct stop *ret, struct err *err)
{
	struct stop stop;

	stop_look(r->tid, 0, &stop);
	if (stop.kind == STOP_GONE)
		return gone(r, stop.sig, err);
	*ret = stop;
	return 0;
}

int stop_resume(struct remote *r, int request, int sig, struct err *err)
{
	struct stop stop;

	if (ptrace(request, r->tid, 0, (long)sig) == 0)
		return 0;
	if (errno == ESRCH) /* killed meanwhile: take its end */
		return stop_wait(r, &stop, err) < 0 ? -1 : gone(r, 0, err);
	return err_sys(err, "resuming task %d", r->tid);
}

int stop_explain(struct remote *r, struct err *err)
{
	struct stop stop;

	if (!r->gone && stop_look(r->tid, WNOHANG, &stop) && stop.kind == STOP_GONE)
		return gone(r, stop.sig, err);
	return -1;
}

int stop_sigmask(struct remote *r, uint64_t mask, struct err *err)
{
	if (ptrace(PTRACE_SETSIGMASK, r->tid, sizeof(mask), &mask) < 0)
		return err_sys(err, "signal mask of task %d", r->tid);
	return 0;
}

/* Waits for a stop of that kind, and lets the thread run on from others as if we were not here. */
static int wait_for(struct remote *r, enum stop_kind kind, int request, struct err *err)
{
	struct stop stop;

	for (;;) {
		if (stop_wait(r, &stop, err) < 0)
			return -1;
		if (stop.kind == kind)
			return 0;
		if (stop_resume(r, request, stop.kind == STOP_SIGNAL ? stop.sig : 0, err) < 0)
			return -1;
	}
}

/*
 * A signal that is harmless even if the task has a handler for it (they only tell to look at something) and
 * that nobody waits for here, since it is not blocked; 0: there is none.
 */
static int harmless_signal(uint64_t sigmask)
{
	static const int harmless[] = {SIGURG, SIGWINCH, SIGCHLD};

	for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
		if (!(sigmask >> (harmless[i] - 1) & 1))
			return harmless[i];
	return 0;
}

static int put_bridge(struct remote *r, struct stop_way *ret, struct err *err)
{
	struct arch_bridge bridge;
	struct stop_way way = {harmless_signal(r->sigmask), 0};

	arch_bridge_make(r->tid, r->own, r->sigmask, way.stop_signal, r->mm->bridge, &bridge);
	way.stop_ip = bridge.stop_ip;
	if (area_mem_fd(r, err) < 0)
		return -1;
	if (pwrite(r->mm->mem_fd, bridge.code, bridge.len_bytes, r->mm->bridge) != (ssize_t)bridge.len_bytes)
		return err_sys(err, "writing to the vdso of task %d", r->tid);
	*ret = way;
	return 0;
}

/*
 * The order matters: if we die between any two steps, what the thread then does must lead it home. So the
 * bridge is there before it is jumped to, and signals are blocked only when the bridge will unblock them.
 */
int stop_call_start(struct remote *r, long nr, const uint64_t arg[6], struct stop_way *ret_way,
		    struct err *err)
{
	bool bridged = r->kind == REMOTE_LIVING && r->mm->bridge;
	_free_ struct arch_regs *regs = NULL;
	struct stop_way way = {0};

	if (!r->away)
		arch_regs_leave_rseq(r->tid, r->own);
	if (bridged && put_bridge(r, &way, err) < 0)
		return -1;
	regs = mem_dup(r->own, arch_regs_bytes());
	arch_regs_prepare_call(regs, bridged ? r->mm->bridge : r->mm->call_ip, nr, arg);
	r->in_loop = false;
	if (arch_regs_set(r->tid, regs, err) < 0)
		return -1;
	r->away = true;
	if (stop_sigmask(r, ~(way.stop_signal ? 1ULL << (way.stop_signal - 1) : 0), err) < 0)
		return -1;
	*ret_way = way;
	return stop_resume(r, way.stop_signal ? PTRACE_CONT : PTRACE_SYSCALL, 0, err);
}

/* Up to the bridge's own signal; others of the same number, that came from elsewhere, take their course. */
static int end_by_signal(struct remote *r, const struct stop_way *way, int64_t *ret_result, struct err *err)
{
	_free_ struct arch_regs *regs = mem_alloc(arch_regs_bytes());
	struct stop stop;

	for (;;) {
		if (stop_wait(r, &stop, err) < 0 || arch_regs_get(r->tid, regs, err) < 0)
			return -1;
		if (stop.kind == STOP_SIGNAL && stop.sig == way->stop_signal &&
		    arch_regs_ip(regs) == way->stop_ip)
			break;
		if (stop_resume(r, PTRACE_CONT, stop.kind == STOP_SIGNAL ? stop.sig : 0, err) < 0)
			return -1;
	}
	waitpid(r->tid, NULL, __WALL | WNOHANG); /* taken: if we die now it is dropped, not delivered */
	*ret_result = arch_bridge_result(regs);
	return 0;
}

/*
 * The call is caught where it begins, and interrupted: that takes effect when it returns. Calls that are made
 * in this way do not sleep for anything it could cut short.
 */
static int run_next_call(struct remote *r, struct err *err)
{
	if (wait_for(r, STOP_CALL, PTRACE_SYSCALL, err) < 0)
		return -1;
	if (ptrace(PTRACE_INTERRUPT, r->tid, 0, 0) < 0)
		return err_sys(err, "interrupting task %d", r->tid);
	if (stop_resume(r, PTRACE_CONT, 0, err) < 0)
		return -1;
	return wait_for(r, STOP_EVENT, PTRACE_CONT, err);
}

int stop_call_end(struct remote *r, const struct stop_way *way, int64_t *ret_result, struct err *err)
{
	_free_ struct arch_regs *regs = NULL;

	if (way->stop_signal)
		return end_by_signal(r, way, ret_result, err);
	regs = mem_alloc(arch_regs_bytes());
	if (run_next_call(r, err) < 0 || arch_regs_get(r->tid, regs, err) < 0)
		return -1;
	*ret_result = arch_regs_result(regs);
	return 0;
}

int stop_call(struct remote *r, long nr, const uint64_t arg[6], int64_t *ret_result, struct err *err)
{
	struct stop_way way;

	if (stop_call_start(r, nr, arg, &way, err) < 0)
		return -1;
	return stop_call_end(r, &way, ret_result, err);
}

/* BLOB_ENDED_IGNORING */
int stop_park(struct remote *r, struct err *err)
{
	if (stop_resume(r, PTRACE_SYSCALL, 0, err) < 0)
		return -1;
	return run_next_call(r, err);
}

int stop_home(struct remote *r, struct err *err)
{
	if (!r->away)
		return 0;
	if (stop_sigmask(r, r->sigmask, err) < 0 || arch_regs_set(r->tid, r->own, err) < 0)
		return -1;
	r->away = r->in_loop = false;
	return 0;
}
