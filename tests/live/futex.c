/* SPDX-License-Identifier: GPL-2.0-only */
/* Waiting threads and processes: mutexes, condition variables, semaphores, process-shared and robust ones. */
#include <pthread.h>
#include <semaphore.h>

#include "tests/live/live.h"

struct shared {
	pthread_mutex_t mutex, robust;
	pthread_cond_t cond;
	sem_t sem;
	int turn, woken;
};

static struct shared *shared;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t owned_by_thread;
static int thread_result = -1, timed_result = -1;
static int64_t timed_ns;
static int stop_pipe[2];
static volatile int forget_robust;

static void make_shared(void)
{
	pthread_mutexattr_t attr;
	pthread_condattr_t cond_attr;

	shared = DO(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->mutex, &attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->robust, &attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_PRIVATE);
	pthread_mutex_init(&owned_by_thread, &attr);
	pthread_condattr_init(&cond_attr);
	pthread_condattr_setpshared(&cond_attr, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->cond, &cond_attr);
	sem_init(&shared->sem, 1, 2);
}

/* waits for a mutex that main holds */
static void *wait_for_mutex(void *arg)
{
	thread_result = pthread_mutex_lock(&held);
	return NULL;
}

/* waits for a semaphore nobody posts, for 1.5 s from before the dump on */
static void *wait_timed(void *arg)
{
	struct timespec until;
	sem_t never;
	int64_t before = live_now_ns(CLOCK_MONOTONIC);

	sem_init(&never, 0, 0);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 500000000;
	until.tv_sec += 1 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	timed_result = sem_clockwait(&never, CLOCK_MONOTONIC, &until) ? errno : 0;
	timed_ns = live_now_ns(CLOCK_MONOTONIC) - before;
	return NULL;
}

/* ends with a robust mutex in its hands, but only after the dump */
static void *die_with_mutex(void *arg)
{
	char byte;

	pthread_mutex_lock(&owned_by_thread);
	if (read(stop_pipe[0], &byte, 1) != 1)
		live_fail("pipe");
	if (forget_robust)
		syscall(SYS_set_robust_list, NULL, 24);
	return NULL;
}

static void cond_child(void)
{
	pthread_mutex_lock(&shared->mutex);
	live_child_ready();
	while (!shared->turn)
		pthread_cond_wait(&shared->cond, &shared->mutex);
	shared->woken++;
	pthread_mutex_unlock(&shared->mutex);
	live_child_end();
}

/* holds the robust mutex and is killed after the dump */
static void robust_child(void)
{
	pthread_mutex_lock(&shared->robust);
	live_child_ready();
	for (;;)
		pause();
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1: /* the kernel has forgotten the thread's list of robust mutexes */
		forget_robust = 1;
		poll(NULL, 0, 50);
		return write(stop_pipe[1], "x", 1) != 1;
	case 2:
		return sem_trywait(&shared->sem);
	case 3:
		return pthread_mutex_unlock(&held);
	case 4:
		pthread_mutex_unlock(&shared->robust);
		shared->robust = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
		return 0;
	}
	return -1;
}

int main(void)
{
	pthread_t threads[3];
	pid_t waiting[2], robust;
	int value, status;

	make_shared();
	DO(pipe(stop_pipe));
	for (int i = 0; i < 2; i++) {
		waiting[i] = live_fork();
		if (!waiting[i])
			cond_child();
	}
	robust = live_fork();
	if (!robust)
		robust_child();
	pthread_mutex_lock(&held);
	pthread_create(&threads[0], NULL, wait_for_mutex, NULL);
	pthread_create(&threads[1], NULL, wait_timed, NULL);
	pthread_create(&threads[2], NULL, die_with_mutex, NULL);
	poll(NULL, 0, 100);

	live_wait(sabotage);

	pthread_mutex_lock(&shared->mutex);
	CHECK_EQ(shared->woken, 0);
	shared->turn = 1;
	pthread_cond_broadcast(&shared->cond);
	pthread_mutex_unlock(&shared->mutex);
	live_reap(waiting[0]);
	live_reap(waiting[1]);
	CHECK_EQ(shared->woken, 2);

	CHECK_EQ(pthread_mutex_trylock(&shared->robust), EBUSY);
	DO(kill(robust, SIGKILL));
	CHECK_EQ(waitpid(robust, &status, 0), robust);
	CHECK_EQ(pthread_mutex_trylock(&shared->robust), EOWNERDEAD);

	CHECK_EQ(thread_result, -1);
	pthread_mutex_unlock(&held);
	pthread_join(threads[0], NULL);
	CHECK_EQ(thread_result, 0);

	pthread_join(threads[1], NULL);
	CHECK_EQ(timed_result, ETIMEDOUT);
	CHECK_RANGE(timed_ns, 1500000000, 8000000000);

	CHECK(write(stop_pipe[1], "x", 1) == 1);
	pthread_join(threads[2], NULL);
	CHECK_EQ(pthread_mutex_trylock(&owned_by_thread), EOWNERDEAD);
	CHECK_EQ(sem_getvalue(&shared->sem, &value), 0);
	CHECK_EQ(value, 2);
	return live_end();
}
