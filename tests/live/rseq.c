/* SPDX-License-Identifier: GPL-2.0-only */
/* The restartable-sequences area that libc registered is still registered: the kernel keeps writing the CPU
 * into it. */
#include <sched.h>
#include <sys/rseq.h>

#include "tests/live/live.h"

static volatile struct rseq *area(void)
{
	return (volatile struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1: /* the kernel no longer knows of it */
		return (int)syscall(SYS_rseq, area(), 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
	}
	return -1;
}

static void check_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	DO(sched_setaffinity(0, sizeof(set), &set));
	poll(NULL, 0, 1);
	CHECK_EQ(area()->cpu_id, cpu);
	CHECK_EQ(area()->cpu_id_start, cpu);
	CHECK_EQ(sched_getcpu(), cpu);
}

int main(void)
{
	cpu_set_t set;
	int first = -1, last = -1;

	if (__rseq_size == 0)
		live_skip("libc registered no rseq");
	DO(sched_getaffinity(0, sizeof(set), &set));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set)) {
			first = first < 0 ? cpu : first;
			last = cpu;
		}

	live_wait(sabotage);

	check_cpu(first);
	check_cpu(last);
	check_cpu(first);
	/* it is this very area: registering it again is "busy", another one "invalid" */
	CHECK_ERRNO(syscall(SYS_rseq, area(), 32, 0, RSEQ_SIG), EBUSY);
	CHECK_EQ(area()->rseq_cs, 0);
	return live_end();
}
