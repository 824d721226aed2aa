// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>

#include "rst/plan.h"

Test(plan, steps_come_after_what_they_wait_for)
{
	size_t nr;
	const struct rst_step *steps = rst_plan_steps(&nr), *order[64];
	struct err err = {0};

	cr_assert_leq(nr, 64);
	cr_assert_eq(rst_plan_sort(steps, nr, order, &err), 0, "%s", err.msg);
	for (size_t i = 0; i < nr; i++)
		for (size_t k = 0; k < 4 && order[i]->after[k]; k++) {
			bool before = false;

			for (size_t j = 0; j < i; j++)
				before |= !strcmp(order[j]->name, order[i]->after[k]);
			cr_assert(before, "%s comes before %s", order[i]->name, order[i]->after[k]);
		}
}

Test(plan, a_cycle_is_named)
{
	const struct rst_step bad[] = {{"a", "", NULL, {"b"}}, {"b", "", NULL, {"a"}}}, *order[2];
	struct err err = {0};

	cr_assert_eq(rst_plan_sort(bad, 2, order, &err), -1);
	cr_assert_eq(err.code, ERR_RESTORE);
	cr_assert(strstr(err.msg, "waits for itself"), "%s", err.msg);
}

Test(plan, an_unknown_step_is_named)
{
	const struct rst_step bad[] = {{"a", "", NULL, {"nowhere"}}}, *order[1];
	struct err err = {0};

	cr_assert_eq(rst_plan_sort(bad, 1, order, &err), -1);
	cr_assert(strstr(err.msg, "nowhere"), "%s", err.msg);
}
