/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages shared copy-on-write by parent and children stay shared: three processes, one copy of what nobody
 * changed. */
#include "tests/live/live.h"

#define PAGE 4096ul
#define LEN  (8ul << 20)

static unsigned char *area;

/* KiB of the mapping's pages that others have too */
static long shared_kib(void)
{
	static char text[256 << 10];
	char start[32], *at;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)area);
	live_read_file("/proc/self/smaps", text, sizeof(text));
	at = strstr(text, start);
	if (!at)
		return -1;
	return (long)live_field(at, "Shared_Dirty", 10) + (long)live_field(at, "Shared_Clean", 10);
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		for (size_t at = 0; at < LEN; at += PAGE)
			*(volatile unsigned char *)(area + at) = area[at];
		return 0;
	case 2:
		area[LEN / 2] ^= 1;
		return 0;
	}
	return -1;
}

static void child(unsigned nr)
{
	area[0] = (unsigned char)nr; /* one page of its own */
	live_fill(area + (nr + 1) * PAGE, PAGE, nr);
	live_child_ready();
	live_go();
	CHECK_EQ(area[0], nr);
	CHECK(live_same(area + (nr + 1) * PAGE, PAGE, nr));
	for (size_t i = 0; i < LEN / PAGE; i++)
		if (i != 0 && i != nr + 1)
			CHECK(live_same(area + i * PAGE, PAGE, 1000 + (unsigned)i));
	CHECK_RANGE(shared_kib(), (LEN - 8 * PAGE) >> 10, LEN >> 10);
	poll(NULL, 0, 1500); /* the others measure too */
	live_child_end();
}

int main(void)
{
	pid_t pids[2];

	area = DO(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	DO(madvise(area, LEN, MADV_NOHUGEPAGE));
	for (size_t i = 0; i < LEN / PAGE; i++)
		live_fill(area + i * PAGE, PAGE, 1000 + (unsigned)i);
	for (unsigned i = 0; i < 2; i++) {
		pids[i] = live_fork();
		if (!pids[i])
			child(i + 1);
	}

	live_wait(sabotage);

	CHECK_RANGE(shared_kib(), (LEN - 8 * PAGE) >> 10, LEN >> 10);
	for (size_t i = 0; i < LEN / PAGE; i++)
		CHECK(live_same(area + i * PAGE, PAGE, 1000 + (unsigned)i));
	live_reap(pids[0]);
	live_reap(pids[1]);
	return live_end();
}
