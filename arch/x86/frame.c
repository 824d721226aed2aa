// SPDX-License-Identifier: GPL-2.0-only
/* Two ways for a thread to go back to its own registers by itself: rt_sigreturn, and a bridge. And the vdso's
 * place. */
#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "arch/x86/x86.h"

#ifndef NT_X86_SHSTK
#define NT_X86_SHSTK 0x204
#endif

/* struct rt_sigframe of arch/x86/include/asm/sigframe.h; what rt_sigreturn does not read is left out at the
 * end */
struct frame {
	uint64_t pretcode;
	struct {
		uint64_t flags, link;
		struct {
			uint64_t sp;
			uint32_t flags, pad;
			uint64_t len_bytes;
		} stack;
		struct sigcontext mcontext;
		uint64_t sigmask;
	} uc;
	uint8_t siginfo[128];
};

/* arch/x86/include/uapi/asm/ucontext.h */
#define UC_FP_XSTATE	     1
#define UC_SIGCONTEXT_SS     2
#define UC_STRICT_RESTORE_SS 4

/* no mode that sigaltstack(2) knows, so that rt_sigreturn leaves the thread's own alternate stack alone */
#define SS_NO_MODE 0x7f

static void fill_context(struct frame *f, const struct user_regs_struct *u, uint64_t sigmask)
{
	struct sigcontext *c = &f->uc.mcontext;

	f->uc.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	f->uc.stack.flags = SS_NO_MODE;
	f->uc.sigmask = sigmask;
	c->r8 = u->r8;
	c->r9 = u->r9;
	c->r10 = u->r10;
	c->r11 = u->r11;
	c->r12 = u->r12;
	c->r13 = u->r13;
	c->r14 = u->r14;
	c->r15 = u->r15;
	c->rdi = u->rdi;
	c->rsi = u->rsi;
	c->rbp = u->rbp;
	c->rbx = u->rbx;
	c->rdx = u->rdx;
	c->rax = u->rax;
	c->rcx = u->rcx;
	c->rsp = u->rsp;
	c->rip = u->rip;
	c->eflags = u->eflags;
	c->cs = u->cs;
	c->__pad0 = u->ss;
	c->oldmask = sigmask;
}

/*
 * The frame's extended state must not be longer than the thread's own buffer in the kernel, or all but the
 * legacy part is ignored (check_xstate_in_sigframe of fpu/signal.c). ptrace shows the longest there could be;
 * the difference is AMX tile data, which only those have room for who use it.
 */
static int put_extended(pid_t tid, struct buf *out, struct err *err)
{
	uint8_t area[XSAVE_MAX_BYTES];
	struct _fpx_sw_bytes sw = {.magic1 = FP_XSTATE_MAGIC1};
	uint64_t known, used;
	size_t len_bytes;

	if (x86_xsave_get(tid, area, &len_bytes, err) < 0)
		return -1;
	memcpy(&known, area + XSAVE_SW_OFFSET, sizeof(known));
	memcpy(&used, area + XSAVE_HEADER, sizeof(used));
	if (!(used >> XFEATURE_TILE_DATA & 1))
		known &= ~(1ULL << XFEATURE_TILE_DATA);
	sw.xstate_bv = known;
	sw.xstate_size = x86_xsave_bytes(known);
	sw.extended_size = sw.xstate_size + FP_XSTATE_MAGIC2_SIZE;
	if (sw.xstate_size > len_bytes)
		return err_set(err, ERR_KERNEL, "extended registers of task %d: %zu bytes", tid, len_bytes);
	memcpy(area + XSAVE_SW_OFFSET, &sw, sizeof(sw));
	buf_put(out, area, sw.xstate_size);
	buf_put_u32(out, FP_XSTATE_MAGIC2);
	return 0;
}

/* With a shadow stack rt_sigreturn wants a token there, which nobody but the kernel can put. */
static int refuse_shadow_stack(pid_t tid, struct err *err)
{
	uint64_t ssp;
	struct iovec iov = {&ssp, sizeof(ssp)};

	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_SHSTK, &iov) < 0)
		return 0;
	return err_set(err, ERR_OBSTACLES, "task %d has a shadow stack", tid);
}

int arch_frame_make(pid_t tid, const struct arch_regs *regs, uint64_t sigmask, uint64_t addr,
		    struct arch_frame *ret, struct err *err)
{
	size_t head_bytes = (sizeof(struct frame) + 63) & ~63ULL;
	struct arch_frame made = {.sp = addr +
					sizeof(uint64_t)}; /* as if the handler had returned over pretcode */
	struct user_regs_struct u = regs->u;
	struct frame f = {0};

	if (refuse_shadow_stack(tid, err) < 0)
		return -1;
	made.restart = x86_settle(tid, &u);
	fill_context(&f, &u, sigmask);
	f.uc.mcontext.fpstate = (void *)(addr + head_bytes); /* 64-byte aligned, as XRSTOR wants it */
	buf_put(&made.bytes, &f, sizeof(f));
	memset(buf_reserve(&made.bytes, 64), 0, 64);
	made.bytes.len_bytes = head_bytes;
	if (put_extended(tid, &made.bytes, err) < 0) {
		buf_free(&made.bytes);
		return -1;
	}
	made.eintr[0].addr = addr + offsetof(struct frame, uc.mcontext.rip);
	made.eintr[0].value = regs->u.rip;
	made.eintr[1].addr = addr + offsetof(struct frame, uc.mcontext.rax);
	made.eintr[1].value = -EINTR;
	*ret = made;
	return 0;
}

static void put(struct arch_bridge *b, const void *p, size_t len_bytes)
{
	memcpy(b->code + b->len_bytes, p, len_bytes);
	b->len_bytes += len_bytes;
}

static void put_load(struct arch_bridge *b, uint8_t rex, uint8_t opcode,
		     uint64_t value) /* movabs $value, %reg */
{
	put(b, (const uint8_t[]){rex, opcode}, 2);
	put(b, &value, sizeof(value));
}

/* None of the instructions changes the flags, and a system call keeps them. */
static void put_stop(struct arch_bridge *b, int stop_signal)
{
	const uint8_t code[] = {
		0x48, 0x89,	   0xc3, /* mov %rax, %rbx */
		0xb8, SYS_getpid,  0,	 0, 0, 0x0f, 0x05,
		0x89, 0xc7, /* mov $39, %eax; syscall; mov %eax, %edi */
		0xb8, SYS_gettid,  0,	 0, 0, 0x0f, 0x05,
		0x89, 0xc6,				   /* mov $186, %eax; syscall; mov %eax, %esi */
		0xba, stop_signal, 0,	 0, 0,		   /* mov $signal, %edx */
		0xb8, SYS_tgkill,  0,	 0, 0, 0x0f, 0x05, /* mov $234, %eax; syscall */
	};

	put(b, code, sizeof(code));
}

void arch_bridge_make(pid_t tid, const struct arch_regs *regs, uint64_t sigmask, int stop_signal,
		      uint64_t addr, struct arch_bridge *ret)
{
	static const uint8_t call[] = {0x0f, 0x05};
	static const uint8_t set_mask[] = {
		0xb8, SYS_rt_sigprocmask,
		0,    0,
		0, /* mov $14, %eax */
		0xbf, SIG_SETMASK,
		0,    0,
		0, /* mov $2, %edi */
		0xba, 0,
		0,    0,
		0, /* mov $0, %edx */
		0x41, 0xba,
		8,    0,
		0,    0, /* mov $8, %r10d */
	};
	static const uint8_t lea_mask[] = {0x48, 0x8d, 0x35};		/* lea N(%rip), %rsi */
	static const uint8_t jump[] = {0xff, 0x25, 8, 0, 0, 0};		/* jmp *8(%rip): over the mask */
	const uint32_t to_mask = sizeof(call) + 10 * 10 + sizeof(jump); /* from behind the lea */
	struct user_regs_struct u = regs->u;

	x86_settle(tid, &u);
	ret->len_bytes = 0;
	put(ret, call, sizeof(call));
	if (stop_signal)
		put_stop(ret, stop_signal);
	ret->stop_ip = addr + ret->len_bytes;
	put(ret, set_mask, sizeof(set_mask));
	put(ret, lea_mask, sizeof(lea_mask));
	put(ret, &to_mask, sizeof(to_mask));
	put(ret, call, sizeof(call));
	put_load(ret, 0x48, 0xb8, u.rax);
	put_load(ret, 0x48, 0xb9, u.rcx);
	put_load(ret, 0x48, 0xba, u.rdx);
	put_load(ret, 0x48, 0xbb, u.rbx);
	put_load(ret, 0x48, 0xbe, u.rsi);
	put_load(ret, 0x48, 0xbf, u.rdi);
	put_load(ret, 0x49, 0xb8, u.r8);
	put_load(ret, 0x49, 0xb9, u.r9);
	put_load(ret, 0x49, 0xba, u.r10);
	put_load(ret, 0x49, 0xbb, u.r11);
	put(ret, jump, sizeof(jump));
	put(ret, &sigmask, sizeof(sigmask));
	put(ret, &u.rip, sizeof(u.rip));
}

uint64_t arch_bridge_result(const struct arch_regs *regs)
{
	return regs->u.rbx;
}

void arch_vdso_call(uint64_t addr, long *ret_nr, uint64_t ret_arg[6])
{
	*ret_nr = SYS_arch_prctl;
	memset(ret_arg, 0, 6 * sizeof(*ret_arg));
	ret_arg[0] = ARCH_MAP_VDSO_64;
	ret_arg[1] = addr;
}
