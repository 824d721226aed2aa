/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract of an architecture, and the checklist for a new one: every function here, and the few lines of
 * assembly in arch/NAME/blob/. Nothing else in Verst knows a register. docs/add-an-architecture.md goes
 * through it.
 */
#ifndef VERST_ARCH_ARCH_H
#define VERST_ARCH_ARCH_H

#include <sys/types.h>

#include "lib/lib.h"

struct regs_obj; /* model/regs.h: what an image holds of a thread's registers */

/* A stopped thread's registers as ptrace gives them; opaque, arch_regs_bytes() long. */
struct arch_regs;

const char *arch_name(void); /* "x86_64": stands in the image's header */
size_t arch_regs_bytes(void);

/*
 * General registers only (fast). Set has the thread continue there on its next resume, outside of any system
 * call. Get refuses a thread that runs in another mode of the processor than we (a 32-bit program), by that
 * name.
 */
int arch_regs_get(pid_t tid, struct arch_regs *ret, struct err *err);
int arch_regs_set(pid_t tid, const struct arch_regs *regs, struct err *err);

/* For injected calls. */
uint64_t arch_regs_ip(const struct arch_regs *regs);
uint64_t arch_regs_sp(const struct arch_regs *regs);
uint64_t arch_regs_result(const struct arch_regs *regs);
/* To run one system call whose instruction is at ip. Touches only the registers of the call. */
void arch_regs_prepare_call(struct arch_regs *regs, uint64_t ip, long nr, const uint64_t arg[6]);
/*
 * To jump to code at ip with one argument, on the given stack. The argument goes where a following
 * prepare_call leaves it alone, so that both together give "one call, then this code".
 */
void arch_regs_prepare_jump(struct arch_regs *regs, uint64_t ip, uint64_t sp, uint64_t arg);
/* The offset of a system call instruction in code bytes, or -1. */
ssize_t arch_find_syscall(const void *code, size_t len_bytes);

/*
 * A thread that was just stopped inside a restartable sequence (rseq) goes on at its abort handler, as the
 * kernel would do. To be called before anything runs in the thread, since the kernel forgets the sequence
 * then.
 */
void arch_regs_leave_rseq(pid_t tid, struct arch_regs *regs);

/*
 * Everything: general, floating point and vector state, thread pointer, debug-free. `regs_obj` fields are
 * filled one by one, byte order free, except the raw extended state of the architecture's own format. A
 * thread caught in an interruptible system call is described so that it restarts (or returns -EINTR where the
 * kernel keeps the remaining time to itself): the image says what the thread would do next, not kernel
 * internals.
 */
int arch_thread_collect(pid_t tid, struct regs_obj *ret, struct err *err);
/* The same with general registers that were fetched earlier (the thread runs code of ours meanwhile). */
int arch_thread_describe(pid_t tid, const struct arch_regs *regs, struct regs_obj *ret, struct err *err);
int arch_thread_restore(pid_t tid, const struct regs_obj *regs,
			struct err *err); /* thread is in a signal-type stop */
/* What of the saved state this CPU cannot take ("AVX-512 state"), for preflight; NULL if all is fine. Caller
 * frees. */
char *arch_thread_obstacle(const struct regs_obj *regs);

/* How an interrupted system call goes on. */
enum arch_restart {
	ARCH_RESTART_NONE,	 /* it was not in one, or it has returned */
	ARCH_RESTART_ALWAYS,	 /* again, whatever happens */
	ARCH_RESTART_SA_RESTART, /* again, unless a handler without SA_RESTART runs: -EINTR then */
	ARCH_RESTART_NO_HANDLER, /* again, unless any handler runs */
};

/*
 * A signal frame that, through rt_sigreturn, brings a thread back to the given registers, the signal mask and
 * its present floating point and vector state. It repeats an interrupted system call; writing the `eintr`
 * words into it has it return -EINTR instead.
 */
struct arch_frame {
	struct buf bytes; /* to lie at the address that was given */
	uint64_t sp;	  /* the stack pointer with which rt_sigreturn is to be called */
	enum arch_restart restart;
	struct {
		uint64_t addr, value;
	} eintr[2];
};
#define ARCH_FRAME_MAX_BYTES 16384
int arch_frame_make(pid_t tid, const struct arch_regs *regs, uint64_t sigmask, uint64_t addr,
		    struct arch_frame *ret, struct err *err);

/*
 * A bridge: a system call instruction (the call is in the registers, see prepare_call), then, unless
 * stop_signal is 0, one that sends this signal to the thread itself, then code that sets the signal mask and
 * goes on with `regs` where that was interrupted. It writes no memory and uses no stack. Whatever else the
 * registers hold when it starts must be what `regs` has.
 */
#define ARCH_BRIDGE_MAX_BYTES 256
struct arch_bridge {
	uint8_t code[ARCH_BRIDGE_MAX_BYTES];
	size_t len_bytes;
	uint64_t stop_ip; /* where the thread is when the signal hits it */
};
void arch_bridge_make(pid_t tid, const struct arch_regs *regs, uint64_t sigmask, int stop_signal,
		      uint64_t addr, struct arch_bridge *ret);
uint64_t arch_bridge_result(const struct arch_regs *regs); /* of the call, at stop_ip */

/* The vdso: how many pages at which offset; `arch_vdso_call` gives the call that maps one at an address. */
void arch_vdso_call(uint64_t addr, long *ret_nr, uint64_t ret_arg[6]);

#endif
