/* SPDX-License-Identifier: GPL-2.0-only */
/* Processes to be taken into our hands, for the tests of remote/ and arch/. */
#ifndef VERST_TESTS_UNIT_REMOTE_VICTIM_H
#define VERST_TESTS_UNIT_REMOTE_VICTIM_H

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "remote/remote.h"

#define SETS_BYTES 8
#define ok(expr)                                                                                             \
	do {                                                                                                 \
		struct err why = {0};                                                                        \
		cr_assert((expr) == 0, "%s: %s", #expr, why.msg);                                            \
	} while (0)

/* Memory that test and victim share. */
struct shared {
	atomic_int ready, go, done;
	int64_t value[8];
	int64_t ns[4];
};

static inline struct shared *shared_new(void)
{
	return mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline pid_t victim(void (*body)(struct shared *), struct shared *s)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(s);
		_exit(0);
	}
	return pid;
}

static inline void sleep_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&ts, &ts) < 0)
		;
}

static inline void wait_ready(struct shared *s)
{
	while (!atomic_load(&s->ready))
		sched_yield();
	sleep_ms(20); /* it sleeps in its system call by now */
}

static inline struct remote *seize_one(pid_t pid)
{
	struct remote *r = NULL;

	ok(remote_seize(&pid, 1, REMOTE_LIVING, &r, &why));
	cr_assert_not_null(r);
	return r;
}

/* Some calls in it, so that it has left its place. */
static inline void visit(struct remote *r)
{
	int64_t result;

	ok(remote_syscall(r, SYS_getpid, 0, NULL, &result, &why));
	cr_assert_gt(result, 0);
}

static inline int end_of(pid_t pid)
{
	int status;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void assert_exit(pid_t pid, int code)
{
	int status = end_of(pid);

	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == code, "status %#x instead of exit %d", status,
		  code);
}

/* A body that waits for ever. */
static inline void sit(struct shared *s)
{
	atomic_store(&s->ready, 1);
	for (;;)
		pause();
}

static inline void kill_it(pid_t pid)
{
	kill(pid, SIGKILL);
	cr_assert(WIFSIGNALED(end_of(pid)));
}

/* A field of /proc/PID/status, e.g. "State:\t". */
static inline void status_field(pid_t pid, const char *name, char value[64])
{
	_free_ char *path = mem_printf("/proc/%d/status", pid);
	_file_ FILE *f = fopen(path, "re");
	char line[256];

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name))) {
			snprintf(value, 64, "%.60s", line + strlen(name));
			return;
		}
	cr_assert_fail("no %s", name);
}

static inline size_t count_mappings(pid_t pid)
{
	_free_ char *path = mem_printf("/proc/%d/maps", pid);
	_file_ FILE *f = fopen(path, "re");
	char line[4096];
	size_t nr = 0;

	while (fgets(line, sizeof(line), f))
		nr++;
	return nr;
}

/* --- a process that looks at its own registers --- */

struct reg_file {
	uint64_t general[14]; /* all but rax and rsp */
	uint8_t ymm[16][32];
	uint64_t flags;
};

/* Loads `in`, spins until *go, stores to `out`. */
void spin_with_registers(const struct reg_file *in, struct reg_file *out, atomic_int *go);

/* The same with what only some CPUs have: zmm0-31 and k1-7 (AVX-512), and tile 0 (AMX) if `tiles`. */
struct wide_file {
	uint8_t zmm[32][64];
	uint64_t mask[8];
	uint8_t tile[16][64];
};
bool wide_registers_work(bool tiles); /* also asks the kernel for the use of tiles */
void spin_with_wide_registers(const struct wide_file *in, struct wide_file *out, atomic_int *go, bool tiles);

/* Registers a critical section in *rseq, sets *ready and spins in it; returns by way of spin_in_rseq_abort.
 */
void spin_in_rseq(void *rseq, atomic_int *ready);
extern const uint8_t spin_in_rseq_abort[];

/*
 * A program of its own, for an empty address space. With edi 0 it waits for a child and exits with its code +
 * 1; 1: waits until *rbx is 1 and exits with its pid - 37; 2: sets *rbx to 1 if its thread id is 79 and ends
 * as a thread.
 */
extern const uint8_t born_program[], born_program_end[];

static inline void reg_file_fill(struct reg_file *f, uint64_t seed)
{
	uint8_t *p = (uint8_t *)f;

	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < offsetof(struct reg_file, flags); i++)
		p[i] = (seed += 0x9e3779b97f4a7c15ULL) >> 56;
	f->flags = 0x202 | 0x8d5; /* carry, parity, adjust, zero, sign, overflow */
}

#endif
