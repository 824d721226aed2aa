// SPDX-License-Identifier: GPL-2.0-only
/* Batches of calls in living tasks, in many of them, and in all threads of one. */
#include <pthread.h>

#include "tests/unit/remote_victim.h"

/* --- batches --- */

Test(remote_batch, batch_gives_results_and_data)
{
	struct shared *s = shared_new();
	pid_t pid = victim(sit, s);
	struct remote_batch *b = remote_batch_new();
	size_t text, copy, fd, writes, reads;
	struct remote *r;

	wait_ready(s);
	r = seize_one(pid);
	text = remote_batch_data(b, "hello", 6);
	copy = remote_batch_data(b, NULL, 6);
	fd = remote_call(b, "memfd", 0, SYS_memfd_create, ra_data(text), ra_num(0));
	writes = remote_call(b, "write", 0, SYS_pwrite64, ra_result(fd), ra_data(text), ra_num(6), ra_num(0));
	reads = remote_call(b, "read", 0, SYS_pread64, ra_result(fd), ra_data(copy), ra_num(6), ra_num(0));
	remote_call(b, "close", 0, SYS_close, ra_result(fd));
	ok(remote_batch_run(r, b, &why));
	cr_assert_eq(remote_batch_result(b, writes), 6);
	cr_assert_eq(remote_batch_result(b, reads), 6);
	cr_assert_str_eq(remote_batch_out(b, copy), "hello");
	remote_batch_free(b);
	ok(remote_release(r, &why));
	kill_it(pid);
}

Test(remote_batch, batch_names_the_call_that_failed)
{
	struct shared *s = shared_new();
	pid_t pid = victim(sit, s);
	struct remote_batch *b = remote_batch_new();
	struct err err = {0};
	struct remote *r;
	size_t may, not ;

	wait_ready(s);
	r = seize_one(pid);
	may = remote_call(b, "close 1000", REMOTE_MAY_FAIL, SYS_close, ra_num(1000));
	remote_call(b, "mmap heap", 0, SYS_mmap, ra_num(0), ra_num(0), ra_num(0),
		    ra_num(MAP_PRIVATE | MAP_ANONYMOUS), ra_num(-1), ra_num(0));
	not = remote_call(b, "exit", 0, SYS_exit_group, ra_num(9));
	cr_assert_eq(remote_batch_run(r, b, &err), -1);
	cr_assert_str_eq(err.msg, "mmap heap: Invalid argument");
	cr_assert_eq(err.sys_errno, EINVAL);
	cr_assert_eq(remote_batch_result(b, may), -EBADF);
	cr_assert_eq(remote_batch_result(b, not ), -ECANCELED);
	remote_batch_reset(b);
	remote_call(b, "getpid", 0, SYS_getpid, ra_num(0));
	ok(remote_batch_run(r, b, &why));
	cr_assert_eq(remote_batch_result(b, 0), pid);
	remote_batch_free(b);
	ok(remote_release(r, &why));
	kill_it(pid);
}

Test(remote_batch, batches_of_any_length)
{
	struct shared *s = shared_new();
	pid_t pid = victim(sit, s);
	struct remote_batch *b = remote_batch_new();
	size_t before;
	struct remote *r;

	wait_ready(s);
	before = count_mappings(pid);
	r = seize_one(pid);
	for (size_t nr = 1; nr <= 100000; nr *= 10) {
		remote_batch_reset(b);
		remote_batch_data(b, NULL, nr * 20);
		for (size_t i = 0; i < nr; i++)
			remote_call(b, "getppid", 0, i & 1 ? SYS_getppid : SYS_getpid, ra_num(0));
		ok(remote_batch_run(r, b, &why));
		for (size_t i = 0; i < nr; i++)
			cr_assert_eq(remote_batch_result(b, i), i & 1 ? getpid() : pid);
	}
	remote_batch_free(b);
	ok(remote_release(r, &why));
	cr_assert_eq(count_mappings(pid), before, "something of us stayed");
	kill_it(pid);
}

Test(remote_batch, memory_is_read_and_written)
{
	struct shared *s = shared_new();
	static char text[] = "some text";
	char got[sizeof(text)];
	pid_t pid = victim(sit, s);
	struct err err = {0};
	struct remote *r;

	wait_ready(s);
	r = seize_one(pid);
	ok(remote_write(r, (uint64_t)text, "some test", sizeof(text), &why));
	ok(remote_read(r, (uint64_t)text, got, sizeof(text), &why));
	cr_assert_str_eq(got, "some test");
	cr_assert_str_eq(text, "some text");
	ok(remote_write(r, (uint64_t)sit, "\xcc", 1, &why)); /* not writable for the task itself */
	cr_assert_eq(remote_read(r, 4096, got, 1, &err), -1);
	cr_assert_not_null(strstr(err.msg, "reading 0x1000 of task"));
	ok(remote_release(r, &why));
	kill_it(pid);
}

/* --- many, and many threads --- */

Test(remote_batch, gone_tasks_give_no_remote)
{
	struct shared *s = shared_new();
	pid_t pids[3] = {victim(sit, s), victim(sit, shared_new()), 999999};
	struct remote *r[3];
	struct err err = {0};

	kill(pids[1], SIGKILL);
	sleep_ms(20); /* a zombie now */
	wait_ready(s);
	ok(remote_seize(pids, 3, REMOTE_LIVING, r, &why));
	cr_assert_not_null(r[0]);
	cr_assert_null(r[1]);
	cr_assert_null(r[2]);
	visit(r[0]);
	kill(pids[0], SIGKILL);
	sleep_ms(10);
	cr_assert_eq(remote_syscall(r[0], SYS_getpid, 0, NULL, &(int64_t){0}, &err), -1);
	cr_assert_not_null(strstr(err.msg, "was killed by signal 9"), "%s", err.msg);
	ok(remote_release_all(r, 3, &why));
}

static void *thread(void *arg)
{
	struct shared *s = arg;

	atomic_fetch_add(&s->ready, 1);
	while (!atomic_load(&s->go))
		usleep(1000);
	atomic_fetch_add(&s->done, 1);
	return NULL;
}

#define THREADS 40

static void many_threads(struct shared *s)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++) {
		s->value[0] = i;
		pthread_create(&t[i], NULL, thread, s);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	_exit(atomic_load(&s->done) == THREADS ? 6 : 1);
}

static size_t threads_of(pid_t pid, pid_t tids[THREADS + 1])
{
	_free_ char *path = mem_printf("/proc/%d/task", pid);
	_dir_ DIR *d = opendir(path);
	size_t nr = 0;

	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (e->d_name[0] != '.')
			tids[nr++] = atoi(e->d_name);
	return nr;
}

Test(remote_batch, threads_share_the_blob)
{
	struct shared *s = shared_new();
	pid_t pid = victim(many_threads, s), tids[THREADS + 1];
	struct remote *r[THREADS + 1];
	size_t before;

	while (atomic_load(&s->ready) != THREADS)
		sched_yield();
	cr_assert_eq(threads_of(pid, tids), THREADS + 1);
	before = count_mappings(pid);
	for (int order = 0; order < 3; order++) {
		ok(remote_seize(tids, THREADS + 1, REMOTE_LIVING, r, &why));
		for (int i = 1; i <= THREADS; i++)
			remote_mark_group_leader(r[i], r[0]);
		for (int k = 0; k < 2; k++)
			for (int i = 0; i <= THREADS; i++) {
				int who = order == 0 ? i : THREADS - i;
				int64_t tid;

				ok(remote_syscall(r[who], SYS_gettid, 0, NULL, &tid, &why));
				cr_assert_eq(tid, tids[who]);
			}
		if (order < 2)
			ok(remote_release_all(r, THREADS + 1, &why));
		for (int i = THREADS; order == 2 && i >= 0; i--)
			ok(remote_release(r[i], &why));
		cr_assert_eq(count_mappings(pid), before);
	}
	atomic_store(&s->go, 1);
	assert_exit(pid, 6);
}

/* --- speed --- */

#define MANY 100

static void add_questions(struct remote_batch *b)
{
	for (int i = 1; i <= 64; i++)
		remote_call(b, "rt_sigaction", 0, SYS_rt_sigaction, ra_num(i), ra_num(0),
			    ra_data(remote_batch_data(b, NULL, 32)), ra_num(8));
	for (int i = 0; i < 16; i++)
		remote_call(b, "getitimer", 0, SYS_getitimer, ra_num(i % 3),
			    ra_data(remote_batch_data(b, NULL, 32)));
}

Test(remote_batch, many_tasks_are_asked_fast)
{
	struct shared *s = shared_new();
	struct remote_batch *b = remote_batch_new();
	struct remote *r[MANY];
	int64_t best_ns = INT64_MAX;
	pid_t pid[MANY];

	for (int i = 0; i < MANY; i++)
		pid[i] = victim(sit, s);
	sleep_ms(50);
	add_questions(b);
	for (int n = 0; n < 5; n++) {
		int64_t started_ns = io_now_ns();

		ok(remote_seize(pid, MANY, REMOTE_LIVING, r, &why));
		for (int i = 0; i < MANY; i++)
			ok(remote_batch_run(r[i], b, &why));
		ok(remote_release_all(r, MANY, &why));
		best_ns = MIN(best_ns, io_now_ns() - started_ns);
	}
	remote_batch_free(b);
	cr_log_info("%d tasks, 80 calls each: %.1f ms", MANY, best_ns / 1e6);
	for (int i = 0; i < MANY; i++)
		kill_it(pid[i]);
}
