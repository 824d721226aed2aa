/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an image holds of a thread's registers: the general ones as numbers, in an order that arch/NAME
 * documents, and the architecture's further register sets as it defines their bytes.
 */
#ifndef VERST_MODEL_REGS_H
#define VERST_MODEL_REGS_H

#include "model/base.h"

#define REGS_GENERAL_MAX 64

struct regset_obj {
	uint32_t note; /* NT_* of elf.h: NT_X86_XSTATE, NT_PPC_VMX, ... */
	struct bytes content;
};

struct regs_obj {
	uint64_t general[REGS_GENERAL_MAX];
	uint32_t nr_general;
	VEC(struct regset_obj) sets;
};

#endif
