/* SPDX-License-Identifier: GPL-2.0-only */
/* Structures of the kernel's interface that libc does not give, or gives in headers that exclude each other.
 */
#ifndef VERST_LIB_KABI_H
#define VERST_LIB_KABI_H

#include <stdint.h>

/* include/linux/signal_types.h, the same on all our architectures; rt_sigaction(2) takes it with a mask of 8
 * bytes */
struct kabi_sigaction {
	uint64_t handler, flags, restorer, mask;
};

/* include/uapi/linux/sched/types.h, first version */
struct kabi_sched_attr {
	uint32_t size_bytes, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};
#define KABI_SCHED_RESET_ON_FORK 1

/* include/uapi/linux/ptrace.h, Linux 5.13 */
#define KABI_PTRACE_GET_RSEQ 0x420f
struct kabi_rseq_config {
	uint64_t addr;
	uint32_t size_bytes, signature, flags, pad;
};

/* include/uapi/linux/prctl.h, Linux 6.15 */
#define KABI_PR_TIMER_RESTORE_IDS     77
#define KABI_PR_TIMER_RESTORE_IDS_OFF 0
#define KABI_PR_TIMER_RESTORE_IDS_ON  1

#endif
