// SPDX-License-Identifier: GPL-2.0-only
/* Pipes, counters, timers, signals, epoll sets: dumped from one process, used in another. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

#include "cpt/file.h"
#include "tests/unit/file_victim.h"

TestSuite(file_kinds, .timeout = 60);

static char dir[] = "/tmp/verst-file-XXXXXX";

static void must(bool ok)
{
	if (!ok)
		_exit(1);
}

/* --- pipes --- */

static void open_pipes(void *arg)
{
	char big[5000];
	int fd[2], w;

	must(!pipe2(fd, O_NONBLOCK) && fd[0] == 3 && fd[1] == 4); /* plain, with data */
	must(write(4, "waiting", 7) == 7);
	must(fcntl(4, F_SETPIPE_SZ, 1 << 17) == 1 << 17);
	must(dup2(4, 20) == 20);
	w = open("/proc/self/fd/4", O_WRONLY); /* another open file of the same end */
	must(w == 5);
	must(!pipe2(fd, O_DIRECT | O_CLOEXEC) && fd[0] == 6 && fd[1] == 7); /* packets */
	memset(big, 'b', sizeof(big));
	must(write(7, "one", 3) == 3 && write(7, "two!", 4) == 4 && write(7, big, 4096) == 4096 &&
	     write(7, "x", 1) == 1);
	must(!pipe(fd) && fd[0] == 8 && fd[1] == 9); /* no writer any more */
	must(write(9, "last", 4) == 4 && !close(9));
	must(!pipe(fd) && fd[0] == 9 && fd[1] == 10); /* no reader any more */
	must(!close(9));
	signal(SIGPIPE, SIG_IGN);
	must(!mkfifo("fifo", 0600) && open("fifo", O_RDWR | O_NONBLOCK) == 9 && open("fifo", O_RDONLY) == 11);
	must(write(9, "named", 5) == 5);
	must(!mkfifo("fifo2", 0600) && open("fifo2", O_RDONLY | O_NONBLOCK) == 12); /* never had a writer */
}

static void look_at_pipes(struct cpt *c)
{
	const struct pipe_obj *p = model_pipe(&c->m, victim_file(c, 3)->of);
	char text[16];
	int fd;

	cr_assert_eq(victim_file(c, 4), victim_file(c, 20));
	cr_assert_neq(victim_file(c, 4), victim_file(c, 5));
	cr_assert_eq(p->capacity_bytes, 1u << 17);
	cr_assert_eq(p->chunks.nr, 1);
	cr_assert_eq(p->chunks.at[0].data.len_bytes, 7);
	p = model_pipe(&c->m, victim_file(c, 7)->of);
	cr_assert_eq(p->chunks.nr, 4);
	cr_assert(p->chunks.at[1].packet);
	cr_assert_eq(p->chunks.at[1].data.len_bytes, 4);
	cr_assert_eq(p->chunks.at[2].data.len_bytes, 4096);
	/* nothing was taken out */
	fd = (int)syscall(SYS_pidfd_getfd, c->tasks.at[0].pidfd, 3, 0);
	cr_assert_eq(read(fd, text, sizeof(text)), 7);
	close(fd);
}

static int use_pipes(void)
{
	static char text[8192];
	struct stat a, b;

	signal(SIGPIPE, SIG_IGN);
	want(fcntl(3, F_GETPIPE_SZ) == 1 << 17);
	want(fcntl(3, F_GETFL) == (O_RDONLY | O_NONBLOCK));
	want(fcntl(7, F_GETFD) == FD_CLOEXEC && fcntl(4, F_GETFD) == 0);
	want(read(3, text, sizeof(text)) == 7 && !memcmp(text, "waiting", 7));
	want(read(3, text, 1) == -1 && errno == EAGAIN);
	want(!close(4) && write(5, "5", 1) == 1 && write(20, "20", 2) == 2 &&
	     read(3, text, sizeof(text)) == 3);
	want(!close(5) && !close(20) && read(3, text, 1) == 0);
	want(fcntl(7, F_GETFL) == (O_WRONLY | O_DIRECT));
	want(read(6, text, sizeof(text)) == 3 && read(6, text, sizeof(text)) == 4 &&
	     !memcmp(text, "two!", 4));
	want(read(6, text, sizeof(text)) == 4096 && read(6, text, sizeof(text)) == 1);
	want(write(7, "a", 1) == 1 && write(7, "b", 1) == 1 && read(6, text, sizeof(text)) == 1);
	want(read(8, text, sizeof(text)) == 4 && read(8, text, 1) == 0);
	want(write(10, "x", 1) == -1 && errno == EPIPE);
	want(read(11, text, sizeof(text)) == 5 && !memcmp(text, "named", 5));
	want(!fstat(9, &a) && !stat("fifo", &b) && a.st_ino == b.st_ino);
	want(read(12, text, 1) == 0);
	want(fcntl(0, F_GETFL) >= 0 && fcntl(13, F_GETFD) == -1 && fcntl(4, F_GETFD) == -1);
	return 0;
}

static void remove_fifos(void)
{
	unlink("fifo");
	unlink("fifo2");
}

Test(file_kinds, pipes)
{
	struct victim_trip trip = {open_pipes, look_at_pipes, use_pipes, remove_fifos};
	struct err err;

	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	victim_round_trip(&trip);
	cr_assert_eq(chdir("/"), 0);
	io_remove_tree(AT_FDCWD, dir, &err);
}

static int outside[2];

static void take_outer_end(void *arg)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getppid(), 0);

	must(pidfd == 3);
	must(syscall(SYS_pidfd_getfd, pidfd, outside[0], 0) == 4 && inotify_init() == 5);
	must(inotify_add_watch(5, "/", IN_OPEN) == 1);
	close(open("/", O_RDONLY | O_DIRECTORY)); /* an event that nobody reads */
	must(eventfd(0, 0) == 6 && epoll_create1(0) == 7);
	must(!epoll_ctl(7, EPOLL_CTL_ADD, 6, &(struct epoll_event){.events = EPOLLIN}));
	must(socket(AF_NETLINK, SOCK_RAW, 0) == 8);
}

Test(file_kinds, obstacles)
{
	struct victim v;
	struct cpt c;
	char *all;

	cr_assert_eq(pipe(outside), 0);
	v = victim_start(take_outer_end, NULL);
	victim_cpt(&c, &v.pid, 1, false);
	all = victim_check(&c);
	cr_expect(strstr(all, "fd 3: pidfd of a process outside"), "%s", all);
	cr_expect(strstr(all, "fd 4: pipe whose write end is held outside"), "%s", all);
	cr_expect(strstr(all, "fd 5: inotify queue with events that nobody reads"), "%s", all);
	cr_expect(!strstr(all, "fd 7:"), "%s", all);
	cr_expect(strstr(all, "fd 8: netlink"), "%s", all);
	c.frozen = true;
	cr_expect(strstr(victim_collect_fails(&c), "cannot be carried"));
	free(all);
	victim_cpt_free(&c);
	victim_end(&v);
}

/* --- counters, timers, signals --- */

static void open_counters(void *arg)
{
	struct itimerspec spec = {.it_value = {.tv_sec = 100}};
	sigset_t set;
	uint64_t n = 0xabcdef0123;

	must(eventfd(0, EFD_NONBLOCK) == 3 && write(3, &n, 8) == 8);
	must(eventfd(5, EFD_SEMAPHORE | EFD_CLOEXEC) == 4);
	must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK) == 5 && !timerfd_settime(5, 0, &spec, NULL));
	/* every 50 ms, expired several times and not read */
	spec = (struct itimerspec){{.tv_nsec = 50000000}, {.tv_nsec = 1000000}};
	must(timerfd_create(CLOCK_BOOTTIME, 0) == 6 && !timerfd_settime(6, 0, &spec, NULL));
	clock_gettime(CLOCK_REALTIME, &spec.it_value);
	spec.it_value.tv_sec += 1000;
	spec.it_interval.tv_nsec = 0;
	must(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK) == 7);
	must(!timerfd_settime(7, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL));
	must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK) == 8); /* not armed */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, 40);
	must(signalfd(-1, &set, SFD_NONBLOCK) == 9);
	usleep(220000);
}

static int use_counters(void)
{
	struct itimerspec spec;
	struct signalfd_siginfo info;
	struct pollfd p = {.fd = 6, .events = POLLIN};
	sigset_t set;
	uint64_t n;

	want(fcntl(3, F_GETFL) == (O_RDWR | O_NONBLOCK));
	want(read(3, &n, 8) == 8 && n == 0xabcdef0123 && read(3, &n, 8) == -1);
	for (int i = 0; i < 5; i++)
		want(read(4, &n, 8) == 8 && n == 1);
	want(fcntl(4, F_GETFD) == FD_CLOEXEC);
	want(!timerfd_gettime(5, &spec) && spec.it_value.tv_sec >= 97 && spec.it_value.tv_sec < 100);
	want(read(5, &n, 8) == -1 && errno == EAGAIN);
	want(poll(&p, 1, 0) == 1 && read(6, &n, 8) == 8 && n >= 4 && n < 1000);
	want(!timerfd_gettime(6, &spec) && spec.it_interval.tv_nsec == 50000000);
	want(poll(&p, 1, 1000) == 1 && read(6, &n, 8) == 8 && n >= 1);
	want(!timerfd_gettime(7, &spec) && spec.it_value.tv_sec >= 990 && spec.it_value.tv_sec <= 1000);
	want(!timerfd_gettime(8, &spec) && !spec.it_value.tv_sec && !spec.it_value.tv_nsec);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, 40);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	want(read(9, &info, sizeof(info)) == -1);
	raise(40);
	want(read(9, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == 40);
	return 0;
}

Test(file_kinds, counters)
{
	struct victim_trip trip = {open_counters, NULL, use_counters};

	victim_round_trip(&trip);
}

/* --- epoll --- */

static struct epoll_event event(uint32_t events, uint64_t data)
{
	return (struct epoll_event){.events = events, .data.u64 = data};
}

static int epoll_add(int set, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = event(events, data);

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
}

static void open_sets(void *arg)
{
	struct epoll_event got[8];
	int fd[2];

	must(epoll_create1(0) == 3);
	must(eventfd(0, 0) == 4 && eventfd(1, 0) == 5 && eventfd(0, 0) == 6);
	must(!epoll_add(3, 4, EPOLLIN, 44) && !epoll_add(3, 5, EPOLLIN | EPOLLET, 0x5555555555555555));
	/* added as 7, then moved to 30, and 7 is another file now */
	must(eventfd(0, 0) == 7 && !epoll_add(3, 7, EPOLLIN, 77) && dup2(7, 30) == 30 && !close(7) &&
	     eventfd(0, 0) == 7);
	/* added as 31, now only 32 */
	must(eventfd(0, 0) == 8 && dup2(8, 31) == 31 && !epoll_add(3, 31, EPOLLIN, 3131) &&
	     dup2(8, 32) == 32 && !close(31) && !close(8));
	/* a set in a set, and the same file twice under two numbers */
	must(epoll_create1(EPOLL_CLOEXEC) == 8 && !epoll_add(8, 3, EPOLLIN, 88) &&
	     !epoll_add(8, 6, EPOLLIN, 66));
	must(dup2(6, 33) == 33 && !epoll_add(8, 33, EPOLLIN, 3333));
	/* one-shots that have fired: one that can be written to, one that cannot; and one that is armed */
	must(epoll_create1(0) == 9);
	must(!pipe(fd) && fd[0] == 10 && fd[1] == 11);
	must(!epoll_add(9, 11, EPOLLOUT | EPOLLONESHOT, 1111) && epoll_wait(9, got, 8, 0) == 1);
	must(write(11, "x", 1) == 1 && !epoll_add(9, 10, EPOLLIN | EPOLLONESHOT, 1010) &&
	     epoll_wait(9, got, 8, 0) == 1);
	must(read(10, fd, 1) == 1);
	must(!epoll_add(9, 6, EPOLLIN | EPOLLONESHOT, 606));
	must(epoll_wait(9, got, 8, 0) == 0);
}

static int wait_all(int set, uint64_t *ret, int max)
{
	struct epoll_event got[16];
	int n = epoll_wait(set, got, max, 0);

	for (int i = 0; i < n; i++)
		ret[i] = got[i].data.u64;
	return n;
}

static int use_sets(void)
{
	uint64_t got[16], one = 1;
	struct epoll_event e = event(EPOLLIN, 1);

	want(wait_all(3, got, 16) == 1 && got[0] == 0x5555555555555555);
	want(wait_all(3, got, 16) == 0);
	want(write(4, &one, 8) == 8 && wait_all(3, got, 16) == 1 && got[0] == 44 && read(4, &one, 8) == 8);
	one = 1;
	want(write(7, &one, 8) == 8 && wait_all(3, got, 16) == 0);
	want(write(30, &one, 8) == 8 && wait_all(3, got, 16) == 1 && got[0] == 77);
	want(fcntl(31, F_GETFD) == -1);
	want(write(32, &one, 8) == 8 && wait_all(3, got, 16) == 2);
	want(wait_all(8, got, 16) == 1 && got[0] == 88);
	want(write(6, &one, 8) == 8 && wait_all(8, got, 16) == 3);
	want(fcntl(8, F_GETFD) == FD_CLOEXEC);
	/* 4 is known under its number */
	want(epoll_ctl(3, EPOLL_CTL_ADD, 4, &e) == -1 && errno == EEXIST);
	/* only the armed one-shot tells; what has fired rests until it is armed again */
	want(wait_all(9, got, 16) == 1 && got[0] == 606 && wait_all(9, got, 16) == 0);
	e = event(EPOLLOUT | EPOLLONESHOT, 1111);
	want(!epoll_ctl(9, EPOLL_CTL_MOD, 11, &e) && wait_all(9, got, 16) == 1 && got[0] == 1111);
	close(10);
	want(wait_all(9, got, 16) == 0);
	want(fcntl(34, F_GETFD) == -1 && fcntl(12, F_GETFD) == -1);
	return 0;
}

static void look_at_sets(struct cpt *c)
{
	const struct epoll_obj *set = model_epoll(&c->m, victim_file(c, 3)->of);

	cr_assert_eq(set->targets.nr, 4);
	vec_each(t, &set->targets)
		if (t->fd == 7)
			cr_assert_eq(t->file, victim_file(c, 30)->id);
}

Test(file_kinds, epoll)
{
	struct victim_trip trip = {open_sets, look_at_sets, use_sets};

	victim_round_trip(&trip);
}

/* --- numbers and owners --- */

static void open_everywhere(void *arg)
{
	/* a heap of numbers in each other's way: 0 and 1 change places, low ones go high */
	int fd;

	must(!close(0) && eventfd(100, 0) == 0 && !close(1) && eventfd(101, 0) == 1 && !close(2));
	for (int i = 0; i < 300; i++) {
		fd = eventfd((unsigned)(1000 + i), 0);
		must(fd >= 0);
		must(dup2(fd, 800 - i) >= 0);
		if (i % 3)
			close(fd);
	}
}

static int use_everywhere(void)
{
	uint64_t n;

	want(read(0, &n, 8) == 8 && n == 100 && read(1, &n, 8) == 8 && n == 101);
	for (int i = 0; i < 300; i++)
		want(read(800 - i, &n, 8) == 8 && n == (uint64_t)(1000 + i));
	return 0;
}

Test(file_kinds, numbers)
{
	struct victim_trip trip = {open_everywhere, NULL, use_everywhere};

	victim_round_trip(&trip);
}

static void open_owned(void *arg)
{
	int fd[2];

	signal(SIGIO, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	must(!pipe(fd) && fd[0] == 3);
	must(!fcntl(3, F_SETOWN, getpid()) && !fcntl(3, F_SETSIG, SIGUSR1) &&
	     !fcntl(3, F_SETFL, O_ASYNC | O_NONBLOCK));
}

static volatile sig_atomic_t got_signal;

static void on_signal(int sig)
{
	got_signal = sig;
}

static int use_owned(void)
{
	want(fcntl(3, F_GETOWN) == getpid() && fcntl(3, F_GETSIG) == SIGUSR1 && fcntl(3, F_GETFL) & O_ASYNC);
	signal(SIGUSR1, on_signal);
	want(write(4, "x", 1) == 1);
	for (int i = 0; i < 1000 && !got_signal; i++)
		usleep(1000);
	want(got_signal == SIGUSR1);
	return 0;
}

Test(file_kinds, owners)
{
	struct victim_trip trip = {open_owned, NULL, use_owned};

	victim_round_trip(&trip);
}
