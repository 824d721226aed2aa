// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the restoring side has built so far, deduced from the records written to it: by the rules of
 * rst/tree.c (which tasks stay, who is forked when from whom) and of model/aspace.h (which mappings and pages
 * stay). So the dump knows what is there without ever being told.
 */
#include "cpt/mm.h"

#include "model/tree.h"

struct mirror_task *mirror_find(struct mirror *m, uint32_t vpid)
{
	vec_each(t, &m->tasks)
		if (t->t.pid == vpid)
			return t;
	return NULL;
}

int mirror_tree(struct mirror *m, const struct tree_obj *tree, struct err *err)
{
	_free_ bool *keep = mem_alloc(m->tasks.nr + 1);
	struct tree_obj old = {0};
	struct mirror next = {.tree = tree};

	vec_each(t, &m->tasks)
		vec_push(&old.tasks, t->t);
	tree_staying(&old, tree, keep);
	vec_free(&old.tasks);
	vec_each(want, &tree->tasks) {
		struct mirror_task *was = mirror_find(m, want->pid), *t = vec_add(&next.tasks);

		if (was && keep[was - m->tasks.at]) {
			*t = *was;
			was->as = (struct aspace){0};
		}
		if (want->ppid == 0)
			t->made = true; /* the VE's init is there before all else */
		t->t = *want;
	}
	mirror_free(m);
	*m = next;
	return 0;
}

static void born(struct mirror *m, struct mirror_task *t, const struct mirror_task *from, unsigned round)
{
	t->made = true;
	t->origin = from->origin;
	t->origin_round = from->origin == from->t.pid ? round : from->origin_round;
	aspace_copy(&t->as, &from->as);
}

int mirror_make(struct mirror *m, uint32_t vpid, unsigned round, struct mirror_task **ret, struct err *err)
{
	struct mirror_task *t = mirror_find(m, vpid), *from;
	_free_ struct tree_birth *births = NULL;

	if (!t)
		return err_set(err, ERR_CHECKPOINT, "task %u is not in the tree", vpid);
	*ret = t;
	if (t->made)
		return 0;
	births = mem_alloc(m->tree->tasks.nr * sizeof(*births));
	if (tree_plan(m->tree, births, err) ||
	    mirror_make(m, births[t - m->tasks.at].from, round, &from, err))
		return -1;
	if (t->made)
		return 0; /* early, with its parent */
	born(m, t, from, round);
	if (t->t.sid != t->t.pid || !t->t.mm)
		return 0;
	for (size_t i = 0; i < m->tasks.nr; i++)
		if (births[i].way == TREE_EARLY && births[i].from == vpid && !m->tasks.at[i].made)
			born(m, &m->tasks.at[i], t, round);
	return 0;
}

void mirror_free(struct mirror *m)
{
	vec_each(t, &m->tasks)
		aspace_free(&t->as);
	vec_free(&m->tasks);
}
