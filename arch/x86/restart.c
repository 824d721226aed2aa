// SPDX-License-Identifier: GPL-2.0-only
/* What a thread does next that was caught in a system call: arch/x86/kernel/signal.c,
 * arch_do_signal_or_restart. */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "arch/x86/x86.h"

/* include/linux/errno.h: never seen by programs */
#define ERESTARTSYS	      512
#define ERESTARTNOINTR	      513
#define ERESTARTNOHAND	      514
#define ERESTART_RESTARTBLOCK 516

#define MOV_BYTES 5 /* mov $number, %eax */
#define CLOCKS	  16
#define PAGE	  4096 /* less is no pointer */

static bool is_time(pid_t tid, uint64_t addr)
{
	struct timespec ts;
	struct iovec here = {&ts, sizeof(ts)}, there = {(void *)addr, sizeof(ts)};

	return addr >= PAGE && process_vm_readv(tid, &here, 1, &there, 1, 0) == sizeof(ts) &&
	       ts.tv_sec >= 0 && ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000;
}

/* The calls that use a restart block, told apart by their arguments; futex is the one that has no function in
 * C libraries. */
static long guess_number(pid_t tid, const struct user_regs_struct *u)
{
	unsigned op = u->rsi & FUTEX_CMD_MASK;

	if (u->rdi < CLOCKS || (int64_t)u->rdi < 0) /* processes' clocks have negative numbers */
		return is_time(tid, u->rdx) ? SYS_clock_nanosleep : SYS_poll;
	if (u->rsi < PAGE && (op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET) && is_time(tid, u->r10))
		return SYS_futex;
	if ((u->rsi == 0 || u->rsi >= PAGE) && is_time(tid, u->rdi))
		return SYS_nanosleep;
	return u->rsi < PAGE ? SYS_poll : -1;
}

/*
 * restart_syscall(2) stands for a call whose number only the kernel's restart block still knows. Mostly it
 * stands right before the instruction.
 */
static long number_behind_restart(pid_t tid, const struct user_regs_struct *u, uint64_t call_ip)
{
	uint8_t code[sizeof(long)];
	uint32_t nr;
	long word;

	if ((int)u->orig_rax >= 0 && u->orig_rax != SYS_restart_syscall)
		return u->orig_rax;
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, tid, call_ip - MOV_BYTES, NULL);
	memcpy(code, &word, sizeof(word));
	memcpy(&nr, code + 1, sizeof(nr));
	if (!errno && code[0] == 0xb8 &&
	    (nr == SYS_poll || nr == SYS_nanosleep || nr == SYS_futex || nr == SYS_clock_nanosleep))
		return nr;
	return guess_number(tid, u);
}

/*
 * Interrupted again before it could make the call: the kernel has already put restart_syscall's number in
 * place. That works only for the thread whose restart block it is, and only until a sigreturn.
 */
static bool is_about_to_restart(pid_t tid, const struct user_regs_struct *u)
{
	if (u->rax != SYS_restart_syscall)
		return false;
	errno = 0;
	return (ptrace(PTRACE_PEEKTEXT, tid, u->rip, NULL) & 0xffff) == 0x050f && !errno;
}

enum arch_restart x86_settle(pid_t tid, struct user_regs_struct *u)
{
	enum arch_restart restart;
	long nr = (int)u->orig_rax;

	if (is_about_to_restart(tid, u)) {
		nr = number_behind_restart(tid, u, u->rip);
		u->orig_rax = -1;
		u->rax = nr < 0 ? SYS_restart_syscall : nr;
		return ARCH_RESTART_NONE;
	}
	if (nr < 0)
		return ARCH_RESTART_NONE;
	switch ((int64_t)u->rax) {
	case -ERESTARTNOINTR:
		restart = ARCH_RESTART_ALWAYS;
		break;
	case -ERESTARTSYS:
		restart = ARCH_RESTART_SA_RESTART;
		break;
	case -ERESTARTNOHAND:
		restart = ARCH_RESTART_NO_HANDLER;
		break;
	case -ERESTART_RESTARTBLOCK:
		restart = ARCH_RESTART_NO_HANDLER;
		nr = number_behind_restart(tid, u, u->rip - X86_CALL_BYTES);
		break;
	default:
		u->orig_rax = -1;
		return ARCH_RESTART_NONE;
	}
	u->orig_rax = -1;
	if (nr < 0) {
		u->rax = -EINTR;
		return ARCH_RESTART_NONE;
	}
	u->rax = nr;
	u->rip -= X86_CALL_BYTES;
	return restart;
}

void x86_interrupt_again(struct user_regs_struct *u, enum arch_restart restart)
{
	static const int error_of[] = {[ARCH_RESTART_ALWAYS] = ERESTARTNOINTR,
				       [ARCH_RESTART_SA_RESTART] = ERESTARTSYS,
				       [ARCH_RESTART_NO_HANDLER] = ERESTARTNOHAND};

	if (restart == ARCH_RESTART_NONE)
		return;
	u->orig_rax = u->rax;
	u->rax = -error_of[restart];
	u->rip += X86_CALL_BYTES;
}
