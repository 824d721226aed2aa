// SPDX-License-Identifier: GPL-2.0-only
/* Runs inside of the task: batches of system calls, one after the other. No libc, no data, no floating point.
 */
#include <asm/unistd.h>
#include <stdint.h>

#include "remote/blob/blob.h"

#define SIG_SETMASK 2
#define SA_RESTART  0x10000000
#define SET_BYTES   8
#define IS_ERROR(r) ((uint64_t)(r) > -4096UL)

enum { RESTART_NONE, RESTART_ALWAYS, RESTART_SA_RESTART }; /* enum arch_restart */

struct action { /* struct sigaction of the kernel; handler and flags come first on all our architectures */
	uint64_t handler, flags, rest[6];
};

int64_t blob_syscall(uint64_t nr, const uint64_t arg[6]);
void blob_main(struct blob_area *area);

static int64_t call4(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t arg[6] = {a, b, c, d};

	return blob_syscall(nr, arg);
}

static void run(const volatile struct blob_area *area)
{
	const struct blob_call *call = (const void *)area->calls;
	struct blob_results *out = (void *)area->results;
	uint32_t nr = area->nr_calls;

	for (uint32_t i = 0; i < nr; i++, call++) {
		uint64_t arg[6];
		int64_t result;

		for (int k = 0; k < 6; k++)
			arg[k] = call->from_result >> k & 1 ? (uint64_t)out->result[call->arg[k]]
							    : call->arg[k];
		result = blob_syscall(call->nr, arg);
		out->result[i] = result;
		out->nr_done = i + 1;
		if (IS_ERROR(result) && !call->may_fail)
			break;
	}
}

/* One that the task does not block and that nevertheless means nothing to it; 0: there is none. */
static unsigned meaningless_signal(const volatile struct blob_area *area)
{
	const unsigned char harmless[] = {23 /* SIGURG */, 28 /* SIGWINCH */, 17 /* SIGCHLD */};

	for (unsigned i = 0; i < sizeof(harmless); i++) {
		unsigned sig = harmless[i];
		struct action action;

		if (area->sigmask >> (sig - 1) & 1)
			continue;
		if (call4(__NR_rt_sigaction, sig, 0, (uint64_t)&action, SET_BYTES) == 0 &&
		    action.handler <= 1)
			return sig;
	}
	return 0;
}

/* One that hardly anybody sends, and that is not waiting here already (all are blocked now). */
static unsigned rare_signal(void)
{
	uint64_t pending = 0;
	unsigned sig = 16; /* SIGSTKFLT */

	call4(__NR_rt_sigpending, (uint64_t)&pending, SET_BYTES, 0, 0);
	while (pending >> (sig - 1) & 1 && sig < 31)
		sig = sig == 16 ? 23 : sig + 1; /* between them is what stops and continues */
	return sig;
}

/*
 * Stops for the tracer: an unblocked signal stops a traced thread whatever its action is. In a living task it
 * must be one that is ignored, so that it passes unnoticed if nobody traces any more (sig_ignored of
 * kernel/signal.c).
 */
static void stop(const volatile struct blob_area *area)
{
	volatile struct blob_results *out = (void *)area->results;
	unsigned sig = area->living ? meaningless_signal(area) : rare_signal();
	uint32_t end = sig ? BLOB_ENDED : BLOB_ENDED_IGNORING;
	struct action ignore = {.handler = 1}, old;
	uint64_t mask;

	if (!sig) {
		sig = rare_signal();
		call4(__NR_rt_sigaction, sig, (uint64_t)&ignore, (uint64_t)&old, SET_BYTES);
	}
	mask = ~(1ULL << (sig - 1));
	out->ended = end;
	call4(__NR_rt_sigprocmask, SIG_SETMASK, (uint64_t)&mask, 0, SET_BYTES);
	call4(__NR_tgkill, call4(__NR_getpid, 0, 0, 0, 0), call4(__NR_gettid, 0, 0, 0, 0), sig, 0);
	if (end == BLOB_ENDED_IGNORING)
		call4(__NR_rt_sigaction, sig, (uint64_t)&old, 0, SET_BYTES);
	mask = ~0ULL;
	call4(__NR_rt_sigprocmask, SIG_SETMASK, (uint64_t)&mask, 0, SET_BYTES);
}

/* Going home alone: an interrupted call must not be repeated if a handler will run that it has to return
 * -EINTR for. */
static void settle_restart(const volatile struct blob_area *area)
{
	uint64_t pending = 0;

	if (area->restart == RESTART_NONE || area->restart == RESTART_ALWAYS)
		return;
	call4(__NR_rt_sigpending, (uint64_t)&pending, SET_BYTES, 0, 0);
	pending &= ~area->sigmask;
	for (unsigned sig = 1; sig <= 64; sig++) {
		struct action action;

		if (!(pending >> (sig - 1) & 1) ||
		    call4(__NR_rt_sigaction, sig, 0, (uint64_t)&action, SET_BYTES) < 0)
			continue;
		if (action.handler <= 1 || (area->restart == RESTART_SA_RESTART && action.flags & SA_RESTART))
			continue;
		for (int i = 0; i < 2; i++)
			*(uint64_t *)area->eintr[i].addr = area->eintr[i].value;
		return;
	}
}

void blob_main(struct blob_area *own)
{
	volatile struct blob_area *area = own;

	do {
		area->again = 0;
		run(area);
		stop(area);
	} while (area->again);
	settle_restart(area);
}
