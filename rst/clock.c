// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VE's clocks go on from where it stood still. Its time namespace was made with its init, by what the
 * first record said; how long the rounds took since was not known then. So all tasks move into a second time
 * namespace that is right (each has one thread yet, which is what time_namespaces(7) asks for), before any
 * timer of theirs is set.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel/ns.h"
#include "rst/rst.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int64_t rst_clock_passed_ns(const struct rst *r, int32_t clock)
{
	bool is_boottime = clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM;
	bool is_of_cpu = clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
	const struct ve_obj *ve = r->m.ve.nr ? r->m.ve.at : NULL;

	if (!ve || is_of_cpu)
		return 0;
	return is_boottime ? clock_ns(CLOCK_BOOTTIME) + r->run.boottime_offset_ns - ve->boottime_ns
			   : clock_ns(CLOCK_MONOTONIC) + r->run.monotonic_offset_ns - ve->monotonic_ns;
}

/* The child makes the namespace, says so through the pipe, and waits for its end. */
static void make_in_child(int userns_fd, const struct ns_offsets *offsets, int said)
{
	struct err err = ERR_INIT;
	char failed = ns_enter_user(userns_fd, offsets, &err) ? 1 : 0;

	if (write(said, &failed, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int open_of_child(pid_t child, int said, int *ret_fd, struct err *err)
{
	char path[48], failed = 1;

	if (read(said, &failed, 1) != 1 || failed)
		return err_set(err, ERR_RESTORE, "the VE's second time namespace cannot be made");
	snprintf(path, sizeof(path), "/proc/%d/ns/time_for_children", child);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, "%s", path) : 0;
}

static int make_namespace(int userns_fd, const struct ns_offsets *offsets, int *ret_fd, struct err *err)
{
	int said[2], ret;
	pid_t child;

	if (pipe2(said, O_CLOEXEC))
		return err_sys(err, "pipe");
	child = fork();
	if (child == 0)
		make_in_child(userns_fd, offsets, said[1]);
	close(said[1]);
	ret = child < 0 ? err_sys(err, "fork") : open_of_child(child, said[0], ret_fd, err);
	close(said[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return ret;
}

static int move_task(struct rst_task *t, int ns_fd, struct err *err)
{
	struct remote_batch *b;
	int there, ret;

	if (remote_send_fds(t->r, &ns_fd, 1, &there, err))
		return -1;
	b = remote_batch_new();
	remote_call(b, "setns of the time namespace", 0, SYS_setns, ra_num(there), ra_num(CLONE_NEWTIME));
	remote_call(b, "close", 0, SYS_close, ra_num(there));
	ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	return ret;
}

/* Ahead by no more than nobody notices; never behind. */
static bool near(int64_t right_ns, int64_t now_ns)
{
	return now_ns >= right_ns && now_ns - right_ns < 2000000;
}

int rst_clock_restore(struct rst *r, struct err *err)
{
	const struct ve_obj *ve = &r->m.ve.at[0];
	struct ns_offsets right = {
		.monotonic_ns = ve->monotonic_ns - clock_ns(CLOCK_MONOTONIC),
		.boottime_ns = ve->boottime_ns - clock_ns(CLOCK_BOOTTIME),
	};
	_fd_ int ns = -1;

	if (near(right.monotonic_ns, r->run.monotonic_offset_ns) &&
	    near(right.boottime_ns, r->run.boottime_offset_ns))
		return 0;
	if (make_namespace(r->run.userns_fd, &right, &ns, err))
		return -1;
	vec_each(t, &r->tasks)
		if (t->r && move_task(t, ns, err))
			return err_ctx(err, "task %u", t->t.pid);
	r->run.monotonic_offset_ns = right.monotonic_ns;
	r->run.boottime_offset_ns = right.boottime_ns;
	return 0;
}
