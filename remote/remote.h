/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stopped thread in our hands. All functions must be called from the thread that seized (ptrace's rule).
 *
 * Killing us does a living task no harm, whatever we are at: it finishes a batch that it has begun, and goes
 * on where it was, with its own registers, signal mask and actions. An interrupted call that waits is made
 * anew then, with its full timeout (let go in order, it keeps what is left). What may stay is our mapping.
 * Exceptions: a task with a seccomp filter, which is in force again as soon as we are gone, and one without a
 * vdso, for the microseconds of the first and the last call.
 */
#ifndef VERST_REMOTE_REMOTE_H
#define VERST_REMOTE_REMOTE_H

#include <sys/types.h>
#include <sys/uio.h>

#include "arch/arch.h"
#include "lib/buf.h"
#include "lib/lib.h"

struct remote; /* one thread */

/* REMOTE_BORN: a task being built. It dies with us (PTRACE_O_EXITKILL) and has no registers to go back to. */
enum remote_kind { REMOTE_LIVING, REMOTE_BORN };

/*
 * Stops threads where they are. Seizes all, then interrupts all, then waits for all (1000 tasks in 7 ms). A
 * thread that vanished meanwhile gives a NULL in its place. On failure nothing stays seized. Seccomp filters
 * are suspended while we hold a thread (PTRACE_O_SUSPEND_SECCOMP). Threads that share memory must be marked
 * (remote_mark_group_leader) before the first batch runs in one of them.
 */
int remote_seize(const pid_t *tids, size_t nr, enum remote_kind kind, struct remote **ret, struct err *err);

pid_t remote_tid(const struct remote *r);
/* arch_thread_collect for a thread in our hands: its own registers, whatever ran in it meanwhile. */
int remote_collect_regs(struct remote *r, struct regs_obj *ret, struct err *err);
/* The job-control signal if it was found in a group stop, else 0. It will be in that stop again. */
int remote_group_stop(const struct remote *r);
/* Signals the thread had blocked when it was seized (while we hold it, all are). */
uint64_t remote_sigmask(const struct remote *r);
/* What remote_release gives back; for REMOTE_BORN, whose own mask is of no interest. */
void remote_set_sigmask(struct remote *r, uint64_t mask);
/* Same memory: shares the leader's blob. */
void remote_mark_group_leader(struct remote *r, struct remote *leader);

/*
 * Undoes all: scratch and blob unmapped in the task, own registers and signal mask back, detached. For
 * REMOTE_BORN: only detaches, with whatever registers were set. Frees r. A dead task is no error.
 */
int remote_release(struct remote *r, struct err *err);
/* The same for many, at once where that saves time. Threads of one process should go together. */
/* For one that was killed: waits for its end, as a tracer must before anybody else hears of it, and frees r.
 */
void remote_bury(struct remote *r);
int remote_release_all(struct remote **r, size_t nr, struct err *err);

/* --- memory of the task, by process_vm_readv/writev with /proc/PID/mem where that is refused --- */
int remote_read(struct remote *r, uint64_t addr, void *p, size_t len_bytes, struct err *err);
int remote_write(struct remote *r, uint64_t addr, const void *p, size_t len_bytes, struct err *err);

/* --- batches --- */

/* An argument of a call: a literal, an address in the batch's data, or the result of an earlier call of the
 * batch. */
struct remote_arg {
	enum { RA_LITERAL, RA_DATA, RA_RESULT } kind;
	uint64_t value; /* literal; offset in the data; index of the call */
};

#define ra_num(v)    ((struct remote_arg){RA_LITERAL, (uint64_t)(v)})
#define ra_data(off) ((struct remote_arg){RA_DATA, (uint64_t)(off)})
#define ra_result(i) ((struct remote_arg){RA_RESULT, (uint64_t)(i)})

enum { REMOTE_MAY_FAIL = 1 }; /* a negative result does not end the batch */

struct remote_batch; /* grows; reusable after reset */

struct remote_batch *remote_batch_new(void);
void remote_batch_reset(struct remote_batch *b);
void remote_batch_free(struct remote_batch *b);

/* Data that calls point to. Returns its offset (16-byte aligned). p NULL: zeroed room for results. */
size_t remote_batch_data(struct remote_batch *b, const void *p, size_t len_bytes);
/* Has the word at one data offset point to another place in the data, for structures with pointers in them.
 */
void remote_batch_pointer(struct remote_batch *b, size_t at, size_t to);
/* Adds a call, returns its index. `what` (static) names it in errors: "mmap heap". Missing arguments are 0.
 */
size_t remote_batch_call(struct remote_batch *b, const char *what, unsigned flags, long nr, size_t nr_args,
			 const struct remote_arg *args);
#define remote_call(b, what, flags, nr, ...)                                                                 \
	remote_batch_call(b, what, flags, nr,                                                                \
			  sizeof((struct remote_arg[]){__VA_ARGS__}) / sizeof(struct remote_arg),            \
			  (struct remote_arg[]){__VA_ARGS__})

/*
 * Runs all calls in the task, in one resume. Any batch size: the scratch area in the task grows as needed
 * (0.2 ms). Fails with the first call that failed without REMOTE_MAY_FAIL ("mmap heap: Cannot allocate
 * memory").
 */
int remote_batch_run(struct remote *r, struct remote_batch *b, struct err *err);
int64_t remote_batch_result(const struct remote_batch *b, size_t call); /* negative errno */
const void *remote_batch_out(const struct remote_batch *b,
			     size_t data_offset); /* data as it is after the run */

/* One call, by the same way. Result or negative errno in *ret. */
int remote_syscall(struct remote *r, long nr, size_t nr_args, const uint64_t *args, int64_t *ret,
		   struct err *err);

/* --- for tasks being built (REMOTE_BORN) --- */

/*
 * Where blob and scratch lie (0, 0: nowhere yet), so that the plan keeps mappings off them; and moving both
 * away. Of a living task: what to take out of its list of mappings (a neighbour may be merged with it there).
 */
#define REMOTE_BLOB_BYTES                                                                                    \
	(2 << 20) /* of a task being built; batches beyond about 1.5 MB get a mapping anywhere */
void remote_blob_range(const struct remote *r, uint64_t *ret_start, uint64_t *ret_end);
int remote_blob_move(struct remote *r, uint64_t addr, struct err *err);
/* A newly seized stub process becomes an empty address space: everything but the blob (put at addr) is
 * unmapped. */
int remote_make_empty(struct remote *r, uint64_t addr, struct err *err);

struct clone_args; /* linux/sched.h */
/*
 * clone3 in r; the child arrives seized and stopped in the blob, ready for batches. Without CLONE_VM it has
 * its own copy of the blob at the same place; with CLONE_VM (a thread) it gets a scratch of its own. set_tid
 * points to our memory.
 */
int remote_clone(struct remote *r, const struct clone_args *args, struct remote **ret_child, struct err *err);

/* exit_group(status) in r: does not wait for its end, which waitpid(tid, __WALL) reports. r must still be
 * released. */
void remote_exit(struct remote *r, int status);

/* Sends descriptors into the task: returns the numbers they got there, in ret_fds[nr] (any number, 253 a
 * message). */
int remote_send_fds(struct remote *r, const int *fds, size_t nr, int *ret_fds, struct err *err);

/* The last step: blob and scratch unmapped (by the final call itself), the thread left in a stop where
 * arch_thread_restore works. */
int remote_finish(struct remote *r, struct err *err);

#endif
