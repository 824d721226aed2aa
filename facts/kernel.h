/* SPDX-License-Identifier: GPL-2.0-only */
/* What this kernel offers of what Verst uses. Every probe tries the thing itself; none leaves a trace. */
#ifndef VERST_FACTS_KERNEL_H
#define VERST_FACTS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

enum kernel_need {
	NEED_MUST, /* nothing goes without it */
	NEED_BEST, /* there is a lesser way */
};

struct kernel_feature {
	const char *name;
	enum kernel_need need;
	const char *use;     /* what it is for */
	const char *without; /* what follows when it is missing */
	int (*probe)(void);  /* 0: works, else an errno */
};

extern const struct kernel_feature kernel_features[];
extern const size_t kernel_features_nr;

/* Is it among the functions that the kernel describes (BTF)? BPF programs can call some of them. Takes some
 * milliseconds. */
bool kernel_has_function(const char *name);
#define KERNEL_ACCEPT_QUEUE "bpf_sk_assign_tcp_reqsk"

#endif
