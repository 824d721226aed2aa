/* SPDX-License-Identifier: GPL-2.0-only */
/* Many threads: ids, thread-local data, masks, alternate stacks, names, thread keys, exit values,
 * clear_child_tid. */
#include <pthread.h>
#include <sys/prctl.h>

#include "tests/live/live.h"

#define NR 32

struct one {
	pthread_t thread;
	int nr;
	pid_t tid;
	unsigned char stack[16384];
	uint64_t mask_before;
};

static struct one all[NR];
static __thread long local_value = -1;
static pthread_key_t key;
static pthread_barrier_t ready;

static void make_state(struct one *one)
{
	stack_t altstack = {.ss_sp = one->stack, .ss_size = sizeof(one->stack)};
	char name[16];
	sigset_t set;

	one->tid = (pid_t)syscall(SYS_gettid);
	local_value = 1000 + one->nr;
	pthread_setspecific(key, (void *)(long)(2000 + one->nr));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + one->nr % 20);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	DO(sigaltstack(&altstack, NULL));
	snprintf(name, sizeof(name), "thread %d", one->nr);
	DO(prctl(PR_SET_NAME, name));
}

static void check_state(struct one *one)
{
	stack_t altstack;
	char name[16], expected[16];
	sigset_t set;

	CHECK_EQ(syscall(SYS_gettid), one->tid);
	CHECK_EQ(local_value, 1000 + one->nr);
	CHECK_EQ((long)pthread_getspecific(key), 2000 + one->nr);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	for (int sig = 1; sig < 64; sig++)
		CHECK_EQ(sigismember(&set, sig) > 0, sig == SIGRTMIN + one->nr % 20 || sig == SIGUSR2);
	DO(sigaltstack(NULL, &altstack));
	CHECK(altstack.ss_sp == one->stack && altstack.ss_size == sizeof(one->stack) &&
	      altstack.ss_flags == 0);
	DO(prctl(PR_GET_NAME, name));
	snprintf(expected, sizeof(expected), "thread %d", one->nr);
	CHECK(!strcmp(name, expected));
	CHECK(pthread_equal(pthread_self(), one->thread));
}

static void break_own(struct one *one, int nr)
{
	stack_t none = {.ss_flags = SS_DISABLE};
	sigset_t set;

	switch (nr) {
	case 1:
		local_value++;
		break;
	case 2:
		sigemptyset(&set);
		pthread_sigmask(SIG_SETMASK, &set, NULL);
		break;
	case 3:
		sigaltstack(&none, NULL);
		break;
	case 4:
		prctl(PR_SET_NAME, "other");
		break;
	case 5:
		one->tid++;
		break;
	case 6:
		syscall(SYS_set_tid_address, NULL); /* nobody is told when it ends */
		break;
	}
}

static void *run(void *p)
{
	struct one *one = p;

	make_state(one);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&ready);
	if (one->nr == 7)
		break_own(one, live_sabotage_nr);
	live_go();
	check_state(one);
	return (void *)(long)(3000 + one->nr);
}

static int sabotage(int nr)
{
	return nr <= 6 ? 0 : -1;
}

static void check_join(struct one *one)
{
	struct timespec until;
	void *value = NULL;
	int failed;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	failed = pthread_timedjoin_np(one->thread, &value, &until);
	CHECK_EQ(failed, 0);
	if (!failed)
		CHECK_EQ((long)value, 3000 + one->nr);
}

int main(void)
{
	pthread_attr_t attr;

	pthread_key_create(&key, NULL);
	pthread_barrier_init(&ready, NULL, NR + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	for (int i = 0; i < NR; i++) {
		all[i].nr = i;
		if (pthread_create(&all[i].thread, &attr, run, &all[i]))
			live_die("pthread_create");
	}
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&ready);

	live_wait(sabotage);

	CHECK_EQ(getpid(), syscall(SYS_gettid));
	for (int i = 0; i < NR; i++)
		check_join(&all[i]);
	CHECK_EQ(local_value, -1);
	return live_end();
}
