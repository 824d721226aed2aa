/* SPDX-License-Identifier: GPL-2.0-only */
/* Open regular files and directories: position, flags, numbers; renamed, deleted and linked files; places in
 * directories. */
#include <dirent.h>

#include "tests/live/live.h"

#define LEN 10000

static int plain, append, readonly, truncated_later, high, path_only, directory, nonblock;
static DIR *listing;
static char seen[64][16];
static int nr_seen;

static int make(const char *suffix, int flags, unsigned seed)
{
	LIVE_FILE(path, suffix);
	static unsigned char content[LEN];
	int fd = DO(open(path, O_RDWR | O_CREAT | O_TRUNC, 0640));

	live_fill(content, LEN, seed);
	if (write(fd, content, LEN) != LEN)
		live_die("write");
	close(fd);
	return DO(open(path, flags));
}

static void make_directory(void)
{
	LIVE_FILE(path, "dir");
	struct dirent *entry;

	mkdir(path, 0755);
	directory = DO(open(path, O_RDONLY | O_DIRECTORY));
	for (int i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof(name), "entry%d", i);
		close(DO(openat(directory, name, O_WRONLY | O_CREAT, 0600)));
	}
	listing = opendir(path);
	while (nr_seen < 10 && (entry = readdir(listing)))
		snprintf(seen[nr_seen++], sizeof(seen[0]), "%.15s", entry->d_name);
}

static int sabotage(int nr)
{
	LIVE_FILE(dir, "dir");

	switch (nr) {
	case 1:
		return lseek(plain, 1, SEEK_SET) != 1;
	case 2:
		return fcntl(append, F_SETFL, 0);
	case 3:
		return close(high);
	case 4:
		return fcntl(high, F_SETFD, 0);
	case 5:
		return dup2(plain, readonly) < 0;
	case 6:
		rewinddir(listing);
		return 0;
	case 7:
		return fcntl(nonblock, F_SETFL, O_RDONLY);
	case 8:
		return dup2(directory, path_only) < 0;
	case 9:
		return open(dir, O_RDONLY) < 0; /* a descriptor that was not there */
	}
	return -1;
}

static void check_directory(void)
{
	LIVE_FILE(path, "dir");
	struct dirent *entry;
	struct stat st, by_path;
	int total = nr_seen, doubled = 0;

	while ((entry = readdir(listing))) {
		for (int i = 0; i < nr_seen; i++)
			doubled += !strcmp(entry->d_name, seen[i]);
		total++;
	}
	CHECK_EQ(doubled, 0);
	CHECK_EQ(total, 42);
	CHECK_EQ(faccessat(directory, "entry5", F_OK, 0), 0);
	CHECK(!fstat(directory, &st) && !stat(path, &by_path) && st.st_ino == by_path.st_ino);
	CHECK(fcntl(directory, F_GETFL) & O_DIRECTORY);
}

static int nr_open(void)
{
	int nr = 0;

	for (int fd = 0; fd < 1024; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

int main(void)
{
	LIVE_FILE(old_path, "renamed");
	LIVE_FILE(new_path, "renamed.new");
	unsigned char buf[LEN];
	struct stat st, by_path;
	int renamed, opened;

	plain = make("plain", O_RDWR, 1);
	DO(lseek(plain, 1234, SEEK_SET));
	append = make("append", O_WRONLY | O_APPEND | O_SYNC, 2);
	readonly = make("readonly", O_RDONLY | O_NOATIME, 3);
	DO(lseek(readonly, 1ll << 33, SEEK_SET)); /* past 4 GiB and the end */
	nonblock = make("nonblock", O_RDONLY | O_NONBLOCK, 6);
	high = DO(fcntl(plain, F_DUPFD_CLOEXEC, 700));
	path_only = make("pathonly", O_PATH, 4);
	truncated_later = make("truncated", O_RDWR, 5);
	DO(lseek(truncated_later, 5000, SEEK_SET));
	DO(ftruncate(truncated_later, 100));
	renamed = make("renamed", O_RDWR, 7);
	DO(rename(old_path, new_path));
	make_directory();
	opened = nr_open();

	live_wait(sabotage);

	CHECK_EQ(nr_open(), opened);
	CHECK_EQ(lseek(plain, 0, SEEK_CUR), 1234);
	CHECK_EQ(fcntl(plain, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR);
	CHECK(read(plain, buf, 100) == 100 && live_byte(1, 1234) == buf[0]);
	CHECK_EQ(lseek(high, 0, SEEK_CUR), 1334); /* shares the position */
	CHECK_EQ(fcntl(high, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(plain, F_GETFD), 0);
	CHECK_EQ(fcntl(append, F_GETFL) & (O_ACCMODE | O_APPEND | O_SYNC), O_WRONLY | O_APPEND | O_SYNC);
	CHECK_EQ(write(append, "end", 3), 3);
	CHECK(!fstat(append, &st) && st.st_size == LEN + 3);
	CHECK_EQ(fcntl(readonly, F_GETFL) & (O_ACCMODE | O_NOATIME), O_RDONLY | O_NOATIME);
	CHECK_EQ(lseek(readonly, 0, SEEK_CUR), 1ll << 33);
	CHECK_ERRNO(write(readonly, "x", 1), EBADF);
	CHECK_EQ(fcntl(nonblock, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK(fcntl(path_only, F_GETFL) & O_PATH);
	CHECK_ERRNO(read(path_only, buf, 1), EBADF);
	CHECK_EQ(lseek(truncated_later, 0, SEEK_CUR), 5000);
	CHECK(!fstat(truncated_later, &st) && st.st_size == 100);
	CHECK(!fstat(renamed, &st) && !stat(new_path, &by_path) && st.st_ino == by_path.st_ino);
	CHECK(pread(renamed, buf, LEN, 0) == LEN && live_same(buf, LEN, 7));
	check_directory();
	return live_end();
}
