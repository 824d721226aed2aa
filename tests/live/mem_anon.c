/* SPDX-License-Identifier: GPL-2.0-only */
/* Private anonymous memory: content, holes, zero pages, protections, sparse areas. */
#include "tests/live/live.h"

#define PAGE	 4096ul
#define NR_PAGES 64
#define SPARSE	 (1ul << 30)
#define STRIDE	 (64ul << 20)

static unsigned char *area, *guarded, *sparse, *huge;

static unsigned char *map(size_t len_bytes, int prot, int flags)
{
	return DO(mmap(NULL, len_bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0));
}

/* one page filled, 2 and 3 inaccessible with content, 4 and 5 read-only, 6 executable */
static void make_guarded(void)
{
	guarded = map(8 * PAGE, PROT_READ | PROT_WRITE, 0);
	live_fill(guarded, 8 * PAGE, 77);
	DO(mprotect(guarded + 2 * PAGE, 2 * PAGE, PROT_NONE));
	DO(mprotect(guarded + 4 * PAGE, 2 * PAGE, PROT_READ));
	DO(mprotect(guarded + 6 * PAGE, PAGE, PROT_READ | PROT_EXEC));
}

/* writing to it through a system call tells without a signal whether it is writable, and so for reading */
static bool may_read(const void *p)
{
	int ends[2];
	bool may;

	DO(pipe(ends));
	may = write(ends[1], p, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return may;
}

static bool may_write(void *p)
{
	int fd = DO(open("/dev/zero", O_RDONLY));
	bool may = read(fd, p, 1) == 1;

	close(fd);
	return may;
}

/* -1: not mapped at all */
static int is_resident(const unsigned char *p)
{
	unsigned char in = 0;

	return mincore((void *)p, PAGE, &in) ? -1 : in & 1;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		area[5 * PAGE + 17] ^= 1;
		return 0;
	case 2:
		area[12 * PAGE] = 1;
		return 0;
	case 3:
		return mprotect(guarded + 2 * PAGE, PAGE, PROT_READ);
	case 4:
		return mprotect(guarded + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	case 5:
		sparse[3 * STRIDE] ^= 1;
		return 0;
	case 6:
		return munmap(sparse + STRIDE / 2, PAGE);
	case 7:
		huge[3 << 20] ^= 1;
		return 0;
	case 8:
		return mprotect(guarded + 2 * PAGE, PAGE, PROT_WRITE | PROT_READ) ||
		       ((guarded[2 * PAGE + 5] ^= 1), mprotect(guarded + 2 * PAGE, PAGE, PROT_NONE));
	}
	return -1;
}

static void check_guarded(void)
{
	CHECK(may_read(guarded) && !may_read(guarded + 2 * PAGE) && !may_read(guarded + 3 * PAGE));
	CHECK(may_read(guarded + 4 * PAGE) && !may_write(guarded + 4 * PAGE) &&
	      !may_write(guarded + 6 * PAGE));
	CHECK(may_write(guarded + 7 * PAGE));
	DO(mprotect(guarded, 7 * PAGE, PROT_READ | PROT_WRITE));
	CHECK(live_same(guarded, 7 * PAGE, 77));
}

int main(void)
{
	area = map(NR_PAGES * PAGE, PROT_READ | PROT_WRITE, 0);
	for (size_t i = 0; i < NR_PAGES; i++)
		if (i < 10 || i >= 30)
			live_fill(area + i * PAGE, PAGE, (unsigned)i);
	memset(area + 20 * PAGE, 0, 10 * PAGE);
	make_guarded();
	sparse = map(SPARSE, PROT_READ | PROT_WRITE, MAP_NORESERVE);
	for (size_t at = 0; at < SPARSE; at += STRIDE)
		live_fill(sparse + at, PAGE, (unsigned)(at >> 20));
	huge = map(8 << 20, PROT_READ | PROT_WRITE, 0);
	madvise(huge, 8 << 20, MADV_HUGEPAGE);
	live_fill(huge, 8 << 20, 5);

	live_wait(sabotage);

	for (size_t i = 0; i < NR_PAGES; i++) {
		if (i < 10 || i >= 30)
			CHECK(live_same(area + i * PAGE, PAGE, (unsigned)i));
		else
			for (size_t at = 0; at < PAGE; at++)
				CHECK(area[i * PAGE + at] == 0);
	}
	check_guarded();
	CHECK_EQ(is_resident(sparse + STRIDE / 2), 0);
	for (size_t at = 0; at < SPARSE; at += STRIDE)
		CHECK(live_same(sparse + at, PAGE, (unsigned)(at >> 20)));
	CHECK(!may_read(sparse + STRIDE / 2) || sparse[STRIDE / 2] == 0);
	CHECK(live_same(huge, 8 << 20, 5));
	memset(area, 1, NR_PAGES * PAGE);
	memset(huge, 1, 8 << 20);
	return live_end();
}
