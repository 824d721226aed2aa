// SPDX-License-Identifier: GPL-2.0-only
/* The extended state: standard format of XSAVE, as ptrace and signal frames have it (Intel SDM vol. 1, 13.4).
 */
#include <cpuid.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "arch/x86/x86.h"

#define FEATURES 63

static struct x86_component ask(unsigned feature)
{
	unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;

	if (!__get_cpuid_count(0xd, feature, &eax, &ebx, &ecx, &edx))
		return (struct x86_component){0, 0};
	if (ecx & 1 || (uint64_t)ebx + eax > XSAVE_MAX_BYTES) /* supervisor state is none of ours */
		return (struct x86_component){0, 0};
	return (struct x86_component){ebx, eax};
}

/* A constant of the machine, asked for once: in a virtual machine every CPUID is an exit to the hypervisor (2
 * us). */
struct x86_component x86_component(unsigned feature)
{
	static _Thread_local struct x86_component known[FEATURES];
	static _Thread_local uint64_t asked;

	if (feature < 2 || feature >= FEATURES)
		return (struct x86_component){0, 0};
	if (!(asked >> feature & 1)) {
		known[feature] = ask(feature);
		asked |= 1ULL << feature;
	}
	return known[feature];
}

size_t x86_xsave_bytes(uint64_t features)
{
	size_t len_bytes = XSAVE_MIN_BYTES;

	for (unsigned i = 2; i < FEATURES; i++) {
		struct x86_component c;

		if (!(features >> i & 1))
			continue;
		c = x86_component(i);
		len_bytes = MAX(len_bytes, (size_t)c.offset + c.len_bytes);
	}
	return len_bytes;
}

int x86_xsave_get(pid_t tid, uint8_t area[XSAVE_MAX_BYTES], size_t *ret_bytes, struct err *err)
{
	struct iovec iov = {area, XSAVE_MAX_BYTES};

	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return err_sys(err, "extended registers of task %d", tid);
	if (iov.iov_len < XSAVE_MIN_BYTES)
		return err_set(err, ERR_KERNEL, "extended registers of task %d: %zu bytes", tid, iov.iov_len);
	*ret_bytes = iov.iov_len;
	return 0;
}
