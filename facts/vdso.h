/* SPDX-License-Identifier: GPL-2.0-only */
/* The vdso this kernel gives to its processes. */
#ifndef VERST_FACTS_VDSO_H
#define VERST_FACTS_VDSO_H

#include <stdint.h>

/*
 * A digest of where its functions lie: programs keep their addresses, so a process can only live on over a
 * vdso that has the same ones at the same places. (Not of its code, which the kernel adapts to the CPU.) 0:
 * there is none.
 */
uint64_t vdso_digest(void);

#endif
