/* SPDX-License-Identifier: GPL-2.0-only */
/* Pipes: data, packets, capacity, a full one with a writer that waits, ends without a partner. */
#include <sys/ioctl.h>

#include "tests/live/live.h"

static int data[2], packets[2], big[2], no_reader, no_writer, full[2], nonblock[2];
static pid_t writer;
#define BIG 500000

static int sabotage(int nr)
{
	char byte;
	int other[2];

	switch (nr) {
	case 1:
		return read(data[0], &byte, 1) != 1;
	case 2:
		return write(data[1], "x", 1) != 1;
	case 3:
		return fcntl(packets[1], F_SETFL, 0);
	case 4:
		return fcntl(big[0], F_SETPIPE_SZ, 4096) < 0 ? dup2(data[1], big[1]) < 0 : 0;
	case 5:
		return pipe(other) || dup2(other[1], no_reader) < 0;
	case 6:
		return pipe(other) || dup2(other[0], no_writer) < 0 || fcntl(no_writer, F_SETFL, O_NONBLOCK);
	case 7:
		return kill(writer, SIGKILL);
	case 8:
		return read(packets[0], &byte, 1) != 1;
	case 9:
		return fcntl(nonblock[0], F_SETFL, 0) || close(nonblock[1]);
	}
	return -1;
}

static void full_writer(void)
{
	static unsigned char content[100000];
	ssize_t n;

	close(full[0]);
	close(data[1]);
	live_fill(content, sizeof(content), 5);
	live_child_ready();
	/* More than the pipe takes: it waits in the middle of a write. Whatever stops it (SIGSTOP too) makes
	 * that short. */
	for (size_t at = 0; at < sizeof(content); at += (size_t)n)
		if ((n = write(full[1], content + at, sizeof(content) - at)) <= 0) {
			live_fail("write to a full pipe: %zd, %s", n, strerror(errno));
			break;
		}
	live_child_end();
}

static void read_all(int fd, size_t len_bytes, unsigned seed)
{
	unsigned char *content = malloc(len_bytes);
	size_t got = 0;
	ssize_t n;

	while (got < len_bytes && (n = read(fd, content + got, len_bytes - got)) > 0)
		got += (size_t)n;
	CHECK_EQ(got, len_bytes);
	CHECK(live_same(content, len_bytes, seed));
	free(content);
}

static void make(void)
{
	unsigned char *content = malloc(BIG);
	int ends[2];

	DO(pipe(data));
	live_fill(content, 1000, 1);
	DO(write(data[1], content, 600));
	DO(write(data[1], content + 600, 400));
	DO(pipe2(packets, O_DIRECT));
	DO(write(packets[1], "one", 3));
	DO(write(packets[1], "three", 5));
	DO(write(packets[1], "five five", 9));
	DO(pipe(big));
	DO(fcntl(big[0], F_SETPIPE_SZ, 1 << 19));
	live_fill(content, BIG, 2);
	if (write(big[1], content, BIG) != BIG)
		live_die("write to a big pipe");
	DO(pipe2(nonblock, O_NONBLOCK | O_CLOEXEC));
	DO(pipe(ends));
	no_reader = ends[1];
	close(ends[0]);
	DO(pipe(ends));
	no_writer = ends[0];
	DO(write(ends[1], "last words", 10));
	close(ends[1]);
	free(content);
}

static void check_packets(void)
{
	char buf[64];

	CHECK(fcntl(packets[1], F_GETFL) & O_DIRECT);
	CHECK(read(packets[0], buf, sizeof(buf)) == 3 && !memcmp(buf, "one", 3));
	CHECK(read(packets[0], buf, 2) == 2 && !memcmp(buf, "th", 2)); /* the rest of a packet is gone */
	CHECK(read(packets[0], buf, sizeof(buf)) == 9 && !memcmp(buf, "five five", 9));
	CHECK(write(packets[1], "a", 1) == 1 && write(packets[1], "b", 1) == 1);
	CHECK_EQ(read(packets[0], buf, sizeof(buf)), 1);
}

static void check_ends(void)
{
	char buf[64];

	CHECK_ERRNO(write(no_reader, "x", 1), EPIPE);
	CHECK(read(no_writer, buf, sizeof(buf)) == 10 && !memcmp(buf, "last words", 10));
	CHECK_EQ(read(no_writer, buf, sizeof(buf)), 0);
	CHECK_ERRNO(read(nonblock[0], buf, 1), EAGAIN);
	CHECK_EQ(fcntl(nonblock[1], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(data[0], F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
	CHECK_EQ(fcntl(data[1], F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY);
}

int main(void)
{
	struct pollfd pfd;
	int capacity, queued;

	signal(SIGPIPE, SIG_IGN);
	make();
	capacity = DO(fcntl(big[0], F_GETPIPE_SZ));
	DO(pipe(full));
	writer = live_fork();
	if (!writer)
		full_writer();
	close(full[1]);
	poll(NULL, 0, 50);

	live_wait(sabotage);

	check_ends();
	CHECK(!ioctl(data[0], FIONREAD, &queued) && queued == 1000);
	read_all(data[0], 1000, 1);
	close(data[1]);
	pfd = (struct pollfd){.fd = data[0], .events = POLLIN};
	CHECK(poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP));
	CHECK_EQ(fcntl(big[0], F_GETPIPE_SZ), capacity);
	read_all(big[0], BIG, 2);
	check_packets();
	read_all(full[0], 100000, 5);
	live_reap(writer);
	CHECK_EQ(read(full[0], &(char){0}, 1), 0);
	return live_end();
}
