// SPDX-License-Identifier: GPL-2.0-only
/* General registers. */
#include <elf.h>
#include <linux/rseq.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "arch/x86/x86.h"

#define CS_64BIT   0x33	      /* __USER_CS of arch/x86/include/asm/segment.h */
#define X32_CALL   0x40000000 /* __X32_SYSCALL_BIT */
#define I386_BYTES 68	      /* of NT_PRSTATUS for a thread in 32-bit mode */

const char *arch_name(void)
{
	return "x86_64";
}

size_t arch_regs_bytes(void)
{
	return sizeof(struct arch_regs);
}

int arch_regs_get(pid_t tid, struct arch_regs *ret, struct err *err)
{
	struct iovec iov = {&ret->u, sizeof(ret->u)};

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0)
		return err_sys(err, "registers of task %d", tid);
	if (iov.iov_len == I386_BYTES || ret->u.cs != CS_64BIT)
		return err_set(err, ERR_OBSTACLES, "task %d is a 32-bit program", tid);
	if ((int64_t)ret->u.orig_rax >= 0 && ret->u.orig_rax & X32_CALL)
		return err_set(err, ERR_OBSTACLES, "task %d is an x32 program", tid);
	return 0;
}

int arch_regs_set(pid_t tid, const struct arch_regs *regs, struct err *err)
{
	struct iovec iov = {(void *)&regs->u, sizeof(regs->u)};

	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &iov) < 0)
		return err_sys(err, "registers of task %d", tid);
	return 0;
}

uint64_t arch_regs_ip(const struct arch_regs *regs)
{
	return regs->u.rip;
}

uint64_t arch_regs_sp(const struct arch_regs *regs)
{
	return regs->u.rsp;
}

uint64_t arch_regs_result(const struct arch_regs *regs)
{
	return regs->u.rax;
}

void arch_regs_prepare_call(struct arch_regs *regs, uint64_t ip, long nr, const uint64_t arg[6])
{
	struct user_regs_struct *u = &regs->u;

	u->rip = ip;
	u->orig_rax = -1;
	u->rax = nr;
	u->rdi = arg[0];
	u->rsi = arg[1];
	u->rdx = arg[2];
	u->r10 = arg[3];
	u->r8 = arg[4];
	u->r9 = arg[5];
}

void arch_regs_prepare_jump(struct arch_regs *regs, uint64_t ip, uint64_t sp, uint64_t arg)
{
	struct user_regs_struct *u = &regs->u;

	u->rip = ip;
	u->orig_rax = -1;
	u->rsp = sp & ~15ULL;
	u->rbx = arg;
	u->eflags = 0x202; /* no direction flag, no trap flag */
}

ssize_t arch_find_syscall(const void *code, size_t len_bytes)
{
	const uint8_t *p = memmem(code, len_bytes, "\x0f\x05", X86_CALL_BYTES);

	return p ? p - (const uint8_t *)code : -1;
}

/*
 * At a ptrace stop the kernel has not yet looked at the sequence: it does so on the way to user mode, and
 * drops it if the instruction pointer is elsewhere by then (rseq_ip_fixup of kernel/rseq.c).
 */
void arch_regs_leave_rseq(pid_t tid, struct arch_regs *regs)
{
	struct __ptrace_rseq_configuration conf = {0};
	struct rseq_cs cs;
	uint64_t at = 0;
	struct iovec here = {&at, sizeof(at)}, there;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(conf), &conf) <= 0 || !conf.rseq_abi_pointer)
		return;
	there = (struct iovec){(char *)conf.rseq_abi_pointer + offsetof(struct rseq, rseq_cs), sizeof(at)};
	if (process_vm_readv(tid, &here, 1, &there, 1, 0) != sizeof(at) || !at)
		return;
	here = (struct iovec){&cs, sizeof(cs)};
	there = (struct iovec){(void *)at, sizeof(cs)};
	if (process_vm_readv(tid, &here, 1, &there, 1, 0) == sizeof(cs) &&
	    regs->u.rip - cs.start_ip < cs.post_commit_offset)
		regs->u.rip = cs.abort_ip;
}
