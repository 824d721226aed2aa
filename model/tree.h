/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How each task of a tree is born again. A task gets its session from the one it is forked from, and a parent
 * may have left that session since, or be gone: this says from whom, and by which way, so that parent and
 * session come out right. Pure, and used by both halves: the dump to know whose pages a task inherits, the
 * restore to make it.
 */
#ifndef VERST_MODEL_TREE_H
#define VERST_MODEL_TREE_H

#include "lib/err.h"
#include "model/ve.h"

enum tree_way {
	TREE_INIT,    /* pid 1: it is there */
	TREE_FORK,    /* from its parent */
	TREE_SIBLING, /* from a member of its session that has the same parent (CLONE_PARENT) */
	TREE_ORPHAN,  /* a member of its session forks a helper, that forks it and exits: init adopts it */
	TREE_NEW_SESSION, /* the session's leader is gone: the helper takes the leader's pid and makes the
			     session anew */
	TREE_EARLY, /* from its parent, before that makes its own session: when the parent itself is made */
};

struct tree_birth {
	enum tree_way way;
	uint32_t from; /* pid of the one it is forked from; its pages can be inherited. 0: TREE_INIT */
};

/* ret has tree->tasks.nr items, in that order. ERR_IMAGE names a task whose place cannot be made. */
int tree_plan(const struct tree_obj *tree, struct tree_birth *ret, struct err *err);

/*
 * Which tasks of an earlier tree live on in a newer one: ret has old->tasks.nr items. The others are dropped,
 * and made anew if the newer tree has their pid; with a task go all that hang below it. Init always stays.
 */
void tree_staying(const struct tree_obj *old, const struct tree_obj *now, bool *ret);

const struct tree_task *tree_find(const struct tree_obj *tree, uint32_t pid);

#endif
