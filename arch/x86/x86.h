/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of arch/x86 share. */
#ifndef VERST_ARCH_X86_X86_H
#define VERST_ARCH_X86_X86_H

#include <sys/user.h>

#include "arch/arch.h"

struct arch_regs {
	struct user_regs_struct u;
};

/* Standard format of XSAVE: legacy area, header, components where CPUID leaf 0xd says. */
#define XSAVE_MAX_BYTES	   ARCH_FRAME_MAX_BYTES
#define XSAVE_LEGACY_BYTES 512
#define XSAVE_SW_OFFSET	   464 /* software's own bytes in the legacy area; the kernel puts XCR0 there */
#define XSAVE_HEADER	   512 /* first word: which components are in use */
#define XSAVE_MIN_BYTES	   576
#define XFEATURE_LEGACY	   3ULL /* x87 and SSE: in the legacy area */
#define XFEATURE_PKRU	   9
#define XFEATURE_TILE_DATA 18 /* AMX: only for processes that asked the kernel */

struct x86_component {
	uint32_t offset, len_bytes;
};

/* Where this CPU keeps a component (2..62) in the standard format; length 0: it has none such. */
struct x86_component x86_component(unsigned feature);
/* Bytes of an area that holds these features at this CPU's offsets. */
size_t x86_xsave_bytes(uint64_t features);
/* The thread's XSAVE area; *ret_bytes is the whole area's length as the kernel wants it back. */
int x86_xsave_get(pid_t tid, uint8_t area[XSAVE_MAX_BYTES], size_t *ret_bytes, struct err *err);

#define X86_CALL_BYTES 2 /* of a syscall instruction */

/* Makes registers of a thread in an interrupted system call such that the call is made anew; says how it
 * restarts. */
enum arch_restart x86_settle(pid_t tid, struct user_regs_struct *u);
/*
 * The other way round: what a thread in an interrupted call looks like to the kernel, which decides when it
 * leaves the stop: a signal that is pending then may yet make the call return -EINTR.
 */
void x86_interrupt_again(struct user_regs_struct *u, enum arch_restart restart);

#endif
