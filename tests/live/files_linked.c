/* SPDX-License-Identifier: GPL-2.0-only */
/* A descriptor whose own name is gone while its file lives on under another: it must stay that file. */
#include "tests/live/live.h"

static int linked;

static int sabotage(int nr)
{
	LIVE_FILE(second, "second");

	switch (nr) {
	case 1:
		return unlink(second);
	case 2:
		return lseek(linked, 0, SEEK_SET) != 0;
	}
	return -1;
}

int main(void)
{
	LIVE_FILE(first, "first");
	LIVE_FILE(second, "second");
	unsigned char buf[5000];
	struct stat st, by_path;

	unlink(second);
	live_fill(buf, sizeof(buf), 2);
	linked = DO(open(first, O_RDWR | O_CREAT | O_TRUNC, 0640));
	DO(write(linked, buf, sizeof(buf)));
	DO(lseek(linked, 99, SEEK_SET));
	DO(link(first, second));
	DO(unlink(first));

	live_wait(sabotage);

	CHECK_EQ(lseek(linked, 0, SEEK_CUR), 99);
	CHECK(!fstat(linked, &st) && st.st_nlink == 1 && !stat(second, &by_path) &&
	      by_path.st_ino == st.st_ino);
	CHECK_EQ(pwrite(linked, "new", 3, 10), 3);
	CHECK_ERRNO(access(first, F_OK), ENOENT);
	return live_end();
}
