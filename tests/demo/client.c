/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The demo's client: numbered requests over ONE connection, many under way at any time, every answer checked
 *to the byte.
 *
 *	client ADDRESS PORT [-n OUTSTANDING] [-s SECONDS]
 *
 * Never reconnects. SIGUSR1: asks the service to verify itself, and then prints a line of JSON about the time
 *since the last such line, and begins a new phase. SIGTERM (or -s): the same, and ends. Exit 1 on anything
 *wrong, with the reason on stderr.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/demo/proto.h"

#define SEND_ROOM (256u << 10)
#define STALL_NS  60000000000ll /* no answer for so long is a failure */

struct client {
	int fd;
	uint64_t outstanding_max;
	/* to the service */
	uint64_t next_number;
	unsigned char out[SEND_ROOM];
	size_t out_at, out_end;
	uint64_t verify_number; /* of the request that asks to verify, or UINT64_MAX */
	bool verify_wanted;
	/* from the service */
	uint64_t answered;
	uint64_t sent_hash; /* over the bodies of answered requests */
	unsigned char in[sizeof(struct proto_answer) + PROTO_BODY_MAX];
	size_t in_end;
	uint64_t updates, monotonic_ns;
	uint32_t pid;
	uint32_t processes, threads;
	struct proto_answer verified;
	/* what the client sees */
	int64_t started_ns, last_answer_ns, longest_gap_ns, phase_ns;
	uint64_t phase_answers, bytes_in, bytes_out;
	int reports_wanted;
};

static volatile sig_atomic_t report_asked, end_asked;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		report_asked++;
	else
		end_asked = 1;
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(const struct client *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "client: after %llu answers: ", (unsigned long long)c->answered);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void queue_requests(struct client *c)
{
	if (c->out_at == c->out_end)
		c->out_at = c->out_end = 0;
	while (c->next_number - c->answered < c->outstanding_max &&
	       c->out_end + sizeof(struct proto_request) + PROTO_BODY_MAX + 8 <= SEND_ROOM) {
		struct proto_request request = {
			.magic = PROTO_MAGIC, .kind = PROTO_DATA, .number = c->next_number};
		unsigned char *at = c->out + c->out_end;

		if (c->verify_wanted) {
			request.kind = PROTO_VERIFY;
			c->verify_number = c->next_number;
			c->verify_wanted = false;
		} else {
			request.len_bytes = proto_body(request.number, 0, at + sizeof(request));
		}
		memcpy(at, &request, sizeof(request));
		c->out_end += sizeof(request) + request.len_bytes;
		c->next_number++;
	}
}

static void check_answer(struct client *c, const struct proto_answer *a, const unsigned char *body)
{
	unsigned char expected[PROTO_BODY_MAX + 8];
	uint64_t checksum = PROTO_HASH_START;

	if (a->number != c->answered)
		fail(c, "answer %llu instead of %llu", (unsigned long long)a->number,
		     (unsigned long long)c->answered);
	if (a->kind != (a->number == c->verify_number ? PROTO_VERIFY : PROTO_DATA))
		fail(c, "answer of the wrong kind");
	if (a->kind == PROTO_DATA) {
		size_t len = proto_body(a->number, 0, expected);

		checksum = proto_hash(PROTO_HASH_START, expected, len);
		c->sent_hash = proto_hash(c->sent_hash, expected, len);
	}
	if (a->checksum != checksum)
		fail(c, "the service received another body than was sent");
	if (a->received_hash != c->sent_hash)
		fail(c, "the service has not received what was sent before");
	if (a->len_bytes != proto_body(a->number, 1, expected) || memcmp(expected, body, a->len_bytes))
		fail(c, "the answer's body is not what the service must send");
	if (a->updates < c->updates)
		fail(c, "the service's counter went back from %llu to %llu", (unsigned long long)c->updates,
		     (unsigned long long)a->updates);
	if (a->monotonic_ns < c->monotonic_ns)
		fail(c, "the service's clock went back by %llu ns",
		     (unsigned long long)(c->monotonic_ns - a->monotonic_ns));
	if (c->pid && a->pid != c->pid)
		fail(c, "the service's pid was %u and is %u", c->pid, a->pid);
	c->updates = a->updates;
	c->monotonic_ns = a->monotonic_ns;
	c->pid = a->pid;
}

static void check_verified(struct client *c, const struct proto_answer *a)
{
	if (a->bad_pages)
		fail(c, "%llu of %llu pages are wrong", (unsigned long long)a->bad_pages,
		     (unsigned long long)a->pages);
	if (a->stale)
		fail(c, "in %u shares of the table pages fell back to older versions", a->stale);
	if (a->strange)
		fail(c, "the service is not as it was: %s%s%s", a->strange & STRANGE_PIDS ? "pids " : "",
		     a->strange & STRANGE_CLOCK ? "clock " : "",
		     a->strange & STRANGE_WORKERS ? "workers" : "");
	if (c->processes && (c->processes != a->processes || c->threads != a->threads))
		fail(c, "%u processes and %u threads, it was %u and %u", a->processes, a->threads,
		     c->processes, c->threads);
	c->processes = a->processes;
	c->threads = a->threads;
	c->verified = *a;
}

static void report(struct client *c)
{
	int64_t now = now_ns();

	printf("{\"answers\":%llu,\"phase_answers\":%llu,\"seconds\":%.3f,\"downtime_ms\":%.3f,\"bytes_"
	       "sent\":%llu,"
	       "\"bytes_received\":%llu,\"pages_verified\":%llu,\"updates\":%llu,\"processes\":%u,"
	       "\"threads\":%u}\n",
	       (unsigned long long)c->answered, (unsigned long long)c->phase_answers,
	       (double)(now - c->phase_ns) / 1e9, (double)c->longest_gap_ns / 1e6,
	       (unsigned long long)c->bytes_out, (unsigned long long)c->bytes_in,
	       (unsigned long long)c->verified.pages, (unsigned long long)c->updates, c->processes,
	       c->threads);
	fflush(stdout);
	c->phase_ns = now;
	c->longest_gap_ns = 0;
	c->phase_answers = 0;
}

/* A verify takes the service a moment in which it answers nothing: that is not downtime. */
static void take_answers(struct client *c)
{
	size_t at = 0;

	while (c->in_end - at >= sizeof(struct proto_answer)) {
		struct proto_answer a;
		int64_t now = now_ns();
		bool verify;

		memcpy(&a, c->in + at, sizeof(a));
		if (a.magic != PROTO_MAGIC || a.len_bytes > PROTO_BODY_MAX)
			fail(c, "not an answer");
		if (c->in_end - at < sizeof(a) + a.len_bytes)
			break;
		check_answer(c, &a, c->in + at + sizeof(a));
		verify = a.kind == PROTO_VERIFY;
		c->answered++;
		c->phase_answers++;
		if (!verify && now - c->last_answer_ns > c->longest_gap_ns)
			c->longest_gap_ns = now - c->last_answer_ns;
		c->last_answer_ns = now;
		at += sizeof(a) + a.len_bytes;
		if (verify) {
			check_verified(c, &a);
			c->verify_number = UINT64_MAX;
			c->reports_wanted--;
			report(c);
		}
	}
	memmove(c->in, c->in + at, c->in_end - at);
	c->in_end -= at;
}

static void exchange(struct client *c)
{
	struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
	ssize_t n;

	queue_requests(c);
	if (c->out_at < c->out_end)
		pfd.events |= POLLOUT;
	if (poll(&pfd, 1, 200) < 0 && errno != EINTR)
		fail(c, "poll: %s", strerror(errno));
	if (pfd.revents & POLLOUT) {
		n = send(c->fd, c->out + c->out_at, c->out_end - c->out_at, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			fail(c, "send: %s", strerror(errno));
		c->out_at += n > 0 ? (size_t)n : 0;
		c->bytes_out += n > 0 ? (uint64_t)n : 0;
	}
	if (pfd.revents & (POLLIN | POLLERR | POLLHUP)) {
		n = recv(c->fd, c->in + c->in_end, sizeof(c->in) - c->in_end, 0);
		if (n == 0)
			fail(c, "the service closed the connection");
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			fail(c, "recv: %s", strerror(errno));
		c->in_end += n > 0 ? (size_t)n : 0;
		c->bytes_in += n > 0 ? (uint64_t)n : 0;
		take_answers(c);
	}
	if (now_ns() - c->last_answer_ns > STALL_NS)
		fail(c, "no answer for %lld s", STALL_NS / 1000000000);
}

static int connect_to(const struct client *c, const char *address, const char *port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int on = 1, fd = -1;

	if (inet_pton(AF_INET, address, &addr.sin_addr) != 1)
		fail(c, "no address: %s", address);
	for (int tries = 0; tries < 50; tries++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			fcntl(fd, F_SETFL, O_NONBLOCK);
			return fd;
		}
		close(fd);
		usleep(100000);
	}
	fail(c, "connect: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	static struct client c = {
		.outstanding_max = 32, .sent_hash = PROTO_HASH_START, .verify_number = UINT64_MAX};
	struct sigaction action = {.sa_handler = on_signal};
	int option, seconds = 0, reports_seen = 0;
	bool ending = false;

	while ((option = getopt(argc, argv, "n:s:")) != -1) {
		if (option == 'n')
			c.outstanding_max = strtoul(optarg, NULL, 10);
		else if (option == 's')
			seconds = atoi(optarg);
		else
			return 2;
	}
	if (argc - optind != 2)
		return 2;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	c.fd = connect_to(&c, argv[optind], argv[optind + 1]);
	c.started_ns = c.phase_ns = c.last_answer_ns = now_ns();
	for (;;) {
		if (seconds && now_ns() - c.started_ns > seconds * 1000000000ll)
			end_asked = 1;
		if (end_asked && !ending) {
			ending = true;
			c.reports_wanted++;
		}
		for (; reports_seen < report_asked; reports_seen++)
			c.reports_wanted++;
		if (c.reports_wanted && c.verify_number == UINT64_MAX && !c.verify_wanted)
			c.verify_wanted = true;
		if (ending && !c.reports_wanted)
			return 0;
		exchange(&c);
	}
}
