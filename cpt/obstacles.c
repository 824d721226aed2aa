// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stands in the way of a dump, found while the VE runs. It changes while it is looked at: a file is
 * renamed between two looks, a process ends. So what was found once is looked for again, and only what is
 * found every time is an obstacle.
 */
#include <string.h>
#include <unistd.h>

#include "cpt/cpt.h"

#define LOOKS	      4
#define LOOK_PAUSE_US 5000

static int look(struct cpt *c, struct findings *ret, struct err *err)
{
	int result;

	c->findings = ret;
	result = cpt_task_list(c, err) || cpt_task_check(c, err) || cpt_cgroup_check(c, err) ||
				 cpt_ns_check(c, err) || cpt_mm_check(c, err) || cpt_file_check(c, err)
			 ? -1
			 : 0;
	c->findings = NULL;
	return result;
}

static bool is_among(const struct finding *it, const struct findings *others)
{
	vec_each(other, &others->list)
		if (!strcmp(it->where, other->where) && !strcmp(it->what, other->what))
			return true;
	return false;
}

/* Keeps of f what is in `again` too. */
static void confirm(struct findings *f, const struct findings *again)
{
	struct findings kept = {0};

	vec_each(it, &f->list)
		if (is_among(it, again))
			findings_add(&kept, it->where, it->hint, "%s", it->what);
	findings_free(f);
	*f = kept;
}

int cpt_obstacles(struct cpt *c, struct verst_findings *ret, struct err *err)
{
	struct findings found = {0};
	int result = look(c, &found, err);

	for (int i = 1; i < LOOKS && !result && found.list.nr; i++) {
		struct findings again = {0};

		usleep(LOOK_PAUSE_US);
		cpt_forget(c);
		result = look(c, &again, err);
		confirm(&found, &again);
		findings_free(&again);
	}
	_Static_assert(sizeof(struct finding) == sizeof(struct verst_finding),
		       "same fields in the same order");
	ret->at = (struct verst_finding *)found.list.at;
	ret->nr = found.list.nr;
	return result;
}
