/* SPDX-License-Identifier: GPL-2.0-only */
/* Named pipes: data inside, both ends in different processes, a descriptor open for both, a name that is
 * gone. */
#include "tests/live/live.h"

static int reader, both, gone;

static int make(const char *suffix, int flags)
{
	LIVE_FILE(path, suffix);

	unlink(path);
	DO(mkfifo(path, 0622));
	return DO(open(path, flags));
}

static int sabotage(int nr)
{
	char byte;

	switch (nr) {
	case 1:
		return read(reader, &byte, 1) != 1;
	case 2:
		return read(both, &byte, 1) != 1;
	case 3:
		return write(gone, "x", 1) != 1;
	case 4:
		return fcntl(reader, F_SETFL, 0);
	}
	return -1;
}

static void writing_child(void)
{
	LIVE_FILE(path, "fifo");
	int fd = DO(open(path, O_WRONLY));

	DO(write(fd, "from the child", 14));
	live_child_ready();
	live_go();
	CHECK_EQ(write(fd, " and again", 10), 10);
	live_child_end();
}

int main(void)
{
	LIVE_FILE(path, "fifo");
	LIVE_FILE(gone_path, "gone");
	struct stat st, by_path;
	char buf[64];
	pid_t pid;
	int writer;

	reader = make("fifo", O_RDONLY | O_NONBLOCK);
	pid = live_fork();
	if (!pid)
		writing_child();
	both = make("both", O_RDWR);
	DO(write(both, "to myself", 9));
	gone = make("gone", O_RDWR | O_NONBLOCK);
	DO(write(gone, "nameless", 8));
	DO(unlink(gone_path));

	live_wait(sabotage);

	CHECK_EQ(fcntl(reader, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	live_reap(pid);
	CHECK(read(reader, buf, sizeof(buf)) == 24 && !memcmp(buf, "from the child and again", 24));
	CHECK_EQ(read(reader, buf, sizeof(buf)), 0); /* no writer is left */
	CHECK(!fstat(reader, &st) && !stat(path, &by_path) && st.st_ino == by_path.st_ino &&
	      S_ISFIFO(st.st_mode));
	writer = open(path, O_WRONLY | O_NONBLOCK); /* a new writer finds the old reader */
	CHECK(writer >= 0 && write(writer, "new", 3) == 3);
	CHECK(read(reader, buf, sizeof(buf)) == 3 && !memcmp(buf, "new", 3));
	CHECK(read(both, buf, sizeof(buf)) == 9 && !memcmp(buf, "to myself", 9));
	CHECK(read(gone, buf, sizeof(buf)) == 8 && !memcmp(buf, "nameless", 8));
	CHECK(write(gone, "more", 4) == 4 && read(gone, buf, sizeof(buf)) == 4);
	CHECK_ERRNO(access(gone_path, F_OK), ENOENT);
	return live_end();
}
