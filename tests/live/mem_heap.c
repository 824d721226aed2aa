/* SPDX-License-Identifier: GPL-2.0-only */
/* brk heap, a deep stack, and what the kernel put on the stack at the start: arguments, environment,
 * auxiliary vector. */
#include <elf.h>
#include <sys/auxv.h>
#include <sys/resource.h>

#include "tests/live/live.h"

#define DEPTH 200
#define FRAME 8192

static unsigned char *heap_end;
static unsigned char *heap_block;
static unsigned long auxv_before[64], auxv_after[64];
static unsigned char at_random[16];

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		heap_block[123456] ^= 1;
		return 0;
	case 2:
		return sbrk(4096) == (void *)-1;
	case 3:
		((unsigned char *)getauxval(AT_RANDOM))[3] ^= 1;
		return 0;
	case 4:
		return setenv("LIVE_ENV", "other", 1);
	}
	return -1;
}

static void check_heap(void)
{
	CHECK(sbrk(0) == heap_end);
	CHECK(live_same(heap_block, 1 << 20, 31));
	CHECK(sbrk(65536) == heap_end);
	memset(heap_end, 5, 65536);
	CHECK_EQ(heap_end[65535], 5);
	CHECK(sbrk(-65536) == heap_end + 65536);
	CHECK(sbrk(0) == heap_end);
}

static void read_auxv(unsigned long *ret)
{
	int fd = DO(open("/proc/self/auxv", O_RDONLY));

	if (read(fd, ret, 64 * sizeof(*ret)) < 64)
		live_die("auxv");
	close(fd);
}

static __attribute__((noinline)) void grow(int depth)
{
	volatile unsigned char frame[FRAME];

	memset((void *)frame, depth & 255, sizeof(frame));
	if (depth > 0)
		grow(depth - 1);
	CHECK_EQ(frame[FRAME / 2], depth & 255);
}

static __attribute__((noinline)) void descend(int depth)
{
	volatile unsigned char frame[FRAME];

	live_fill((void *)frame, FRAME, (unsigned)depth);
	if (depth > 0) {
		descend(depth - 1);
	} else {
		live_wait(sabotage);
		check_heap();
		grow(DEPTH); /* further down than before */
	}
	CHECK(live_same((const void *)frame, FRAME, (unsigned)depth));
}

int main(int argc, char **argv)
{
	char cmdline_before[1024], cmdline_after[1024];
	size_t len_before, len_after;

	setenv("LIVE_ENV", "value", 1);
	heap_block = sbrk(1 << 20);
	live_fill(heap_block, 1 << 20, 31);
	heap_end = sbrk(0);
	read_auxv(auxv_before);
	memcpy(at_random, (void *)getauxval(AT_RANDOM), 16);
	len_before = live_read_file("/proc/self/cmdline", cmdline_before, sizeof(cmdline_before));

	descend(DEPTH);

	read_auxv(auxv_after);
	for (size_t i = 0; i < 64 && auxv_before[i] != AT_NULL; i += 2) {
		CHECK_EQ(auxv_after[i], auxv_before[i]);
		CHECK_EQ(auxv_after[i + 1], auxv_before[i + 1]);
	}
	CHECK(!memcmp(at_random, (void *)getauxval(AT_RANDOM), 16));
	CHECK(!strcmp(getenv("LIVE_ENV"), "value"));
	len_after = live_read_file("/proc/self/cmdline", cmdline_after, sizeof(cmdline_after));
	CHECK_EQ(len_after, len_before);
	CHECK(!memcmp(cmdline_before, cmdline_after, len_before));
	CHECK(!strcmp(strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0], live_name));
	return live_end();
}
