/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the clients of the real-software test have in common: they talk to a service all the time on
 * connections made once, check every answer, and keep the longest time without one. SIGTERM: a last thorough
 * check, a line of JSON, exit 0. Anything wrong: a line on stderr, exit 1.
 */
#ifndef VERST_TESTS_REAL_CLIENT_H
#define VERST_TESTS_REAL_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENT_UNUSED __attribute__((unused))

static volatile sig_atomic_t client_end;
static const char *client_name = "client";
static uint64_t client_answers;
static int64_t client_last_ns, client_gap_ns;

static void client_on_term(int sig)
{
	client_end = 1;
}

static CLIENT_UNUSED void client_init(const char *name)
{
	struct sigaction action = {.sa_handler = client_on_term};

	client_name = name;
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

__attribute__((noreturn, format(printf, 1, 2))) static void client_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s: after %llu answers: ", client_name, (unsigned long long)client_answers);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static int64_t client_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* An answer came and was right. */
static CLIENT_UNUSED void client_answer(void)
{
	int64_t now = client_now_ns();

	if (client_last_ns && now - client_last_ns > client_gap_ns)
		client_gap_ns = now - client_last_ns;
	client_last_ns = now;
	client_answers++;
}

/* Services may still be starting: tries for 20 s. */
static CLIENT_UNUSED int client_connect(const char *address, int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct timeval timeout = {60, 0};
	int on = 1;

	inet_pton(AF_INET, address, &addr.sin_addr);
	for (int tries = 0; tries < 200; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
			return fd;
		}
		close(fd);
		usleep(100000);
	}
	client_fail("cannot connect to %s:%d: %s", address, port, strerror(errno));
}

static CLIENT_UNUSED void client_send(int fd, const void *p, size_t len_bytes)
{
	for (size_t done = 0; done < len_bytes;) {
		ssize_t n = send(fd, (const char *)p + done, len_bytes - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			client_fail("send: %s", strerror(errno));
		done += (size_t)n;
	}
}

/* A buffered reader: one a connection. */
struct client_in {
	int fd;
	size_t at, end;
	char buf[65536];
};

static CLIENT_UNUSED void client_fill(struct client_in *in)
{
	ssize_t n;

	do
		n = recv(in->fd, in->buf, sizeof(in->buf), 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		client_fail(n ? "recv: %s" : "the service closed the connection", strerror(errno));
	in->at = 0;
	in->end = (size_t)n;
}

static CLIENT_UNUSED void client_read(struct client_in *in, void *p, size_t len_bytes)
{
	for (size_t done = 0; done < len_bytes;) {
		size_t part;

		if (in->at == in->end)
			client_fill(in);
		part = in->end - in->at < len_bytes - done ? in->end - in->at : len_bytes - done;
		memcpy((char *)p + done, in->buf + in->at, part);
		in->at += part;
		done += part;
	}
}

/* A line without its CRLF or LF. */
static CLIENT_UNUSED void client_line(struct client_in *in, char *ret, size_t len_bytes)
{
	size_t len = 0;
	char c;

	for (client_read(in, &c, 1); c != '\n'; client_read(in, &c, 1))
		if (len < len_bytes - 1)
			ret[len++] = c;
	if (len && ret[len - 1] == '\r')
		len--;
	ret[len] = '\0';
}

static CLIENT_UNUSED void client_report(const char *more)
{
	printf("{\"client\":\"%s\",\"answers\":%llu,\"longest_gap_ms\":%.1f%s}\n", client_name,
	       (unsigned long long)client_answers, (double)client_gap_ns / 1e6, more);
}

#endif
