/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared memory: anonymous across fork, memfd with its descriptor, seals and offsets; one object stays one
 * object. */
#include "tests/live/live.h"

#define PAGE 4096ul
#define LEN  (32 * PAGE)

static unsigned char *shared, *memfd_low, *memfd_again, *memfd_private;
static int fd, sealed;

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		shared[3 * PAGE] ^= 1;
		return 0;
	case 2: /* our own copy instead of the one object */
		return mmap(shared, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) == MAP_FAILED;
	case 3:
		return ftruncate(fd, LEN - PAGE);
	case 4:
		return mmap(memfd_again, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED;
	case 5:
		memfd_private[2 * PAGE] ^= 1;
		return 0;
	case 6:
		return fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK);
	case 7:
		return lseek(fd, 1, SEEK_SET) != 1;
	}
	return -1;
}

/* the child and the parent see each other's writes in turn */
static void child(void)
{
	live_go();
	CHECK(live_same(shared + PAGE, LEN - PAGE, 9));
	shared[1] = 42;
	memfd_low[5 * PAGE] = 43;
	live_child_end();
}

int main(void)
{
	char link[64], name[64];
	pid_t pid;
	ssize_t len;

	shared = DO(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	live_fill(shared + PAGE, LEN - PAGE, 9);
	shared[0] = 11;
	fd = DO(memfd_create("live", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	DO(ftruncate(fd, LEN));
	memfd_low = DO(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	memfd_again = DO(mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 4 * PAGE));
	memfd_private = DO(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 8 * PAGE));
	live_fill(memfd_low, 16 * PAGE, 4); /* the rest stays a hole */
	live_fill(memfd_private + PAGE, PAGE, 5);
	DO(lseek(fd, 777, SEEK_SET));
	sealed = DO(memfd_create("sealed", MFD_ALLOW_SEALING));
	DO(ftruncate(sealed, PAGE));
	DO(fcntl(sealed, F_ADD_SEALS, F_SEAL_GROW));
	pid = live_fork();
	if (!pid) {
		live_child_ready();
		child();
	}

	live_wait(sabotage);

	CHECK_EQ(shared[0], 11);
	live_reap(pid);
	CHECK_EQ(shared[1], 42);
	CHECK_EQ(memfd_low[5 * PAGE], 43);
	CHECK_EQ(memfd_again[PAGE], 43);
	CHECK(live_same(shared + PAGE, LEN - PAGE, 9));
	CHECK(live_same(memfd_low, 5 * PAGE, 4));
	CHECK_EQ(memfd_low[20 * PAGE], 0);
	CHECK(live_same(memfd_private + PAGE, PAGE, 5));
	CHECK(!memcmp(memfd_private + 2 * PAGE, memfd_low + 10 * PAGE, PAGE));
	memfd_private[0] = (unsigned char)(memfd_low[8 * PAGE] + 1);
	CHECK(memfd_private[0] != memfd_low[8 * PAGE]);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 777);
	CHECK_EQ(lseek(fd, 0, SEEK_END), LEN);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(sealed, F_GETFD), 0);
	CHECK_EQ(fcntl(sealed, F_GET_SEALS), F_SEAL_GROW);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK_ERRNO(ftruncate(sealed, 2 * PAGE), EPERM);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = DO(readlink(link, name, sizeof(name) - 1));
	name[len] = '\0';
	CHECK(!strcmp(name, "/memfd:live (deleted)"));
	return live_end();
}
