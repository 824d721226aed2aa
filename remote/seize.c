// SPDX-License-Identifier: GPL-2.0-only
/* Taking threads into our hands, and letting them go. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "remote/internal.h"

/* a task in an uninterruptible sleep, or that waits for its vfork child, does not stop */
#define STOP_TIMEOUT_MS	 3000
#define DEATH_TIMEOUT_MS 1000
#define POLL_NS		 20000

#define OPTIONS_ALL  PTRACE_O_TRACESYSGOOD
#define OPTIONS_BORN (PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)

/* A number of /proc/PID/status, or its state's letter; -1 if there is none. */
static int status_field(pid_t tid, const char *name)
{
	_free_ char *path = mem_printf("/proc/%d/status", tid);
	_file_ FILE *f = fopen(path, "re");
	size_t len = strlen(name);
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len))
			return line[len] <= '9' ? atoi(line + len) : line[len];
	return -1;
}

/* A task that ended meanwhile cannot be told from one that must not be traced by errno alone. */
static int seize_failed(pid_t tid, struct err *err)
{
	int saved = errno, state = status_field(tid, "State:\t"), tracer;

	if (saved == ESRCH || state == 'Z' || state == 'X' || state < 0)
		return 0;
	tracer = status_field(tid, "TracerPid:\t");
	if (tracer > 0)
		return err_set(err, ERR_OBSTACLES, "task %d is being traced by process %d", tid, tracer);
	errno = saved;
	return err_sys(err, "seizing task %d", tid);
}

static int seize(pid_t tid, enum remote_kind kind, struct remote **ret, struct err *err)
{
	long options = OPTIONS_ALL | (kind == REMOTE_BORN ? OPTIONS_BORN : 0);
	struct remote *r;

	/* needs CAP_SYS_ADMIN and CONFIG_CHECKPOINT_RESTORE, and is only for tasks with filters */
	if (ptrace(PTRACE_SEIZE, tid, 0, options | PTRACE_O_SUSPEND_SECCOMP) < 0 &&
	    ptrace(PTRACE_SEIZE, tid, 0, options) < 0)
		return seize_failed(tid, err);
	r = mem_new(struct remote);
	r->tid = tid;
	r->kind = kind;
	r->own = mem_alloc(arch_regs_bytes());
	r->mm = area_mm_new();
	*ret = r;
	if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 && errno != ESRCH)
		return err_sys(err, "interrupting task %d", tid);
	return 0;
}

static bool look_until(pid_t tid, int64_t deadline_ns, struct stop *ret)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};

	while (!stop_look(tid, WNOHANG, ret)) {
		if (io_now_ns() > deadline_ns)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Up to the stop that the interrupt makes; what comes before it (a signal being delivered) takes its course.
 */
static int wait_for_stop(struct remote *r, int64_t deadline_ns, struct err *err)
{
	struct stop stop;

	for (;;) {
		if (!look_until(r->tid, deadline_ns, &stop))
			return err_set(err, ERR_SYSTEM, "task %d does not stop within %d ms", r->tid,
				       STOP_TIMEOUT_MS);
		if (stop.kind == STOP_GONE) {
			r->gone = true;
			return 0;
		}
		if (stop.kind == STOP_EVENT)
			break;
		ptrace(PTRACE_INTERRUPT, r->tid, 0, 0); /* the first one may have been used up by this stop */
		ptrace(PTRACE_CONT, r->tid, 0, (long)stop.sig);
	}
	r->group_stop = stop.sig == SIGTRAP ? 0 : stop.sig;
	if (ptrace(PTRACE_GETSIGMASK, r->tid, sizeof(r->sigmask), &r->sigmask) < 0)
		return err_sys(err, "signal mask of task %d", r->tid);
	return arch_regs_get(r->tid, r->own, err);
}

/* A thread that another tracer's death left in our code is let go on until it is home. */
static int arrive(struct remote *r, struct err *err)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	int64_t deadline_ns = io_now_ns() + STOP_TIMEOUT_MS * 1000000LL;

	for (;;) {
		if (wait_for_stop(r, deadline_ns, err) < 0)
			return -1;
		if (r->gone || r->kind == REMOTE_BORN || !code_is_ours(r))
			return 0;
		if (io_now_ns() > deadline_ns)
			return err_set(err, ERR_SYSTEM, "task %d: an earlier visit does not end", r->tid);
		if (stop_resume(r, PTRACE_CONT, 0, err) < 0)
			return r->gone ? 0 : -1;
		nanosleep(&pause, NULL);
		ptrace(PTRACE_INTERRUPT, r->tid, 0, 0);
	}
}

static void drop(struct remote *r)
{
	area_mm_put(r->mm);
	remote_batch_free(r->single);
	free(r->own);
	free(r);
}

/*
 * Lets go. One that cannot be detached is being killed; its end must be taken, or its parent would never see
 * it. A leader's end comes after that of its threads, so they are waited for together.
 */
static void detach_all(struct remote **rs, size_t nr)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	int64_t deadline_ns = io_now_ns() + DEATH_TIMEOUT_MS * 1000000LL;
	size_t nr_dying = 0;
	struct stop stop;

	for (size_t i = 0; i < nr; i++) {
		if (!rs[i] || rs[i]->gone)
			continue;
		rs[i]->gone = ptrace(PTRACE_DETACH, rs[i]->tid, 0, 0) == 0;
		nr_dying += !rs[i]->gone;
	}
	while (nr_dying && io_now_ns() < deadline_ns) {
		for (size_t i = 0; i < nr; i++) {
			if (!rs[i] || rs[i]->gone || !stop_look(rs[i]->tid, WNOHANG, &stop))
				continue;
			rs[i]->gone = stop.kind == STOP_GONE;
			nr_dying -= rs[i]->gone;
		}
		if (nr_dying)
			nanosleep(&pause, NULL);
	}
}

static void let_all_go(struct remote **r, size_t nr)
{
	int64_t deadline_ns = io_now_ns() + STOP_TIMEOUT_MS * 1000000LL;
	struct stop stop;

	for (size_t i = 0; i < nr; i++) {
		if (!r[i])
			continue;
		if (look_until(r[i]->tid, deadline_ns, &stop) && stop.kind != STOP_GONE)
			ptrace(PTRACE_DETACH, r[i]->tid, 0, stop.kind == STOP_SIGNAL ? (long)stop.sig : 0);
		drop(r[i]);
		r[i] = NULL;
	}
}

static int seize_all(const pid_t *tids, size_t nr, enum remote_kind kind, struct remote **r, struct err *err)
{
	for (size_t i = 0; i < nr; i++)
		if (seize(tids[i], kind, &r[i], err) < 0)
			return -1;
	for (size_t i = 0; i < nr; i++) {
		if (!r[i])
			continue;
		if (arrive(r[i], err) < 0)
			return -1;
		if (r[i]->gone) {
			drop(r[i]);
			r[i] = NULL;
		}
	}
	return 0;
}

int remote_seize(const pid_t *tids, size_t nr, enum remote_kind kind, struct remote **ret, struct err *err)
{
	_free_ struct remote **r = mem_alloc(nr * sizeof(struct remote *));

	if (seize_all(tids, nr, kind, r, err) < 0) {
		let_all_go(r, nr);
		return -1;
	}
	memcpy(ret, r, nr * sizeof(struct remote *));
	return 0;
}

pid_t remote_tid(const struct remote *r)
{
	return r->tid;
}

int remote_group_stop(const struct remote *r)
{
	return r->group_stop;
}

uint64_t remote_sigmask(const struct remote *r)
{
	return r->sigmask;
}

void remote_set_sigmask(struct remote *r, uint64_t mask)
{
	r->sigmask = mask;
}

int remote_collect_regs(struct remote *r, struct regs_obj *ret, struct err *err)
{
	if (!r->away)
		arch_regs_leave_rseq(r->tid, r->own);
	return arch_thread_describe(r->tid, r->own, ret, err);
}

void remote_mark_group_leader(struct remote *r, struct remote *leader)
{
	if (r->mm == leader->mm)
		return;
	area_mm_put(r->mm);
	area_mm_share(r, leader->mm);
}

void remote_blob_range(const struct remote *r, uint64_t *ret_start, uint64_t *ret_end)
{
	*ret_start = r->mm->main.start;
	*ret_end = r->mm->main.end;
}

/* --- release --- */

static int unmap_start(struct remote *r, struct stop_way *ret_way, struct err *err)
{
	const struct remote_mm *mm = r->mm;
	int64_t ignored;

	vec_each(span, &mm->more) {
		const uint64_t arg[6] = {span->start, span->end - span->start};

		if (stop_call(r, SYS_munmap, arg, &ignored, err) < 0)
			return -1;
	}
	return stop_call_start(r, SYS_munmap,
			       (const uint64_t[6]){mm->main.start, mm->main.end - mm->main.start}, ret_way,
			       err);
}

/* The bridge is wiped out only when nothing leads over it any more. */
static int unmap_end(struct remote *r, const struct stop_way *way, struct err *err)
{
	static const uint8_t zeroes[ARCH_BRIDGE_MAX_BYTES];
	struct remote_mm *mm = r->mm;
	int64_t ignored;

	if (stop_call_end(r, way, &ignored, err) < 0 || stop_home(r, err) < 0)
		return -1;
	if (mm->bridge && pwrite(mm->mem_fd, zeroes, sizeof(zeroes), mm->bridge) < 0)
		return err_sys(err, "writing to the vdso of task %d", r->tid);
	return 0;
}

/* A dead task is no error; of the others the first error is reported, and all are let go anyway. */
static void note(struct remote *r, int failed, struct err *first, int *result, const struct err *now)
{
	if (!failed || r->gone || now->sys_errno == ESRCH || *result < 0)
		return;
	*first = *now;
	*result = -1;
}

int remote_release_all(struct remote **rs, size_t nr, struct err *err)
{
	_free_ bool *last = mem_alloc(nr * sizeof(bool));
	_free_ struct stop_way *way = mem_alloc(nr * sizeof(struct stop_way));
	struct err now;
	int result = 0;

	for (size_t i = 0; i < nr; i++)
		if (rs[i] && rs[i]->gone)
			area_leave(rs[i]);
	/* threads whose address space has others in our hands just go home */
	for (size_t i = 0; i < nr; i++) {
		struct remote *r = rs[i];

		if (!r || r->gone)
			continue;
		if (r->kind == REMOTE_BORN) {
			note(r, stop_sigmask(r, r->sigmask, &now), err, &result, &now);
			continue;
		}
		last[i] = area_leave(r) && r->mm->main.start;
		note(r, last[i] ? unmap_start(r, &way[i], &now) : stop_home(r, &now), err, &result, &now);
	}
	for (size_t i = 0; i < nr; i++)
		if (last[i] && !rs[i]->gone)
			note(rs[i], unmap_end(rs[i], &way[i], &now), err, &result, &now);
	detach_all(rs, nr);
	for (size_t i = 0; i < nr; i++) {
		if (rs[i])
			drop(rs[i]);
		rs[i] = NULL;
	}
	return result;
}

int remote_release(struct remote *r, struct err *err)
{
	return remote_release_all(&r, 1, err);
}

void remote_bury(struct remote *r)
{
	struct err ignored;
	int status;

	while (!r->gone) {
		pid_t pid = waitpid(r->tid, &status, __WALL);

		if (pid < 0 && errno == EINTR)
			continue;
		r->gone = pid < 0 || !WIFSTOPPED(status);
	}
	remote_release(r, &ignored);
}
