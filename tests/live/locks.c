/* SPDX-License-Identifier: GPL-2.0-only */
/* Locks on files: of an open file (flock, also shared with a child), of a process (POSIX, parts of a file),
 * and OFD. */
#include <sys/file.h>

#include "tests/live/live.h"

static int whole, shared, parts, ofd;
static pid_t holder;

static int open_file(const char *suffix)
{
	LIVE_FILE(path, suffix);

	return DO(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

/* Would another open file get it? The holder is in *ret_pid: -1 an OFD lock. */
static bool would_get(const char *suffix, short type, off_t start, off_t len, pid_t *ret_pid)
{
	struct flock l = range(type, start, len);
	int fd = open_file(suffix);
	bool ret = !fcntl(fd, F_OFD_GETLK, &l) && l.l_type == F_UNLCK;

	*ret_pid = l.l_pid;
	close(fd);
	return ret;
}

static void hold(void)
{
	struct flock l = range(F_WRLCK, 100, 100);

	parts = open_file("parts");
	DO(fcntl(parts, F_SETLK, &l));
	l = range(F_RDLCK, 1000, 0);
	DO(fcntl(parts, F_SETLK, &l));
	live_child_ready();
	live_go();
	poll(NULL, 0, 300); /* the parent looks, and must not be the one who closes the file */
	live_child_end();
}

static int sabotage(int nr)
{
	struct flock l = range(F_UNLCK, 0, 0);

	switch (nr) {
	case 1:
		return flock(whole, LOCK_UN);
	case 2:
		return flock(shared, LOCK_EX);
	case 3:
		return fcntl(ofd, F_OFD_SETLK, &l);
	case 4:
		return kill(holder, SIGKILL) || waitpid(holder, NULL, 0) < 0;
	}
	return -1;
}

int main(void)
{
	struct flock l = range(F_WRLCK, 5, 5);
	int other;
	pid_t pid;

	whole = open_file("whole");
	DO(flock(whole, LOCK_EX));
	shared = open_file("shared");
	DO(flock(shared, LOCK_SH));
	ofd = open_file("ofd");
	DO(fcntl(ofd, F_OFD_SETLK, &l));
	holder = live_fork();
	if (!holder)
		hold();

	live_wait(sabotage);

	CHECK(!would_get("parts", F_RDLCK, 199, 1, &pid) && pid == holder);
	CHECK(would_get("parts", F_WRLCK, 0, 100, &pid) && would_get("parts", F_WRLCK, 200, 800, &pid));
	CHECK(would_get("parts", F_RDLCK, 1000, 0, &pid) && !would_get("parts", F_WRLCK, 1 << 20, 1, &pid));
	CHECK(!would_get("ofd", F_RDLCK, 9, 1, &pid) && pid == -1);
	CHECK(would_get("ofd", F_WRLCK, 10, 0, &pid));
	other = open_file("whole");
	CHECK_ERRNO(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK(!flock(whole, LOCK_UN) && !flock(other, LOCK_SH | LOCK_NB));
	other = open_file("shared");
	CHECK(!flock(other, LOCK_SH | LOCK_NB));
	CHECK_ERRNO(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	live_reap(holder);
	CHECK(would_get("parts", F_WRLCK, 0, 0, &pid));
	return live_end();
}
