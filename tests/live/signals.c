/* SPDX-License-Identifier: GPL-2.0-only */
/* Signal handlers with flags and masks, ignored signals, blocked ones that are pending for the process and
 * for a thread. */
#include <pthread.h>

#include "tests/live/live.h"

#define NR_QUEUED 5

static struct sigaction set_up[5];
static volatile int handled_on_stack, handled_sig, handled_value, handled_code;
static unsigned char alternate[32768];
static pthread_t thread;
static volatile pid_t thread_tid;
static volatile int thread_ready, thread_stop;

static void handler(int sig, siginfo_t *info, void *context)
{
	unsigned char here;

	handled_sig = sig;
	handled_value = info->si_value.sival_int;
	handled_code = info->si_code;
	handled_on_stack = &here >= alternate && &here < alternate + sizeof(alternate);
}

static void plain_handler(int sig)
{
	handled_sig = sig;
}

static void make_handlers(void)
{
	stack_t altstack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

	DO(sigaltstack(&altstack, NULL));
	set_up[0] =
		(struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	sigaddset(&set_up[0].sa_mask, SIGHUP);
	sigaddset(&set_up[0].sa_mask, SIGRTMAX);
	set_up[1] = (struct sigaction){.sa_handler = plain_handler, .sa_flags = SA_NODEFER | SA_RESETHAND};
	set_up[2] = (struct sigaction){.sa_handler = SIG_IGN};
	set_up[3] = (struct sigaction){.sa_handler = plain_handler, .sa_flags = SA_NOCLDSTOP | SA_NOCLDWAIT};
	set_up[4] = (struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	DO(sigaction(SIGUSR1, &set_up[0], NULL));
	DO(sigaction(SIGUSR2, &set_up[1], NULL));
	DO(sigaction(SIGPIPE, &set_up[2], NULL));
	DO(sigaction(SIGCHLD, &set_up[3], NULL));
	DO(sigaction(SIGRTMIN + 1, &set_up[4], NULL));
}

static bool same_action(int sig, const struct sigaction *should)
{
	const int flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | (int)SA_RESETHAND |
			  SA_NOCLDSTOP | SA_NOCLDWAIT;
	struct sigaction is;

	DO(sigaction(sig, NULL, &is));
	for (int i = 1; i < 64; i++)
		if (sigismember(&is.sa_mask, i) != sigismember(&should->sa_mask, i))
			return false;
	return is.sa_handler == should->sa_handler && (is.sa_flags & flags) == should->sa_flags;
}

static void *run(void *arg)
{
	thread_tid = (pid_t)syscall(SYS_gettid);
	thread_ready = 1;
	while (!thread_stop)
		poll(NULL, 0, 10);
	return NULL;
}

/* blocked in all threads: standard ones collapse, real-time ones queue with their values */
static void make_pending(void)
{
	siginfo_t info = {.si_code = SI_QUEUE, .si_signo = SIGRTMIN + 3};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGRTMIN + 3);
	sigaddset(&set, SIGURG);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (pthread_create(&thread, NULL, run, NULL))
		live_die("pthread_create");
	while (!thread_ready)
		poll(NULL, 0, 1);
	DO(kill(getpid(), SIGTERM));
	DO(kill(getpid(), SIGTERM));
	for (int i = 0; i < NR_QUEUED; i++)
		DO(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 100 + i}));
	info.si_pid = getpid();
	info.si_value.sival_int = 55;
	DO(syscall(SYS_rt_tgsigqueueinfo, getpid(), thread_tid, SIGRTMIN + 3, &info));
	DO(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGURG));
}

static int take(int sig, siginfo_t *ret)
{
	struct timespec none = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return (int)syscall(SYS_rt_sigtimedwait, &set, ret, &none, 8); /* libc's changes si_code */
}

static int sabotage(int nr)
{
	siginfo_t info;

	switch (nr) {
	case 1:
		return take(SIGRTMIN + 1, &info) < 0;
	case 2:
		return sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 104});
	case 3:
		return take(SIGTERM, &info) < 0;
	case 4:
		set_up[0].sa_flags &= ~SA_ONSTACK;
		return sigaction(SIGUSR1, &set_up[0], NULL) || ((set_up[0].sa_flags |= SA_ONSTACK), 0);
	case 5:
		return signal(SIGPIPE, SIG_DFL) == SIG_ERR;
	case 6:
		return take(SIGURG, &info) < 0;
	case 7: /* what was for one thread is for all */
		return sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 55});
	}
	return -1;
}

static void check_pending(void)
{
	siginfo_t info;

	for (int i = 0; i < NR_QUEUED; i++) {
		CHECK_EQ(take(SIGRTMIN + 1, &info), SIGRTMIN + 1);
		CHECK_EQ(info.si_value.sival_int, 100 + i);
		CHECK_EQ(info.si_code, SI_QUEUE);
		CHECK_EQ(info.si_pid, getpid());
	}
	CHECK_ERRNO(take(SIGRTMIN + 1, &info), EAGAIN);
	CHECK_EQ(take(SIGTERM, &info), SIGTERM);
	CHECK_EQ(info.si_code, SI_USER);
	CHECK_EQ(info.si_pid, getpid());
	CHECK_ERRNO(take(SIGTERM, &info), EAGAIN);
	CHECK_ERRNO(take(SIGRTMIN + 3, &info), EAGAIN); /* is the other thread's */
	CHECK_EQ(take(SIGURG, &info), SIGURG);
	CHECK_EQ(info.si_code, SI_TKILL);
}

static void check_delivery(void)
{
	CHECK_EQ(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 77}), 0);
	CHECK_EQ(handled_sig, SIGUSR1);
	CHECK_EQ(handled_value, 77);
	CHECK(handled_on_stack);
	CHECK_EQ(kill(getpid(), SIGUSR2), 0);
	CHECK_EQ(handled_sig, SIGUSR2);
	CHECK_EQ(kill(getpid(), SIGPIPE), 0);
}

/* what is pending for the thread: it is the only one that can take it, seen from outside by its status */
static void check_thread(void)
{
	char path[64], status[4096];

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)thread_tid);
	live_read_file(path, status, sizeof(status));
	CHECK_EQ((unsigned long long)live_field(status, "SigPnd", 16) >> (SIGRTMIN + 3 - 1) & 1, 1);
	CHECK_EQ((unsigned long long)live_field(status, "SigBlk", 16) >> (SIGRTMIN + 1 - 1) & 1, 1);
}

int main(void)
{
	make_handlers();
	make_pending();

	live_wait(sabotage);

	check_thread();
	CHECK(same_action(SIGUSR1, &set_up[0]) && same_action(SIGUSR2, &set_up[1]));
	CHECK(same_action(SIGPIPE, &set_up[2]) && same_action(SIGCHLD, &set_up[3]));
	CHECK(same_action(SIGRTMIN + 1, &set_up[4]));
	CHECK(same_action(SIGHUP, &(struct sigaction){.sa_handler = SIG_DFL}));
	check_pending();
	check_delivery();
	thread_stop = 1;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	return live_end();
}
