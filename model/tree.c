// SPDX-License-Identifier: GPL-2.0-only
#include "model/tree.h"

const struct tree_task *tree_find(const struct tree_obj *tree, uint32_t pid)
{
	vec_each(t, &tree->tasks)
		if (t->pid == pid)
			return t;
	return NULL;
}

/* The session a task was born into: its own once it left for another, and what it left is what its birth gave
 * it. */
static uint32_t session_at_birth(const struct tree_obj *tree, const struct tree_birth *births,
				 const struct tree_task *t)
{
	size_t i = (size_t)(t - tree->tasks.at);
	const struct tree_task *from;

	if (t->sid != t->pid || births[i].way == TREE_INIT)
		return t->sid;
	from = tree_find(tree, births[i].from);
	return from ? from->sid : 0;
}

/* An earlier task (it exists when t is made) of t's session; with_parent: of the same parent as well. */
static const struct tree_task *earlier_member(const struct tree_obj *tree, const struct tree_task *t,
					      bool with_parent)
{
	for (const struct tree_task *x = tree->tasks.at; x < t; x++)
		if (x->sid == t->sid && x->mm && (!with_parent || x->ppid == t->ppid))
			return x;
	return NULL;
}

static int plan_one(const struct tree_obj *tree, struct tree_birth *births, const struct tree_task *t,
		    struct tree_birth *ret, struct err *err)
{
	const struct tree_task *parent = tree_find(tree, t->ppid), *x;

	if (!parent || parent >= t)
		return err_set(err, ERR_IMAGE, "tree: task %u comes before its parent %u", t->pid, t->ppid);
	if (t->sid == t->pid || t->sid == parent->sid) {
		*ret = (struct tree_birth){TREE_FORK, parent->pid};
		return 0;
	}
	if (parent->sid == parent->pid && session_at_birth(tree, births, parent) == t->sid) {
		*ret = (struct tree_birth){TREE_EARLY, parent->pid};
		return 0;
	}
	x = earlier_member(tree, t, true);
	if (x && x->pid != 1) { /* kernel/fork.c refuses CLONE_PARENT for a namespace's init */
		*ret = (struct tree_birth){TREE_SIBLING, x->pid};
		return 0;
	}
	if (t->ppid != 1)
		return err_set(err, ERR_IMAGE, "tree: task %u: no way to be in session %u as a child of %u",
			       t->pid, t->sid, t->ppid);
	x = earlier_member(tree, t, false);
	*ret = x ? (struct tree_birth){TREE_ORPHAN, x->pid} : (struct tree_birth){TREE_NEW_SESSION, 1};
	return 0;
}

int tree_plan(const struct tree_obj *tree, struct tree_birth *ret, struct err *err)
{
	if (!tree->tasks.nr || tree->tasks.at[0].pid != 1)
		return err_set(err, ERR_IMAGE, "tree: it does not begin with pid 1");
	ret[0] = (struct tree_birth){TREE_INIT, 0};
	for (size_t i = 1; i < tree->tasks.nr; i++)
		if (plan_one(tree, ret, &tree->tasks.at[i], &ret[i], err))
			return -1;
	return 0;
}

static bool same_place(const struct tree_task *old, const struct tree_task *now)
{
	return now && !now->fresh && now->mm == old->mm && now->ppid == old->ppid && now->sid == old->sid &&
	       now->mm_from == old->mm_from && now->tty == old->tty;
}

void tree_staying(const struct tree_obj *old, const struct tree_obj *now, bool *ret)
{
	for (size_t i = 0; i < old->tasks.nr; i++) {
		const struct tree_task *t = &old->tasks.at[i], *parent = tree_find(old, t->ppid);
		const struct tree_task *heir = tree_find(now, t->pid);

		if (t->ppid == 0)
			ret[i] = heir != NULL;
		else /* parents come first */
			ret[i] = same_place(t, heir) && parent < t && ret[parent - old->tasks.at];
	}
}
