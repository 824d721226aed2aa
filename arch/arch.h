/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract of an architecture, and the checklist for a new one: every function here, and the few lines of assembly
 * in arch/NAME/blob/. Nothing else in Verst knows a register.
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

/* General registers only (fast). Set has the thread continue there on its next resume, outside of any system call. */
int arch_regs_get(pid_t tid, struct arch_regs *ret, struct err *err);
int arch_regs_set(pid_t tid, const struct arch_regs *regs, struct err *err);

/* For injected calls. */
uint64_t arch_regs_ip(const struct arch_regs *regs);
uint64_t arch_regs_sp(const struct arch_regs *regs);
uint64_t arch_regs_result(const struct arch_regs *regs);
/* To run one system call whose instruction is at ip (single-stepped). */
void arch_regs_prepare_call(struct arch_regs *regs, uint64_t ip, long nr, const uint64_t arg[6]);
/* To jump to code at ip with one argument, on the given stack. */
void arch_regs_prepare_jump(struct arch_regs *regs, uint64_t ip, uint64_t sp, uint64_t arg);
/* The offset of a system call instruction in code bytes, or -1. */
ssize_t arch_find_syscall(const void *code, size_t len_bytes);

/*
 * Everything: general, floating point and vector state, thread pointer, debug-free. `regs_obj` fields are filled one by
 * one, byte order free, except the raw extended state of the architecture's own format.
 * A thread caught in an interruptible system call is described so that it restarts (or returns -EINTR where the kernel
 * keeps the remaining time to itself): the image says what the thread would do next, not kernel internals.
 */
int arch_thread_collect(pid_t tid, struct regs_obj *ret, struct err *err);
int arch_thread_restore(pid_t tid, const struct regs_obj *regs, struct err *err); /* thread is in a signal-type stop */
/* What of the saved state this CPU cannot take ("AVX-512 state"), for preflight; NULL if all is fine. Caller frees. */
char *arch_thread_obstacle(const struct regs_obj *regs);

/* A signal frame at `sp` that, through rt_sigreturn, brings back what the stopped thread has now, mask included. */
int arch_sigframe_make(pid_t tid, uint64_t sp, struct buf *ret_bytes, uint64_t *ret_sp, struct err *err);

/* The vdso: how many pages at which offset; `arch_vdso_call` gives the call that maps one at an address. */
void arch_vdso_call(uint64_t addr, long *ret_nr, uint64_t ret_arg[6]);

#endif
