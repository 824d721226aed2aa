/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A live program makes the objects of one kind, says that it is ready, and waits. Meanwhile it may be dumped
 *and restored, once or often, here or elsewhere. Then it looks whether all is as it was:
 *
 *	int main(void)
 *	{
 *		... make things ...
 *		live_wait(sabotage);
 *		... CHECK(things) ...
 *		return live_end();
 *	}
 *
 * sabotage(n) does to the n-th property what a bad restore would do (n from 1) and returns 0, or -1 if there
 *are not so many: the runner shows with it that every check can fail. The program and the runner talk by
 *files in $LIVE_DIR: NAME.ready and NAME.result are ours, `go` is the runner's. Waiting is a poll for that
 *file, so that it depends on nothing but system calls being made again.
 */
#ifndef VERST_TESTS_LIVE_H
#define VERST_TESTS_LIVE_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIVE_UNUSED __attribute__((unused))

/* $LIVE_DIR; a program that changes its root sets it to what the directory is called from there */
static char live_dir[256] = ".";
static char live_name[64];
static int live_sabotage_nr;
static int live_ready_fd = -1;

__attribute__((constructor)) static void live_init(int argc LIVE_UNUSED, char **argv)
{
	const char *base = strrchr(argv[0], '/');
	const char *nr = getenv("LIVE_SABOTAGE");

	if (getenv("LIVE_DIR"))
		snprintf(live_dir, sizeof(live_dir), "%s", getenv("LIVE_DIR"));
	snprintf(live_name, sizeof(live_name), "%s", base ? base + 1 : argv[0]);
	live_sabotage_nr = nr ? atoi(nr) : 0;
}

static LIVE_UNUSED void live_path(char *ret, size_t len_bytes, const char *name)
{
	snprintf(ret, len_bytes, "%s/%s", live_dir, name);
}

/* A file of this program's own: NAME.suffix */
#define LIVE_FILE(var, suffix)                                                                               \
	char var[PATH_MAX];                                                                                  \
	snprintf(var, sizeof(var), "%s/%s.%s", live_dir, live_name, suffix)

static void live_note(const char *suffix, int flags, const char *text)
{
	LIVE_FILE(path, suffix);
	LIVE_FILE(temporary, "new");
	int fd = open(flags & O_APPEND ? path : temporary, O_WRONLY | O_CREAT | flags | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(98);
	close(fd);
	if (!(flags & O_APPEND) && rename(temporary, path))
		_exit(99);
}

__attribute__((format(printf, 1, 2))) static void live_fail(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (len > (int)sizeof(text) - 2)
		len = sizeof(text) - 2;
	strcpy(text + len, "\n");
	live_note("fail", O_APPEND, text);
}

/* The preparation went wrong: nothing was tested. */
__attribute__((noreturn, format(printf, 1, 2))) static LIVE_UNUSED void live_die(const char *fmt, ...)
{
	char text[512] = "FAIL setup: ";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + strlen(text), sizeof(text) - strlen(text), fmt, ap);
	va_end(ap);
	live_note("result", O_TRUNC, text);
	_exit(2);
}

__attribute__((noreturn)) static LIVE_UNUSED void live_skip(const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "skip %s", why);
	live_note("result", O_TRUNC, text);
	_exit(0);
}

/* A call that must succeed for the test to make sense; gives its result. */
#define DO(call)                                                                                             \
	({                                                                                                   \
		__typeof__(call) _result = (call);                                                           \
		if ((long)_result == -1)                                                                     \
			live_die("line %d: %s: %s", __LINE__, #call, strerror(errno));                       \
		_result;                                                                                     \
	})

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			live_fail("line %d: %s", __LINE__, #cond);                                           \
	} while (0)

#define CHECK_EQ(is, should)                                                                                 \
	do {                                                                                                 \
		long long _is = (long long)(is), _should = (long long)(should);                              \
		if (_is != _should)                                                                          \
			live_fail("line %d: %s is %lld, not %lld", __LINE__, #is, _is, _should);             \
	} while (0)

/* is within [low, high] */
#define CHECK_RANGE(is, low, high)                                                                           \
	do {                                                                                                 \
		long long _is = (long long)(is), _low = (long long)(low), _high = (long long)(high);         \
		if (_is < _low || _is > _high)                                                               \
			live_fail("line %d: %s is %lld, not in %lld..%lld", __LINE__, #is, _is, _low,        \
				  _high);                                                                    \
	} while (0)

/* a call that must fail, with that errno */
#define CHECK_ERRNO(call, should)                                                                            \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		long _r = (long)(call);                                                                      \
		if (_r != -1 || errno != (should))                                                           \
			live_fail("line %d: %s gave %ld, %s", __LINE__, #call, _r, strerror(errno));         \
	} while (0)

static LIVE_UNUSED int64_t live_now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* Bytes that depend on the seed and on the place. */
static LIVE_UNUSED unsigned char live_byte(unsigned seed, size_t at)
{
	return (unsigned char)((at * 2654435761u >> 7) ^ at ^ seed * 40503u ^ seed >> 3);
}

static LIVE_UNUSED void live_fill(void *p, size_t len_bytes, unsigned seed)
{
	for (size_t i = 0; i < len_bytes; i++)
		((unsigned char *)p)[i] = live_byte(seed, i);
}

static LIVE_UNUSED bool live_same(const void *p, size_t len_bytes, unsigned seed)
{
	for (size_t i = 0; i < len_bytes; i++)
		if (((const unsigned char *)p)[i] != live_byte(seed, i))
			return false;
	return true;
}

/* Waits for the runner's `go` (or for the sabotage to be done). Children and threads of a program may wait
 * here too. */
static LIVE_UNUSED void live_go(void)
{
	LIVE_FILE(sabotaged, "go");
	char path[PATH_MAX];

	live_path(path, sizeof(path), "go");
	while (access(live_sabotage_nr ? sabotaged : path, F_OK))
		poll(NULL, 0, 10);
}

static LIVE_UNUSED void live_wait(int (*sabotage)(int nr))
{
	char text[32];

	if (live_sabotage_nr && sabotage(live_sabotage_nr)) {
		live_note("result", O_TRUNC, "none");
		_exit(0);
	}
	if (live_sabotage_nr)
		live_note("go", O_TRUNC, "");
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	live_note("ready", O_TRUNC, text);
	live_go();
}

/*
 * A child that gets ready before the parent goes on: returns 0 in the child, which then calls
 * live_child_ready and live_go, and ends by live_child_end. In the parent, returns the pid once the child was
 * ready.
 */
static LIVE_UNUSED pid_t live_fork(void)
{
	int ends[2];
	pid_t pid;
	char byte;

	DO(pipe2(ends, O_CLOEXEC));
	pid = DO(fork());
	if (pid == 0) {
		close(ends[0]);
		live_ready_fd = ends[1];
		return 0;
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		live_die("a child did not get ready");
	close(ends[0]);
	return pid;
}

static LIVE_UNUSED void live_child_ready(void)
{
	if (write(live_ready_fd, "x", 1) != 1)
		_exit(97);
	close(live_ready_fd);
	live_ready_fd = -1;
}

__attribute__((noreturn)) static LIVE_UNUSED void live_child_end(void)
{
	_exit(0);
}

/* The child ends by itself, with 0. */
static LIVE_UNUSED void live_reap(pid_t pid)
{
	int status = -1;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static LIVE_UNUSED int live_end(void)
{
	LIVE_FILE(path, "fail");
	char text[600] = "FAIL ";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0) {
		live_note("result", O_TRUNC, "ok");
		return 0;
	}
	len = read(fd, text + 5, sizeof(text) - 6);
	text[len > 0 ? 5 + len : 5] = '\0';
	text[strcspn(text, "\n")] = '\0';
	live_note("result", O_TRUNC, text);
	return 1;
}

/* One file of /proc into buf, NUL-terminated. */
static LIVE_UNUSED size_t live_read_file(const char *path, char *buf, size_t len_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		live_die("%s: %s", path, strerror(errno));
	while (used < len_bytes - 1 && (n = read(fd, buf + used, len_bytes - 1 - used)) > 0)
		used += (size_t)n;
	close(fd);
	buf[used] = '\0';
	return used;
}

/* A number of a line "KEY: number" (of /proc/PID/status and its like), base 10 or 16; -1 if there is none. */
static LIVE_UNUSED long long live_field(const char *text, const char *key, int base)
{
	const char *at = text;
	size_t len = strlen(key);

	while (at && (strncmp(at, key, len) || at[len] != ':')) {
		at = strchr(at, '\n');
		if (at)
			at++;
	}
	return at ? (long long)strtoull(at + len + 1, NULL, base) : -1;
}

#endif
