// SPDX-License-Identifier: GPL-2.0-only
/* Whoever holds living tasks may be killed at any moment: they go on as if nothing had been. */
#include <linux/futex.h>
#include <pthread.h>

#include "tests/unit/remote_victim.h"

static struct shared *shared_by_all;
static bool one_process; /* what is visited are threads of one */

static pid_t tracer(void (*body)(pid_t *, size_t), pid_t *pids, size_t nr)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(pids, nr);
		_exit(0);
	}
	return pid;
}

/* Writes to a pipe before and after a sleep. */
static int trace_fds[2];

static void long_batch(pid_t *pids, size_t nr)
{
	struct remote_batch *b = remote_batch_new();
	const struct timespec ts = {0, 200000000};
	struct remote *r;
	struct err err;
	size_t data = remote_batch_data(b, "1", 1), pause = remote_batch_data(b, &ts, sizeof(ts));

	remote_call(b, "write", 0, SYS_write, ra_num(trace_fds[1]), ra_data(data), ra_num(1));
	remote_call(b, "nanosleep", 0, SYS_nanosleep, ra_data(pause), ra_num(0));
	remote_call(b, "write", 0, SYS_write, ra_num(trace_fds[1]), ra_data(data), ra_num(1));
	if (remote_seize(pids, nr, REMOTE_LIVING, &r, &err) == 0 && remote_batch_run(r, b, &err) == 0)
		_exit(0);
}

static void die_in_long_batch(pid_t victim_pid, int signal_meanwhile)
{
	pid_t by;
	char byte;

	by = tracer(long_batch, &victim_pid, 1);
	cr_assert_eq(read(trace_fds[0], &byte, 1), 1);
	sleep_ms(50);
	kill_it(by);
	if (signal_meanwhile)
		kill(victim_pid, signal_meanwhile);
	cr_assert_eq(read(trace_fds[0], &byte, 1), 1, "the batch was not finished");
	sleep_ms(20);
}

static void look_at_registers(struct shared *s)
{
	struct reg_file in, out;
	struct sigaction sa = {.sa_handler = SIG_IGN};

	if (s->value[3]) /* no harmless signal is left */
		for (int sig = 1; sig < 32; sig++)
			sigaction(sig, &sa, NULL);
	if (s->value[3] == 2) {
		sigset_t all;

		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
	}
	reg_file_fill(&in, 42);
	memset(&out, 0, sizeof(out));
	atomic_store(&s->ready, 1);
	spin_with_registers(&in, &out, &s->go);
	_exit(memcmp(&in, &out, sizeof(in)) != 0);
}

Test(remote_kill, registers_survive_a_killed_tracer)
{
	static const char *const fields[] = {"SigBlk:", "SigPnd:", "ShdPnd:", "SigIgn:", "SigCgt:"};

	for (int signals = 0; signals < 3; signals++) {
		struct shared *s = shared_new();
		char before[5][64], after[64];
		pid_t pid;

		cr_assert_eq(pipe(trace_fds), 0);
		s->value[3] = signals;
		pid = victim(look_at_registers, s);
		wait_ready(s);
		for (size_t k = 0; k < ARRAY_LEN(fields); k++)
			status_field(pid, fields[k], before[k]);
		die_in_long_batch(pid, 0);
		for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
			status_field(pid, fields[k], after);
			cr_assert_str_eq(after, before[k]);
		}
		atomic_store(&s->go, 1);
		assert_exit(pid, 0);
	}
}

static void look_at_wide_registers(struct shared *s)
{
	struct wide_file in = {0}, out = {0};
	bool tiles = s->value[4];
	uint8_t *p = (uint8_t *)&in;

	if (!wide_registers_work(tiles))
		_exit(77);
	for (size_t i = 0; i < (tiles ? sizeof(in) : offsetof(struct wide_file, tile)); i++)
		p[i] = i * 7 + i / 251;
	in.mask[0] = 0; /* of no use as a mask */
	atomic_store(&s->ready, 1);
	spin_with_wide_registers(&in, &out, &s->go, tiles);
	_exit(memcmp(&in, &out, sizeof(in)) != 0);
}

Test(remote_kill, wide_registers_survive_a_killed_tracer)
{
	int nr = 0;

	for (int tiles = 0; tiles < 2; tiles++) {
		struct shared *s = shared_new();
		int status;
		pid_t pid;

		cr_assert_eq(pipe(trace_fds), 0);
		s->value[4] = tiles;
		pid = victim(look_at_wide_registers, s);
		sleep_ms(50);
		if (waitpid(pid, &status, WNOHANG) == pid) {
			cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 77);
			continue;
		}
		die_in_long_batch(pid, 0);
		atomic_store(&s->go, 1);
		assert_exit(pid, 0);
		nr++;
	}
	cr_log_info("%s", nr == 2 ? "AVX-512 and AMX" : nr ? "AVX-512" : "none on this CPU");
}

static void do_nanosleep(struct shared *s)
{
	struct timespec ts = {0, 300000000};
	int64_t started_ns = io_now_ns();

	atomic_store(&s->ready, 1);
	s->value[0] = nanosleep(&ts, NULL);
	s->ns[0] = io_now_ns() - started_ns;
}

Test(remote_kill, sleep_starts_again)
{
	struct shared *s = shared_new();
	pid_t pid;

	cr_assert_eq(pipe(trace_fds), 0);
	pid = victim(do_nanosleep, s);
	wait_ready(s);
	die_in_long_batch(pid, 0);
	assert_exit(pid, 0);
	cr_assert_eq(s->value[0], 0);
	cr_assert(s->ns[0] > 500000000, "slept %ld us", (long)s->ns[0] / 1000);
}

static atomic_int handled;

static void handler(int sig)
{
	atomic_fetch_add(&handled, 1);
}

static void do_pause(struct shared *s)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

	for (int sig = 1; sig < 32; sig++)
		sigaction(sig, &sa, NULL);
	atomic_store(&s->ready, 1);
	if (pause() != -1 || errno != EINTR || atomic_load(&handled) != 1)
		_exit(1);
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP &&
		    (sigaction(sig, NULL, &sa) < 0 || sa.sa_handler != handler ||
		     !(sa.sa_flags & SA_RESTART)))
			_exit(2);
	_exit(5);
}

Test(remote_kill, signal_that_comes_meanwhile_ends_a_pause)
{
	struct shared *s = shared_new();
	pid_t pid;

	cr_assert_eq(pipe(trace_fds), 0);
	pid = victim(do_pause, s);
	wait_ready(s);
	die_in_long_batch(pid, SIGUSR1);
	assert_exit(pid, 5);
}

/* --- at any moment --- */

#define MOST 16

static void visit_for_ever(pid_t *pids, size_t nr)
{
	struct remote_batch *b = remote_batch_new();
	struct remote *r[MOST];
	struct err err;

	for (int i = 0; i < 20; i++)
		remote_call(b, "getppid", 0, SYS_getppid, ra_num(0));
	atomic_store(&shared_by_all->ready, 1);
	for (;;) {
		if (remote_seize(pids, nr, REMOTE_LIVING, r, &err) < 0)
			_exit(1);
		for (size_t i = 1; i < nr && one_process; i++)
			remote_mark_group_leader(r[i], r[0]);
		for (size_t i = 0; i < nr; i++)
			if (remote_batch_run(r[i], b, &err) < 0 || remote_batch_run(r[i], b, &err) < 0)
				_exit(2);
		if (remote_release_all(r, nr, &err) < 0)
			_exit(3);
		atomic_fetch_add(&shared_by_all->done, 1);
	}
}

static pid_t visitor(pid_t *pids, size_t nr)
{
	pid_t pid;

	atomic_store(&shared_by_all->ready, 0);
	pid = tracer(visit_for_ever, pids, nr);
	while (!atomic_load(&shared_by_all->ready)) /* how long a fork takes is not asked here */
		sched_yield();
	return pid;
}

/* Visits that are cut short, each after a random time. */
static void be_killed(pid_t *pids, size_t nr, int times, bool (*all_well)(void *), void *arg)
{
	unsigned seed = 1;
	int64_t visit_ns;
	pid_t by;

	shared_by_all = shared_new();
	by = visitor(pids, nr);
	visit_ns = io_now_ns();
	while (atomic_load(&shared_by_all->done) < 10)
		usleep(100);
	visit_ns = (io_now_ns() - visit_ns) / 10;
	kill_it(by);
	for (int n = 0; n < times; n++) {
		int64_t live_ns = rand_r(&seed) % (3 * visit_ns);
		struct timespec ts = {live_ns / 1000000000, live_ns % 1000000000};

		by = visitor(pids, nr);
		nanosleep(&ts, NULL);
		kill_it(by);
		cr_assert(all_well(arg), "after %d", n);
	}
	cr_assert_gt(atomic_load(&shared_by_all->done), 20, "hardly anything was tried");
}

static void sleep_and_look(struct shared *s)
{
	struct timespec ts = {0, 500000};

	atomic_store(&s->ready, 1);
	while (!atomic_load(&s->go))
		if (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) != 0)
			_exit(1);
}

static void all_blocked(struct shared *s)
{
	sigset_t all, now;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	atomic_store(&s->ready, 1);
	while (!atomic_load(&s->go)) {
		sigprocmask(SIG_SETMASK, NULL, &now);
		if (!sigismember(&now, SIGUSR1) || !sigismember(&now, SIGSTKFLT))
			_exit(1);
	}
}

/* Counts in a handler: none may run too often, none may be lost. */
static void count_signals(struct shared *s)
{
	struct sigaction sa = {.sa_handler = handler};
	sigset_t mask;
	int sent = 0;

	for (int sig = 1; sig < 32; sig++)
		sigaction(sig, &sa, NULL);
	atomic_store(&s->ready, 1);
	while (!atomic_load(&s->go)) {
		sigprocmask(SIG_SETMASK, NULL, &mask);
		if (sigismember(&mask, SIGUSR1))
			_exit(1);
		raise(SIGUSR1);
		if (atomic_load(&handled) < ++sent)
			_exit(2);
	}
	_exit(0);
}

static void futex_with_timeout(struct shared *s)
{
	struct timespec ts = {0, 300000};
	int word = 0;

	atomic_store(&s->ready, 1);
	while (!atomic_load(&s->go))
		if (syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ts, NULL, 0) != -1 || errno != ETIMEDOUT)
			_exit(errno);
}

#define BODIES 5

static bool none_ended(void *arg)
{
	const pid_t *pids = arg;

	for (int i = 0; i < BODIES; i++) {
		int status;

		if (waitpid(pids[i], &status, WNOHANG) == 0)
			continue;
		cr_log_error("victim %d ended with %#x", i, status);
		return false;
	}
	return true;
}

Test(remote_kill, at_any_moment)
{
	static void (*const bodies[BODIES])(struct shared *) = {
		look_at_registers, sleep_and_look, all_blocked, count_signals, futex_with_timeout};
	struct shared *s[BODIES];
	pid_t pids[BODIES];

	for (int i = 0; i < BODIES; i++) {
		s[i] = shared_new();
		pids[i] = victim(bodies[i], s[i]);
		wait_ready(s[i]);
	}
	be_killed(pids, BODIES, 300, none_ended, pids);
	for (int i = 0; i < BODIES; i++) {
		atomic_store(&s[i]->go, 1);
		assert_exit(pids[i], 0);
	}
}

#define THREADS 6

static void *sleeping_thread(void *arg)
{
	struct shared *s = arg;
	struct timespec ts = {0, 400000};

	s->value[atomic_fetch_add(&s->ready, 1)] = gettid();
	while (!atomic_load(&s->go))
		if (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) != 0)
			_exit(1);
	return NULL;
}

static void *spinning_thread(void *arg)
{
	struct shared *s = arg;
	struct reg_file in, out;
	int me = atomic_fetch_add(&s->ready, 1);

	s->value[me] = gettid();
	reg_file_fill(&in, me);
	memset(&out, 0, sizeof(out));
	spin_with_registers(&in, &out, &s->go);
	if (memcmp(&in, &out, sizeof(in)))
		_exit(2);
	return NULL;
}

static void threads(struct shared *s)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, i % 3 ? sleeping_thread : spinning_thread, s);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	_exit(5);
}

static bool has_not_ended(void *arg)
{
	return waitpid(*(pid_t *)arg, NULL, WNOHANG) == 0;
}

Test(remote_kill, threads_at_any_moment)
{
	struct shared *s = shared_new();
	pid_t pids[THREADS + 1];

	one_process = true;
	pids[0] = victim(threads, s);
	while (atomic_load(&s->ready) < THREADS)
		sched_yield();
	sleep_ms(50);
	for (int i = 0; i < THREADS; i++)
		pids[i + 1] = s->value[i];
	be_killed(pids, THREADS + 1, 200, has_not_ended, pids);
	atomic_store(&s->go, 1);
	assert_exit(pids[0], 5);
}
