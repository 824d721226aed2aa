/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clocks, read through the vdso all the time by a thread: none that must not goes back, none jumps by more
 * than the time the VE stood still, vdso and system call agree.
 */
#include <pthread.h>
#include <sys/auxv.h>

#include "tests/live/live.h"

/* CLOCK_MONOTONIC_RAW cannot be kept: a time namespace gives it the offset of CLOCK_MONOTONIC, its rate is
 * another. */
static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE};
#define NR 3
static volatile int stop;
static int64_t last_ns[NR], fell_ns[NR], longest_ns;
static volatile uint64_t reads;
static unsigned long vdso;
static int64_t lie_ns;

static void *watch(void *arg)
{
	while (!stop) {
		for (int i = 0; i < NR; i++) {
			int64_t now = live_now_ns(clocks[i]) - (i == 0 ? lie_ns : 0);

			if (now < last_ns[i])
				fell_ns[i] = last_ns[i] - now;
			if (i == 0 && last_ns[i] && now - last_ns[i] > longest_ns)
				longest_ns = now - last_ns[i];
			last_ns[i] = now;
		}
		if (!(++reads & 1023))
			poll(NULL, 0, 1);
	}
	return NULL;
}

static int64_t by_syscall_ns(clockid_t clock)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, clock, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		lie_ns = 1000000000;
		poll(NULL, 0, 20);
		return 0;
	case 2:
		lie_ns = -100000000000;
		poll(NULL, 0, 20);
		lie_ns = 0;
		longest_ns = 100000000000;
		memset(fell_ns, 0, sizeof(fell_ns));
		return 0;
	}
	return -1;
}

int main(void)
{
	pthread_t thread;
	uint64_t before;

	vdso = getauxval(AT_SYSINFO_EHDR);
	CHECK(vdso && !memcmp((void *)vdso, "\177ELF", 4));
	if (pthread_create(&thread, NULL, watch, NULL))
		live_die("pthread_create");
	poll(NULL, 0, 50);

	live_wait(sabotage);

	before = reads;
	poll(NULL, 0, 50);
	CHECK(reads > before);
	stop = 1;
	pthread_join(thread, NULL);
	for (int i = 0; i < NR; i++) {
		int64_t first = live_now_ns(clocks[i]), middle = by_syscall_ns(clocks[i]),
			last = live_now_ns(clocks[i]);

		if (fell_ns[i])
			live_fail("clock %d went back by %lld ns", clocks[i], (long long)fell_ns[i]);
		CHECK_RANGE(middle, first, last);
	}
	CHECK_RANGE(longest_ns, 0, 60000000000);
	CHECK_EQ(getauxval(AT_SYSINFO_EHDR), vdso);
	CHECK(!memcmp((void *)vdso, "\177ELF", 4));
	return live_end();
}
