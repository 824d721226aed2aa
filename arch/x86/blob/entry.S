/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The blob's beginning on x86-64. Offset 0: the system call that makes the data area writable, then as offset 16.
 * Offset 16: run batches for the area in rbx, then go home through the frame that the area's first word points to.
 */
#include <asm/unistd.h>

	.section .text.entry, "ax"
	.globl	blob_first
blob_first:
	syscall
	test	%rax, %rax
	js	home
	.balign	16
	.globl	blob_enter
blob_enter:
	mov	%rbx, %rdi
	call	blob_main
home:
	mov	(%rbx), %rsp
	mov	$__NR_rt_sigreturn, %eax
	syscall

/* int64_t blob_syscall(uint64_t nr, const uint64_t arg[6]) */
	.globl	blob_syscall
blob_syscall:
	mov	%rdi, %rax
	mov	%rsi, %rcx
	mov	(%rcx), %rdi
	mov	8(%rcx), %rsi
	mov	16(%rcx), %rdx
	mov	24(%rcx), %r10
	mov	32(%rcx), %r8
	mov	40(%rcx), %r9
	syscall
	ret

	.section .note.GNU-stack, "", @progbits
