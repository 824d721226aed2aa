/* SPDX-License-Identifier: GPL-2.0-only */
/* Files without a name: content, size, holes, mode, owner; one object behind several descriptors. */
#include "tests/live/live.h"

#define LEN 100000

static int alone, again, by_other_process, sparse, temporary, empty, gone_dir;

static int make(const char *suffix, unsigned seed)
{
	LIVE_FILE(path, suffix);
	static unsigned char content[LEN];
	int fd = DO(open(path, O_RDWR | O_CREAT | O_TRUNC, 0640));

	live_fill(content, LEN, seed);
	if (write(fd, content, LEN) != LEN)
		live_die("write");
	return fd;
}

static void make_alone(void)
{
	LIVE_FILE(path, "alone");

	alone = make("alone", 1);
	DO(fchmod(alone, 0614));
	DO(lseek(alone, 777, SEEK_SET));
	again = DO(open(path, O_WRONLY | O_APPEND));
	by_other_process = DO(open(path, O_RDONLY));
	DO(unlink(path));
}

static int sabotage(int nr)
{
	LIVE_FILE(alone_path, "alone");

	switch (nr) {
	case 1:
		return pwrite(alone, "x", 1, 5000) != 1;
	case 2:
		return ftruncate(alone, LEN - 1);
	case 3: /* two objects where there was one */
		return dup2(temporary, again) < 0;
	case 4:
		return fchmod(alone, 0600);
	case 5:
		return pwrite(sparse, "x", 1, 3 << 20) != 1;
	case 6:
		return lseek(alone, 0, SEEK_SET) != 0;
	case 7: /* a name that was not there */
		return open(alone_path, O_CREAT | O_WRONLY, 0600) < 0;
	}
	return -1;
}

static void check_sparse(void)
{
	unsigned char byte = 1;
	struct stat st;

	CHECK(!fstat(sparse, &st) && st.st_size == (8 << 20) + 4);
	CHECK_RANGE(st.st_blocks, 0, 256); /* the hole is one */
	CHECK(pread(sparse, &byte, 1, 3 << 20) == 1 && byte == 0);
	CHECK(pread(sparse, &byte, 1, 8 << 20) == 1 && byte == 't');
}

static void child(void)
{
	unsigned char buf[LEN];

	live_child_ready();
	live_go();
	CHECK(pread(by_other_process, buf, LEN, 0) == LEN && live_same(buf, LEN, 1));
	live_child_end();
}

int main(void)
{
	LIVE_FILE(alone_path, "alone");
	LIVE_FILE(sparse_path, "sparse");
	LIVE_FILE(dir_path, "dir");
	static unsigned char buf[LEN];
	struct stat st, other;
	pid_t pid;

	make_alone();
	sparse = DO(open(sparse_path, O_RDWR | O_CREAT | O_TRUNC, 0600));
	CHECK_EQ(pwrite(sparse, "tail", 4, 8 << 20), 4);
	DO(unlink(sparse_path));
	temporary = DO(open(live_dir, O_RDWR | O_TMPFILE, 0600));
	CHECK_EQ(write(temporary, "temporary", 9), 9);
	empty = DO(open(sparse_path, O_RDWR | O_CREAT | O_EXCL, 0600));
	DO(unlink(sparse_path));
	mkdir(dir_path, 0711);
	gone_dir = DO(open(dir_path, O_RDONLY | O_DIRECTORY));
	DO(rmdir(dir_path));
	pid = live_fork();
	if (!pid)
		child();
	close(by_other_process);

	live_wait(sabotage);

	CHECK_ERRNO(access(alone_path, F_OK), ENOENT);
	CHECK_EQ(lseek(alone, 0, SEEK_CUR), 777);
	CHECK(pread(alone, buf, LEN, 0) == LEN && live_same(buf, LEN, 1));
	CHECK(!fstat(alone, &st) && st.st_nlink == 0 && st.st_size == LEN && (st.st_mode & 07777) == 0614);
	CHECK(!fstat(again, &other) && other.st_ino == st.st_ino && other.st_dev == st.st_dev);
	live_reap(pid);
	CHECK_EQ(write(again, "more", 4), 4);
	CHECK(pread(alone, buf, 4, LEN) == 4 && !memcmp(buf, "more", 4));
	check_sparse();
	CHECK(pread(temporary, buf, 20, 0) == 9 && !memcmp(buf, "temporary", 9));
	CHECK(!fstat(empty, &st) && st.st_size == 0 && st.st_nlink == 0);
	CHECK(!fstat(gone_dir, &st) && S_ISDIR(st.st_mode));
	CHECK_ERRNO(access(dir_path, F_OK), ENOENT);
	return live_end();
}
