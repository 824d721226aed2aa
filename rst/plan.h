/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frozen part of a restore as data: named steps that say after which others they come. Sorted once,
 * printable
 * (`verst restore --plan`), and carried out in that order.
 */
#ifndef VERST_RST_PLAN_H
#define VERST_RST_PLAN_H

#include "rst/rst.h"

struct rst_step {
	const char *name;
	const char *what; /* for people */
	int (*run)(struct rst *r, struct err *err);
	const char *after[4]; /* names */
};

/* Steps in an order that respects every edge; ERR_RESTORE for a cycle or an unknown name. ret has nr items.
 */
int rst_plan_sort(const struct rst_step *steps, size_t nr, const struct rst_step **ret, struct err *err);

/* The steps of every restore, unsorted. */
const struct rst_step *rst_plan_steps(size_t *ret_nr);

int rst_plan_run(struct rst *r, struct err *err);

#endif
