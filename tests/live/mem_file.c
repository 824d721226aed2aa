/* SPDX-License-Identifier: GPL-2.0-only */
/* Mapped files: private with changes of our own, shared, with an offset, past the end, of a deleted file. */
#include <setjmp.h>

#include "tests/live/live.h"

#define PAGE 4096ul
#define LEN  (16 * PAGE)

static unsigned char *private_map, *shared_map, *gone_map, *short_map;
static int fd, gone_fd;
static sigjmp_buf on_bus;

static int make_file(const char *suffix, unsigned seed, size_t len_bytes)
{
	LIVE_FILE(path, suffix);
	static unsigned char content[LEN];
	int file = DO(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));

	live_fill(content, sizeof(content), seed);
	if (write(file, content, len_bytes) != (ssize_t)len_bytes)
		live_die("write: %s", strerror(errno));
	return file;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		private_map[PAGE] ^= 1;
		return 0;
	case 2:
		return madvise(private_map, LEN, MADV_DONTNEED); /* our changes are gone */
	case 3:
		return mmap(shared_map, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
			    2 * PAGE) == MAP_FAILED;
	case 4:
		gone_map[5] ^= 1;
		return 0;
	case 5:
		return ftruncate(gone_fd, PAGE);
	case 6:
		return mmap(short_map + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) == MAP_FAILED;
	}
	return -1;
}

static void bus(int sig)
{
	siglongjmp(on_bus, 1);
}

static bool raises_bus(volatile unsigned char *p)
{
	signal(SIGBUS, bus);
	if (sigsetjmp(on_bus, 1))
		return true;
	(void)*p;
	return false;
}

int main(void)
{
	LIVE_FILE(gone_path, "gone");
	unsigned char page[PAGE];
	int short_fd;

	fd = make_file("data", 3, LEN);
	private_map = DO(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	live_fill(private_map + 4 * PAGE, 3 * PAGE, 8);
	shared_map = DO(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 2 * PAGE));
	live_fill(shared_map + 8, 100, 12); /* bytes 8..107 of page 2 */
	gone_fd = make_file("gone", 21, LEN);
	gone_map = DO(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, gone_fd, 0));
	DO(unlink(gone_path));
	short_fd = make_file("short", 22, PAGE / 2);
	short_map = DO(mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, short_fd, 0));

	live_wait(sabotage);

	CHECK(live_same(private_map + 4 * PAGE, 3 * PAGE, 8));
	CHECK(pread(fd, page, PAGE, PAGE) == (ssize_t)PAGE && !memcmp(private_map + PAGE, page, PAGE));
	CHECK(pread(fd, page, PAGE, 4 * PAGE) == (ssize_t)PAGE && memcmp(private_map + 4 * PAGE, page, PAGE));
	CHECK(live_same(shared_map + 8, 100, 12));
	CHECK(pread(fd, page, 100, 2 * PAGE + 8) == 100 && live_same(page, 100, 12));
	shared_map[9] = 99; /* still the file itself */
	CHECK(pread(fd, page, 1, 2 * PAGE + 9) == 1 && page[0] == 99);
	CHECK_EQ(private_map[2 * PAGE + 9], 99);
	CHECK(live_same(gone_map, LEN, 21));
	gone_map[7] = 98;
	CHECK(pread(gone_fd, page, 1, 7) == 1 && page[0] == 98);
	CHECK_EQ(lseek(gone_fd, 0, SEEK_END), LEN);
	CHECK_ERRNO(access(gone_path, F_OK), ENOENT);
	CHECK(live_same(short_map, PAGE / 2, 22));
	CHECK_EQ(short_map[PAGE / 2], 0);
	CHECK(raises_bus(short_map + PAGE));
	return live_end();
}
