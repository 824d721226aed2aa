/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The demo's service: one front process that answers on a TCP port, and worker processes with threads that
 *keep changing a table of pages, each page with its number, version and checksum.
 *
 *	service [-p PORT] [-m MIB] [-w WORKERS] [-t THREADS] [-r PAGES_PER_S] [-z PACE_US]
 *
 * -r: pages changed per second, in all; -z: how long the front rests after each lot of requests, so that both
 * directions of a connection always have something queued. Prints "ready" when the table is filled.
 * -b N: on SIGUSR2 do the N-th thing that a bad restore could do (enum sabotage), for the checkers' own test.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/demo/proto.h"

#define PAGE	    4096u
#define MAX_WORKERS 16
#define MAX_THREADS 32

struct page {
	uint64_t number, version, checksum;
	unsigned char body[PAGE - 24];
};

/* One thread's share of a worker's table. */
struct share {
	pthread_mutex_t lock; /* the thread changes pages, verify reads them */
	struct page *pages;
	uint64_t first, nr;
	uint64_t changes; /* sum of all versions of the share: a page that fell back to an older version is
			     found */
	int64_t clock_ns;
	bool clock_fell;
	pid_t tid;
	uint64_t changes_at_verify;
};

/* Worker to front, on a verify. */
struct report {
	uint64_t pages, bad_pages, changes;
	uint32_t threads, strange, stale, reserved;
};

struct options {
	unsigned port, mib, workers, threads, rate, pace_us, sabotage;
};

enum sabotage {
	SABOTAGE_CORRUPT = 1, /* a byte of the connection is another */
	SABOTAGE_LOSE,	      /* a request got lost */
	SABOTAGE_DOUBLE,      /* an answer is sent twice */
	SABOTAGE_RESET,	      /* the connection is reset */
	SABOTAGE_CLOCK,	      /* the clock goes back */
	SABOTAGE_KILL,	      /* a worker is gone */
	SABOTAGE_PAGE,	      /* a byte of a page is another */
	SABOTAGE_OLD_PAGE,    /* a page fell back to what it was before its last change */
};

static struct options options = {
	.port = 7000, .mib = 256, .workers = 2, .threads = 3, .rate = 2000, .pace_us = 2000};
static struct share shares[MAX_THREADS];
static uint64_t *updates; /* shared by all processes: one counter a worker */
static int worker_sock[MAX_WORKERS];
static pid_t worker_pid[MAX_WORKERS], own_pid, own_sid, own_ppid;
static volatile sig_atomic_t sabotage_asked;

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void page_set(struct page *page, uint64_t number, uint64_t version)
{
	uint64_t state = proto_mix(number << 20 ^ version);

	page->number = number;
	page->version = version;
	for (size_t at = 0; at < sizeof(page->body); at += 8) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		memcpy(page->body + at, &state, 8);
	}
	page->checksum = proto_hash(number ^ version, page->body, sizeof(page->body));
}

static bool page_good(const struct page *page, uint64_t number)
{
	struct page expected;

	if (page->number != number)
		return false;
	page_set(&expected, number, page->version);
	return !memcmp(&expected, page, sizeof(expected));
}

/* --- worker --- */

struct thread_arg {
	struct share *share;
	uint64_t *counter;
	unsigned seed, rate;
};

static void watch_clock(struct share *share)
{
	int64_t now = now_ns();

	if (now < share->clock_ns)
		share->clock_fell = true;
	share->clock_ns = now;
}

static void *change_pages(void *p)
{
	struct thread_arg *arg = p;
	struct share *share = arg->share;
	uint64_t state = arg->seed;
	double due = 0;

	share->tid = (pid_t)syscall(SYS_gettid);
	for (;;) {
		struct timespec rest = {0, 5000000};
		int64_t before = now_ns();

		nanosleep(&rest, NULL);
		due += arg->rate * (double)(now_ns() - before) / 1e9;
		if (due > arg->rate / 10.0 + 1)
			due = arg->rate / 10.0 + 1; /* after a long rest do not catch up */
		pthread_mutex_lock(&share->lock);
		watch_clock(share);
		for (; due >= 1; due -= 1) {
			struct page *page = &share->pages[(state = proto_mix(state)) % share->nr];

			page_set(page, share->first + (uint64_t)(page - share->pages), page->version + 1);
			share->changes++;
			__atomic_add_fetch(arg->counter, 1, __ATOMIC_RELAXED);
		}
		pthread_mutex_unlock(&share->lock);
	}
	return NULL;
}

static void sabotage_share(struct share *share)
{
	uint64_t i = 0;

	pthread_mutex_lock(&share->lock);
	while (!share->pages[i].version)
		i++;
	if (options.sabotage == SABOTAGE_PAGE)
		share->pages[i].body[1234] ^= 1;
	else
		page_set(&share->pages[i], share->first + i, share->pages[i].version - 1);
	pthread_mutex_unlock(&share->lock);
}

static void verify_share(struct share *share, struct report *report)
{
	uint64_t versions = 0;

	pthread_mutex_lock(&share->lock);
	watch_clock(share);
	for (uint64_t i = 0; i < share->nr; i++) {
		versions += share->pages[i].version;
		if (!page_good(&share->pages[i], share->first + i))
			report->bad_pages++;
	}
	if (versions != share->changes)
		report->stale++;
	report->pages += share->nr;
	report->changes += share->changes;
	if (share->clock_fell)
		report->strange |= STRANGE_CLOCK;
	if (share->changes_at_verify == share->changes && options.rate)
		report->strange |= STRANGE_WORKERS;
	share->changes_at_verify = share->changes;
	pthread_mutex_unlock(&share->lock);
}

/* The tids of this process are those of the start. */
static void verify_threads(struct report *report)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned found = 0;

	while (dir && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (!tid)
			continue;
		report->threads++;
		found += tid == own_pid;
		for (unsigned t = 0; t < options.threads; t++)
			found += tid == shares[t].tid;
	}
	if (dir)
		closedir(dir);
	if (found != options.threads + 1 || report->threads != found)
		report->strange |= STRANGE_PIDS;
}

static void worker(unsigned nr, int sock)
{
	uint64_t pages = (uint64_t)options.mib * 256 / options.workers, part = pages / options.threads;
	struct page *table =
		mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char command;

	if (table == MAP_FAILED)
		die("mmap");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	own_pid = getpid();
	own_sid = getsid(0);
	own_ppid = getppid();
	for (uint64_t i = 0; i < pages; i++)
		page_set(&table[i], nr * pages + i, 0);
	for (unsigned t = 0; t < options.threads; t++) {
		struct thread_arg *arg = malloc(sizeof(*arg));
		pthread_t thread;

		shares[t].pages = table + t * part;
		shares[t].first = nr * pages + t * part;
		shares[t].nr = t + 1 < options.threads ? part : pages - t * part;
		pthread_mutex_init(&shares[t].lock, NULL);
		*arg = (struct thread_arg){&shares[t], &updates[nr], nr * 100 + t,
					   options.rate / options.workers / options.threads};
		if (pthread_create(&thread, NULL, change_pages, arg))
			die("pthread_create");
	}
	while (write(sock, "r", 1) == 1 && read(sock, &command, 1) == 1) {
		struct report report = {0};

		if (command == 's')
			sabotage_share(&shares[0]);
		for (unsigned t = 0; t < options.threads; t++)
			verify_share(&shares[t], &report);
		verify_threads(&report);
		if (getpid() != own_pid || getsid(0) != own_sid || getppid() != own_ppid)
			report.strange |= STRANGE_PIDS;
		if (report.changes != __atomic_load_n(&updates[nr], __ATOMIC_RELAXED) && !options.rate)
			report.bad_pages++;
		if (write(sock, &report, sizeof(report)) != sizeof(report))
			break;
	}
	_exit(1);
}

/* --- front --- */

static uint64_t all_updates(void)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < options.workers; w++)
		sum += __atomic_load_n(&updates[w], __ATOMIC_RELAXED);
	return sum;
}

static bool read_full(int fd, void *p, size_t len_bytes)
{
	for (size_t done = 0; done < len_bytes;) {
		ssize_t n = read(fd, (char *)p + done, len_bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool write_full(int fd, const void *p, size_t len_bytes)
{
	for (size_t done = 0; done < len_bytes;) {
		ssize_t n = send(fd, (const char *)p + done, len_bytes - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static pthread_mutex_t verify_lock = PTHREAD_MUTEX_INITIALIZER;

static void verify(struct proto_answer *answer)
{
	struct report report;
	char ready;

	pthread_mutex_lock(&verify_lock);
	answer->processes = 1;
	for (unsigned w = 0; w < options.workers; w++)
		if (write(worker_sock[w],
			  w == 0 && sabotage_asked && options.sabotage >= SABOTAGE_PAGE ? "s" : "v", 1) != 1)
			answer->strange |= STRANGE_WORKERS;
	for (unsigned w = 0; w < options.workers; w++) {
		if (!read_full(worker_sock[w], &report, sizeof(report)) ||
		    !read_full(worker_sock[w], &ready, 1)) {
			answer->strange |= STRANGE_WORKERS;
			continue;
		}
		answer->processes++;
		answer->pages += report.pages;
		answer->bad_pages += report.bad_pages;
		answer->threads += report.threads;
		answer->strange |= report.strange;
		answer->stale += report.stale;
		if (kill(worker_pid[w], 0) || getsid(worker_pid[w]) != own_sid)
			answer->strange |= STRANGE_PIDS;
	}
	if (getpid() != own_pid || getsid(0) != own_sid)
		answer->strange |= STRANGE_PIDS;
	pthread_mutex_unlock(&verify_lock);
}

static void on_sigusr2(int sig)
{
	sabotage_asked = 1;
}

/* What is not the workers' part. Gives true if the request is to be lost. */
static bool sabotage_connection(int fd, unsigned char *body, struct proto_answer *answer)
{
	struct linger now = {.l_onoff = 1};

	switch (options.sabotage) {
	case SABOTAGE_CORRUPT:
		body[0] ^= 1;
		break;
	case SABOTAGE_LOSE:
		sabotage_asked = 0;
		return true;
	case SABOTAGE_DOUBLE:
		write_full(fd, answer, sizeof(*answer));
		break;
	case SABOTAGE_RESET:
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		break;
	case SABOTAGE_KILL:
		kill(worker_pid[0], SIGKILL);
		break;
	}
	return false;
}

static void *serve(void *p)
{
	int fd = (int)(intptr_t)p;
	unsigned char body[PROTO_BODY_MAX + 8], answer_body[PROTO_BODY_MAX + 8];
	uint64_t hash = PROTO_HASH_START;
	struct proto_request request;
	int64_t rested_ns = now_ns();

	while (read_full(fd, &request, sizeof(request)) && request.magic == PROTO_MAGIC &&
	       request.len_bytes <= PROTO_BODY_MAX && read_full(fd, body, request.len_bytes)) {
		struct proto_answer answer = {
			.magic = PROTO_MAGIC, .kind = request.kind, .number = request.number};

		if (sabotage_asked && sabotage_connection(fd, body, &answer))
			continue;
		hash = proto_hash(hash, body, request.len_bytes);
		answer.received_hash = hash;
		answer.checksum = proto_hash(PROTO_HASH_START, body, request.len_bytes);
		if (request.kind == PROTO_VERIFY)
			verify(&answer);
		answer.len_bytes = proto_body(request.number, 1, answer_body);
		answer.pid = (uint32_t)getpid();
		answer.workers = options.workers;
		answer.updates = all_updates();
		answer.monotonic_ns = (uint64_t)now_ns();
		if (sabotage_asked && options.sabotage == SABOTAGE_CLOCK)
			answer.monotonic_ns -= 1000000000;
		if (!write_full(fd, &answer, sizeof(answer)) ||
		    !write_full(fd, answer_body, answer.len_bytes))
			break;
		if (now_ns() - rested_ns > 500000) { /* requests pile up meanwhile */
			struct timespec rest = {0, (long)options.pace_us * 1000};

			nanosleep(&rest, NULL);
			rested_ns = now_ns();
		}
	}
	close(fd);
	return NULL;
}

static int listen_on(unsigned port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 16))
		die("listen");
	return fd;
}

static void start_workers(void)
{
	char ready;

	for (unsigned w = 0; w < options.workers; w++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
			die("socketpair");
		worker_sock[w] = ends[0];
		worker_pid[w] = fork();
		if (worker_pid[w] < 0)
			die("fork");
		if (worker_pid[w] == 0) {
			close(ends[0]);
			worker(w, ends[1]);
		}
		close(ends[1]);
	}
	for (unsigned w = 0; w < options.workers; w++)
		if (!read_full(worker_sock[w], &ready, 1))
			die("worker");
}

static void parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "p:m:w:t:r:z:b:")) != -1) {
		unsigned *to = c == 'p'	  ? &options.port
			       : c == 'm' ? &options.mib
			       : c == 'w' ? &options.workers
			       : c == 't' ? &options.threads
			       : c == 'r' ? &options.rate
			       : c == 'z' ? &options.pace_us
			       : c == 'b' ? &options.sabotage
					  : NULL;

		if (!to)
			_exit(2);
		*to = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (!options.workers || options.workers > MAX_WORKERS || !options.threads ||
	    options.threads > MAX_THREADS)
		_exit(2);
}

int main(int argc, char **argv)
{
	int listener;

	parse(argc, argv);
	own_pid = getpid();
	own_sid = getsid(0);
	updates = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (updates == MAP_FAILED)
		die("mmap");
	signal(SIGUSR2, on_sigusr2);
	signal(SIGCHLD, SIG_IGN);
	start_workers();
	listener = listen_on(options.port);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int on = 1, fd = accept(listener, NULL, NULL);
		pthread_t thread;

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd))
			close(fd);
		else
			pthread_detach(thread);
	}
}
