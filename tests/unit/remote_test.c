// SPDX-License-Identifier: GPL-2.0-only
/* Living tasks in our hands: what they must not notice, and which are refused. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "tests/unit/remote_victim.h"

/* --- what the task must not notice --- */

static void look_at_registers(struct shared *s)
{
	struct reg_file in, out;

	reg_file_fill(&in, 42);
	memset(&out, 0, sizeof(out));
	atomic_store(&s->ready, 1);
	spin_with_registers(&in, &out, &s->go);
	_exit(memcmp(&in, &out, sizeof(in)) != 0);
}

Test(remote, registers_stay)
{
	for (int visits = 0; visits < 3; visits++) {
		struct shared *s = shared_new();
		pid_t pid = victim(look_at_registers, s);
		struct remote *r;

		wait_ready(s);
		r = seize_one(pid);
		for (int i = 0; i < visits; i++)
			visit(r);
		ok(remote_release(r, &why));
		atomic_store(&s->go, 1);
		assert_exit(pid, 0);
	}
}

static void block_and_sit(struct shared *s)
{
	sigset_t set;

	sigfillset(&set);
	if (s->value[0])
		sigdelset(&set, s->value[0]);
	sigprocmask(SIG_SETMASK, &set, NULL);
	raise(SIGUSR1);
	raise(SIGSTKFLT);
	kill(getpid(), SIGURG);
	atomic_store(&s->ready, 1);
	while (!atomic_load(&s->go))
		usleep(1000);
}

/* All signals blocked is the case in which no harmless one is left to stop with. */
Test(remote, mask_and_pending_signals_stay)
{
	static const char *const fields[] = {"SigBlk:", "SigPnd:", "ShdPnd:", "SigIgn:", "SigCgt:"};
	static const int unblocked[] = {0, SIGWINCH, SIGCHLD, SIGUSR2};

	for (size_t i = 0; i < ARRAY_LEN(unblocked); i++) {
		struct shared *s = shared_new();
		char before[5][64], after[64];
		struct remote *r;
		pid_t pid;

		s->value[0] = unblocked[i];
		pid = victim(block_and_sit, s);
		wait_ready(s);
		for (size_t k = 0; k < ARRAY_LEN(fields); k++)
			status_field(pid, fields[k], before[k]);
		r = seize_one(pid);
		cr_assert_eq(remote_sigmask(r), strtoull(before[0], NULL, 16));
		for (int k = 0; k < 3; k++)
			visit(r);
		status_field(pid, "SigIgn:", after);
		cr_assert_str_eq(after, before[3]);
		ok(remote_release(r, &why));
		for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
			status_field(pid, fields[k], after);
			cr_assert_str_eq(after, before[k], "%s of case %zu", fields[k], i);
		}
		atomic_store(&s->go, 1);
		assert_exit(pid, 0);
	}
}

/* value[0]: what the call returned, value[1]: errno, ns[0]: how long it took */
static void timed(struct shared *s, int64_t started_ns, int64_t result)
{
	s->value[1] = errno;
	s->value[0] = result;
	s->ns[0] = io_now_ns() - started_ns;
}

static void do_nanosleep(struct shared *s)
{
	struct timespec ts = {1, 0};
	int64_t started_ns = io_now_ns();

	atomic_store(&s->ready, 1);
	timed(s, started_ns, nanosleep(&ts, NULL));
}

static void do_futex(struct shared *s)
{
	struct timespec ts = {1, 0};
	int64_t started_ns = io_now_ns();
	int word = 0;

	atomic_store(&s->ready, 1);
	timed(s, started_ns, syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0));
}

static void do_select(struct shared *s)
{
	struct timeval tv = {1, 0};
	int64_t started_ns = io_now_ns();

	atomic_store(&s->ready, 1);
	timed(s, started_ns, select(0, NULL, NULL, NULL, &tv));
}

/* Held twice, late: a sleep that began anew would last for 1.6 s and more. */
static void sleeps_on(void (*body)(struct shared *), int result, int errno_)
{
	struct shared *s = shared_new();
	pid_t pid = victim(body, s);

	wait_ready(s);
	sleep_ms(600);
	for (int i = 0; i < 2; i++) {
		struct remote *r = seize_one(pid);

		visit(r);
		sleep_ms(50);
		visit(r);
		ok(remote_release(r, &why));
	}
	assert_exit(pid, 0);
	cr_assert_eq(s->value[0], result);
	if (result < 0)
		cr_assert_eq(s->value[1], errno_);
	cr_assert(s->ns[0] > 995000000 && s->ns[0] < 1550000000, "slept %ld us", (long)s->ns[0] / 1000);
}

Test(remote, nanosleep_sleeps_on)
{
	sleeps_on(do_nanosleep, 0, 0);
}

Test(remote, futex_waits_on)
{
	sleeps_on(do_futex, -1, ETIMEDOUT);
}

/* the kernel keeps only the time that was left when it was interrupted */
Test(remote, select_waits_on)
{
	sleeps_on(do_select, 0, 0);
}

static int pipe_fds[2];

static void do_read(struct shared *s)
{
	char byte = 0;

	atomic_store(&s->ready, 1);
	_exit(read(pipe_fds[0], &byte, 1) == 1 && byte == 'x' ? 7 : 1);
}

Test(remote, read_reads_on)
{
	struct shared *s = shared_new();
	struct remote *r;
	pid_t pid;

	cr_assert_eq(pipe(pipe_fds), 0);
	pid = victim(do_read, s);
	wait_ready(s);
	r = seize_one(pid);
	visit(r);
	ok(remote_release(r, &why));
	sleep_ms(20);
	cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
	assert_exit(pid, 7);
}

static atomic_int handled;

static void handler(int sig)
{
	atomic_fetch_add(&handled, 1);
}

static void do_pause(struct shared *s)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = s->value[2] ? SA_RESTART : 0};

	for (int sig = 1; sig < 32; sig++)
		sigaction(sig, &sa, NULL);
	atomic_store(&s->ready, 1);
	_exit(pause() == -1 && errno == EINTR && atomic_load(&handled) == 1 ? 5 : 1);
}

Test(remote, signal_that_comes_meanwhile_ends_a_pause)
{
	for (int restart = 0; restart < 2; restart++) {
		struct shared *s = shared_new();
		struct remote *r;
		pid_t pid;

		s->value[2] = restart;
		pid = victim(do_pause, s);
		wait_ready(s);
		r = seize_one(pid);
		visit(r);
		kill(pid, SIGUSR1);
		visit(r);
		ok(remote_release(r, &why));
		assert_exit(pid, 5);
	}
}

static void do_sigsuspend(struct shared *s)
{
	struct sigaction sa = {.sa_handler = handler};
	sigset_t usr1, none, now;

	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	atomic_store(&s->ready, 1);
	if (sigsuspend(&none) != -1 || errno != EINTR || atomic_load(&handled) != 1)
		_exit(1);
	sigprocmask(SIG_SETMASK, NULL, &now);
	_exit(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2) ? 5 : 2);
}

Test(remote, sigsuspend_keeps_its_masks)
{
	for (int meanwhile = 0; meanwhile < 2; meanwhile++) {
		struct shared *s = shared_new();
		pid_t pid = victim(do_sigsuspend, s);
		struct remote *r;

		wait_ready(s);
		r = seize_one(pid);
		visit(r);
		if (meanwhile)
			kill(pid, SIGUSR1);
		visit(r);
		ok(remote_release(r, &why));
		sleep_ms(20);
		if (!meanwhile)
			kill(pid, SIGUSR1);
		assert_exit(pid, 5);
	}
}

static char state_of(pid_t pid)
{
	char state[64];

	status_field(pid, "State:\t", state);
	return state[0];
}

Test(remote, stopped_task_stays_stopped)
{
	struct shared *s = shared_new();
	pid_t pid = victim(do_nanosleep, s);
	struct remote *r;

	wait_ready(s);
	kill(pid, SIGSTOP);
	sleep_ms(20);
	for (int i = 0; i < 2; i++) {
		r = seize_one(pid);
		cr_assert_eq(remote_group_stop(r), SIGSTOP);
		visit(r);
		ok(remote_release(r, &why));
		sleep_ms(20);
		cr_assert_eq(state_of(pid), 'T');
	}
	kill(pid, SIGCONT);
	assert_exit(pid, 0);
	cr_assert_eq(s->value[0], 0);
}

Test(remote, stop_and_continue_take_effect_meanwhile)
{
	struct shared *s = shared_new();
	pid_t pid = victim(sit, s);
	struct remote *r;

	wait_ready(s);
	r = seize_one(pid);
	cr_assert_eq(remote_group_stop(r), 0);
	visit(r);
	kill(pid, SIGSTOP);
	visit(r);
	visit(r);
	ok(remote_release(r, &why));
	sleep_ms(20);
	cr_assert_eq(state_of(pid), 'T');
	r = seize_one(pid);
	visit(r);
	kill(pid, SIGCONT);
	visit(r);
	ok(remote_release(r, &why));
	sleep_ms(20);
	cr_assert_eq(state_of(pid), 'S');
	kill_it(pid);
}

/* --- confined tasks --- */

static void unmap_vdso(struct shared *s)
{
	_file_ FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];

	while (fgets(line, sizeof(line), f))
		if ((strstr(line, "[vdso]") || strstr(line, "[vvar")) &&
		    sscanf(line, "%lx-%lx", &start, &end) == 2 && munmap((void *)start, end - start))
			_exit(1);
	do_read(s);
}

Test(remote, a_task_without_a_vdso_will_do)
{
	struct shared *s = shared_new();
	struct remote *r;
	pid_t pid;

	cr_assert_eq(pipe(pipe_fds), 0);
	pid = victim(unmap_vdso, s);
	wait_ready(s);
	for (int i = 0; i < 2; i++) {
		r = seize_one(pid);
		visit(r);
		ok(remote_release(r, &why));
	}
	cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
	assert_exit(pid, 7);
}

static void confine(struct shared *s)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog filter = {ARRAY_LEN(code), code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		_exit(1);
	do_read(s);
}

Test(remote, seccomp_does_not_see_our_calls)
{
	struct shared *s = shared_new();
	struct remote *r;
	pid_t pid;

	cr_assert_eq(pipe(pipe_fds), 0);
	pid = victim(confine, s);
	wait_ready(s);
	r = seize_one(pid);
	visit(r);
	visit(r);
	ok(remote_release(r, &why));
	cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
	assert_exit(pid, 7);
}

/* --- refusals --- */

/* An ELF file of 32-bit code that spins. */
static const uint8_t elf32[] = {
	0x7f, 'E', 'L',	 'F',  1, 1, 1,	   0, 0, 0, 0, 0, 0, 0, 0, 0,	 2, 0,	  3,	0,    1,    0,
	0,    0,   0x54, 0x80, 4, 8, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0,	 0, 0,	  0x34, 0,    0x20, 0,
	1,    0,   0,	 0,    0, 0, 0,	   0, 1, 0, 0, 0, 0, 0, 0, 0,	 0, 0x80, 4,	8,    0,    0x80,
	4,    8,   0x58, 0,    0, 0, 0x58, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,	  0xf3, 0x90, 0xeb, 0xfc};

static void become_32bit(struct shared *s)
{
	int fd = memfd_create("elf32", 0);
	char *const none[] = {NULL};

	if (write(fd, elf32, sizeof(elf32)) == sizeof(elf32)) {
		atomic_store(&s->ready, 1);
		fexecve(fd, none, none);
	}
	_exit(77);
}

Test(remote, programs_of_32_bits_are_refused)
{
	struct shared *s = shared_new();
	pid_t pid = victim(become_32bit, s);
	struct err err = {0};
	struct remote *r;
	char text[64];

	wait_ready(s);
	if (waitpid(pid, NULL, WNOHANG) == pid)
		cr_skip_test("no 32-bit programs on this kernel");
	cr_assert_eq(remote_seize(&pid, 1, REMOTE_LIVING, &r, &err), -1);
	snprintf(text, sizeof(text), "task %d is a 32-bit program", pid);
	cr_assert_str_eq(err.msg, text);
	status_field(pid, "TracerPid:\t", text);
	cr_assert_eq(atoi(text), 0);
	kill_it(pid);
}

static void trace(struct shared *s)
{
	pid_t pid = s->value[0];
	struct remote *r;
	struct err err;

	if (remote_seize(&pid, 1, REMOTE_LIVING, &r, &err) == 0)
		atomic_store(&s->done, 1);
	for (;;)
		pause();
}

Test(remote, traced_tasks_are_refused)
{
	struct shared *s = shared_new();
	struct err err = {0};
	struct remote *r;
	pid_t by;
	char text[64];

	s->value[0] = victim(sit, s);
	wait_ready(s);
	by = victim(trace, s);
	while (!atomic_load(&s->done))
		sched_yield();
	cr_assert_eq(remote_seize(&(pid_t){s->value[0]}, 1, REMOTE_LIVING, &r, &err), -1);
	snprintf(text, sizeof(text), "task %ld is being traced by process %d", (long)s->value[0], by);
	cr_assert_str_eq(err.msg, text);
	kill_it(by);
	kill_it(s->value[0]);
}

/* --- frozen cgroups --- */

static char frozen_group[128];

static void put_file(const char *name, const char *text)
{
	_free_ char *path = mem_printf("%s/%s", frozen_group, name);
	struct err why = {0};

	cr_assert_eq(io_write_file(AT_FDCWD, path, text, &why), 0, "%s", why.msg);
}

static void make_group(void)
{
	static const char *const mounts[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};

	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		_free_ char *path = mem_printf("%s/cgroup.procs", mounts[i]);

		if (access(path, W_OK) < 0)
			continue;
		snprintf(frozen_group, sizeof(frozen_group), "%s/verst-unit-%d", mounts[i], getpid());
		cr_assert_eq(mkdir(frozen_group, 0755), 0);
		return;
	}
	cr_skip_test("no cgroup v2");
}

/* The way of a dump: frozen, seized, thawed, asked, and let go. */
Test(remote, frozen_tasks_are_taken_and_sleep_on)
{
	struct shared *s = shared_new();
	struct remote *r;
	char text[16];
	pid_t pid;

	make_group();
	pid = victim(do_nanosleep, s);
	snprintf(text, sizeof(text), "%d", pid);
	put_file("cgroup.procs", text);
	wait_ready(s);
	for (int i = 0; i < 3; i++) {
		put_file("cgroup.freeze", "1");
		sleep_ms(10);
		r = seize_one(pid);
		put_file("cgroup.freeze", "0");
		visit(r);
		ok(remote_release(r, &why));
	}
	assert_exit(pid, 0);
	cr_assert_eq(s->value[0], 0);
	cr_assert(s->ns[0] > 995000000 && s->ns[0] < 1550000000, "slept %ld us", (long)s->ns[0] / 1000);
	cr_assert_eq(rmdir(frozen_group), 0);
}
