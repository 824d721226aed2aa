/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * System calls that wait while the dump happens: each goes on to its proper end, in its proper time, and says
 * so with its proper result. EINTR is no proper result here, except where signal(7) allows it after a stop.
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "tests/live/live.h"

#define WAIT_NS 2000000000ll

struct sleeper {
	const char *name;
	int (*wait)(void);
	bool may_be_interrupted;
	pthread_t thread;
	volatile int64_t took_ns;
	volatile int result, error, done;
};

static int ends[2], sockets[2];

static int in_nanosleep(void)
{
	return nanosleep(&(struct timespec){2, 0}, NULL);
}

static int in_clock_nanosleep(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 2;
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int in_poll(void)
{
	return poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 2000);
}

static int in_select(void)
{
	struct timeval timeout = {2, 0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ends[0], &set);
	return select(ends[0] + 1, &set, NULL, NULL, &timeout);
}

static int in_epoll(void)
{
	int fd = epoll_create1(0), result;

	epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &(struct epoll_event){.events = EPOLLIN});
	result = epoll_wait(fd, &(struct epoll_event){0}, 1, 2000);
	return result;
}

static int in_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	return sigtimedwait(&set, NULL, &(struct timespec){2, 0}) < 0 && errno == EAGAIN ? 0 : -1;
}

/* these three end when main says so */
static int in_read(void)
{
	char byte;

	return (int)read(ends[0], &byte, 1) - 1;
}

static int in_recv(void)
{
	char byte;

	return (int)recv(sockets[0], &byte, 1, 0) - 1;
}

static int in_wait(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		live_go();
		_exit(3);
	}
	return waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3 ? 0 : -1;
}

static struct sleeper sleepers[] = {
	{"nanosleep", in_nanosleep, false}, {"clock_nanosleep", in_clock_nanosleep, false},
	{"poll", in_poll, false},	    {"select", in_select, false},
	{"epoll_wait", in_epoll, true},	    {"sigtimedwait", in_sigtimedwait, true},
	{"read", in_read, false},	    {"recv", in_recv, false},
	{"waitpid", in_wait, false},
};
#define NR_TIMED 6
#define NR	 (sizeof(sleepers) / sizeof(sleepers[0]))

static void *run(void *p)
{
	struct sleeper *s = p;
	int64_t before = live_now_ns(CLOCK_MONOTONIC);

	s->result = s->wait();
	s->error = errno;
	s->took_ns = live_now_ns(CLOCK_MONOTONIC) - before;
	s->done = 1;
	return NULL;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return write(sockets[1], "x", 1) != 1 || poll(NULL, 0, 50);
	case 2:
		return write(ends[1], "x", 1) != 1 || poll(NULL, 0, 50);
	}
	return -1;
}

int main(void)
{
	DO(pipe(ends));
	DO(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	for (size_t i = 0; i < NR; i++)
		if (pthread_create(&sleepers[i].thread, NULL, run, &sleepers[i]))
			live_die("pthread_create");
	poll(NULL, 0, 50);

	live_wait(sabotage);

	CHECK(!sleepers[6].done && !sleepers[7].done);
	for (size_t i = 0; i < NR_TIMED; i++)
		pthread_join(sleepers[i].thread, NULL);
	CHECK(write(ends[1], "x", 1) == 1 && write(sockets[1], "x", 1) == 1);
	for (size_t i = 0; i < NR; i++) {
		struct sleeper *s = &sleepers[i];

		if (i >= NR_TIMED)
			pthread_join(s->thread, NULL);
		if (s->may_be_interrupted && s->result < 0 && s->error == EINTR)
			continue;
		if (s->result)
			live_fail("%s gave %d (%s)", s->name, s->result, strerror(s->error));
		if (i < NR_TIMED && (s->took_ns < WAIT_NS - 5000000 || s->took_ns > WAIT_NS + 3000000000))
			live_fail("%s took %lld ms", s->name, (long long)s->took_ns / 1000000);
	}
	return live_end();
}
