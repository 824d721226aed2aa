// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/remote_victim.h"

#include <cpuid.h>

/* clang-format off */
__asm__(".text\n"
	".globl spin_with_registers\n"
	".type spin_with_registers, @function\n"
	"spin_with_registers:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	push %rsi\n"
	"	push %rdx\n"
	"	mov %rdi, %rax\n"
#define LOAD(n) "	vmovdqu 112+32*" #n "(%rax), %ymm" #n "\n"
	LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7)
	LOAD(8) LOAD(9) LOAD(10) LOAD(11) LOAD(12) LOAD(13) LOAD(14) LOAD(15)
	"	pushq 624(%rax)\n"
	"	mov (%rax), %rbx; mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rsi; mov 32(%rax), %rdi\n"
	"	mov 40(%rax), %rbp; mov 48(%rax), %r8; mov 56(%rax), %r9; mov 64(%rax), %r10; mov 72(%rax), %r11\n"
	"	mov 80(%rax), %r12; mov 88(%rax), %r13; mov 96(%rax), %r14; mov 104(%rax), %r15\n"
	"	popfq\n"
	"1:	mov (%rsp), %rax\n" /* go */
	"	mov (%rax), %eax\n"
	"	xchg %rax, %rcx\n"
	"	jrcxz 2f\n" /* changes no flag, as all here */
	"	xchg %rax, %rcx\n"
	"	jmp 3f\n"
	"2:	xchg %rax, %rcx\n"
	"	pause\n"
	"	jmp 1b\n"
	"3:	mov 8(%rsp), %rax\n" /* out */
	"	mov %rbx, (%rax); mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rsi, 24(%rax); mov %rdi, 32(%rax)\n"
	"	mov %rbp, 40(%rax); mov %r8, 48(%rax); mov %r9, 56(%rax); mov %r10, 64(%rax); mov %r11, 72(%rax)\n"
	"	mov %r12, 80(%rax); mov %r13, 88(%rax); mov %r14, 96(%rax); mov %r15, 104(%rax)\n"
#define STORE(n) "	vmovdqu %ymm" #n ", 112+32*" #n "(%rax)\n"
	STORE(0) STORE(1) STORE(2) STORE(3) STORE(4) STORE(5) STORE(6) STORE(7)
	STORE(8) STORE(9) STORE(10) STORE(11) STORE(12) STORE(13) STORE(14) STORE(15)
	"	pushfq\n"
	"	popq 624(%rax)\n"
	"	cld\n"
	"	vzeroupper\n"
	"	pop %rdx; pop %rsi\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	".size spin_with_registers, . - spin_with_registers\n");

__asm__(".text\n"
	".globl spin_in_rseq, spin_in_rseq_abort\n"
	"spin_in_rseq:\n"
	"	lea 9f(%rip), %rax\n"
	"	mov %rax, 8(%rdi)\n"
	"1:	movl $1, (%rsi)\n"
	"2:	pause\n"
	"	jmp 2b\n"
	"3:	ud2\n"
	"	.byte 0x0f, 0xb9, 0x3d\n"
	"	.long 0x53053053\n" /* RSEQ_SIG of glibc */
	"spin_in_rseq_abort:\n"
	"	ret\n"
	".data\n"
	".balign 32\n"
	"9:	.long 0, 0\n"
	"	.quad 1b, 3b - 1b, spin_in_rseq_abort\n");

__asm__(".section .rodata\n"
	".globl born_program, born_program_end\n"
	"born_program:\n"
	"	cmp $1, %edi\n"
	"	je 2f\n"
	"	ja 4f\n"
	"	mov $61, %eax\n" /* wait4 */
	"	mov $-1, %rdi\n"
	"	lea -8(%rsp), %rsi\n"
	"	xor %edx, %edx\n"
	"	xor %r10d, %r10d\n"
	"	syscall\n"
	"	movzbl -7(%rsp), %edi\n"
	"	add $1, %edi\n"
	"1:	mov $231, %eax\n" /* exit_group */
	"	syscall\n"
	"2:	cmpl $1, (%rbx)\n"
	"	je 3f\n"
	"	pause\n"
	"	jmp 2b\n"
	"3:	mov $39, %eax\n" /* getpid */
	"	syscall\n"
	"	lea -37(%rax), %edi\n"
	"	jmp 1b\n"
	"4:	mov $186, %eax\n" /* gettid */
	"	syscall\n"
	"	mov $99, %edi\n"
	"	cmp $79, %eax\n"
	"	jne 1b\n"
	"	movl $1, (%rbx)\n"
	"	xor %edi, %edi\n"
	"	mov $60, %eax\n" /* exit */
	"	syscall\n"
	"born_program_end:\n"
	".text\n");

#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILE_DATA	    18

bool wide_registers_work(bool tiles)
{
	unsigned a, b, c, d;

	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
		return false;
	if (!tiles)
		return true;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && d >> 24 & 1 &&
	       syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}

static const struct {
	uint8_t palette, start, pad[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
} tile_config __attribute__((aligned(64))) = {.palette = 1, .row_bytes = {64}, .rows = {16}};

static void load_tile(const void *from)
{
	__asm__ volatile("ldtilecfg %0\n\ttileloadd (%1,%2,1), %%tmm0" ::"m"(tile_config), "r"(from), "r"(64L));
}

static void store_tile(void *to)
{
	__asm__ volatile("tilestored %%tmm0, (%0,%1,1)\n\ttilerelease" ::"r"(to), "r"(64L) : "memory");
}

void spin_with_wide_registers(const struct wide_file *in, struct wide_file *out, atomic_int *go, bool tiles)
{
	if (tiles)
		load_tile(in->tile);
	__asm__ volatile(
		".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
		"	vmovdqu64 64*\\n(%0), %%zmm\\n\n"
		".endr\n"
		".irp n,1,2,3,4,5,6,7\n"
		"	kmovq 2048+8*\\n(%0), %%k\\n\n"
		".endr\n"
		"1:	pause\n"
		"	cmpl $0, (%2)\n"
		"	je 1b\n"
		".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
		"	vmovdqu64 %%zmm\\n, 64*\\n(%1)\n"
		".endr\n"
		".irp n,1,2,3,4,5,6,7\n"
		"	kmovq %%k\\n, 2048+8*\\n(%1)\n"
		".endr\n"
		"	vzeroupper\n" ::"r"(in),
		"r"(out), "r"(go)
		: "memory", "cc");
	if (tiles)
		store_tile(out->tile);
}
