/* SPDX-License-Identifier: GPL-2.0-only */
/* Descriptors of the plain devices, and mappings of /dev/zero. */
#include <sys/sysmacros.h>

#include "tests/live/live.h"

static const struct {
	const char *path;
	unsigned minor;
	int flags;
} devices[] = {
	{"/dev/null", 3, O_RDWR | O_APPEND},
	{"/dev/zero", 5, O_RDONLY | O_CLOEXEC},
	{"/dev/full", 7, O_WRONLY},
	{"/dev/random", 8, O_RDONLY},
	{"/dev/urandom", 9, O_RDONLY | O_NONBLOCK},
};
#define NR (sizeof(devices) / sizeof(devices[0]))
static int fds[NR];
static unsigned char *zero_map;

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return dup2(fds[0], fds[1]) < 0;
	case 2:
		return fcntl(fds[0], F_SETFL, 0);
	case 3:
		zero_map[100] = 0;
		return 0;
	case 4:
		return fcntl(fds[1], F_SETFD, 0);
	}
	return -1;
}

int main(void)
{
	unsigned char buf[64];

	for (size_t i = 0; i < NR; i++)
		fds[i] = DO(open(devices[i].path, devices[i].flags));
	zero_map = DO(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[1], 0));
	live_fill(zero_map, 4096, 3);

	live_wait(sabotage);

	for (size_t i = 0; i < NR; i++) {
		const int kept = O_ACCMODE | O_APPEND | O_NONBLOCK;
		struct stat st;

		CHECK(!fstat(fds[i], &st) && S_ISCHR(st.st_mode));
		CHECK_EQ(st.st_rdev, makedev(1, devices[i].minor));
		CHECK_EQ(fcntl(fds[i], F_GETFL) & kept, devices[i].flags & kept);
		CHECK_EQ(fcntl(fds[i], F_GETFD), devices[i].flags & O_CLOEXEC ? FD_CLOEXEC : 0);
	}
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 0);
	CHECK_EQ(write(fds[0], buf, sizeof(buf)), sizeof(buf));
	buf[0] = 1;
	CHECK(read(fds[1], buf, sizeof(buf)) == sizeof(buf) && buf[0] == 0);
	CHECK_ERRNO(write(fds[2], buf, 1), ENOSPC);
	CHECK_EQ(read(fds[4], buf, sizeof(buf)), sizeof(buf));
	CHECK(live_same(zero_map, 4096, 3));
	CHECK_EQ(zero_map[5000], 0);
	return live_end();
}
