// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>

#include "model/tree.h"

static struct tree_obj tree_of(struct tree_task *tasks, size_t nr)
{
	struct tree_obj t = {.round = 1};

	for (size_t i = 0; i < nr; i++) {
		tasks[i].mm = (mm_id)i + 1;
		vec_push(&t.tasks, tasks[i]);
	}
	return t;
}

#define TREE(...)                                                                                            \
	({                                                                                                   \
		struct tree_task _tasks[] = {__VA_ARGS__};                                                   \
		tree_of(_tasks, sizeof(_tasks) / sizeof(_tasks[0]));                                         \
	})
#define T(pid_, ppid_, sid_) ((struct tree_task){.pid = pid_, .ppid = ppid_, .pgid = sid_, .sid = sid_})

static void expect(struct tree_obj tree, size_t i, enum tree_way way, uint32_t from)
{
	struct tree_birth births[16];
	struct err err = {0};

	cr_assert_eq(tree_plan(&tree, births, &err), 0, "%s", err.msg);
	cr_assert_eq(births[i].way, way, "way %d", births[i].way);
	cr_assert_eq(births[i].from, from, "from %u", births[i].from);
}

Test(tree, children_of_init)
{
	struct tree_obj t = TREE(T(1, 0, 1), T(5, 1, 1), T(6, 1, 6));

	expect(t, 0, TREE_INIT, 0);
	expect(t, 1, TREE_FORK, 1);
	expect(t, 2, TREE_FORK, 1);
}

Test(tree, child_forked_before_its_parent_made_a_session)
{
	expect(TREE(T(1, 0, 1), T(5, 1, 5), T(6, 5, 1)), 2, TREE_EARLY, 5);
}

Test(tree, orphan_of_a_living_session)
{
	/* 7 was forked by 6, which is gone; both were in the session of 5, whose parent is not init */
	expect(TREE(T(1, 0, 1), T(4, 1, 1), T(5, 4, 5), T(7, 1, 5)), 3, TREE_ORPHAN, 5);
}

Test(tree, sibling_of_a_session_member)
{
	expect(TREE(T(1, 0, 1), T(5, 1, 5), T(7, 1, 5)), 2, TREE_SIBLING, 5);
}

Test(tree, double_forked_daemon_whose_session_leader_is_gone)
{
	struct tree_obj t = TREE(T(1, 0, 1), T(9, 1, 8), T(10, 1, 8));

	expect(t, 1, TREE_NEW_SESSION, 1);
	expect(t, 2, TREE_SIBLING, 9);
}

Test(tree, impossible_places_are_refused)
{
	struct tree_birth births[4];
	struct err err = {0};
	struct tree_obj no_init = TREE(T(2, 0, 2)), child_first = TREE(T(1, 0, 1), T(6, 5, 1), T(5, 1, 1)),
			foreign = TREE(T(1, 0, 1), T(5, 1, 1), T(6, 5, 77));

	cr_assert_eq(tree_plan(&no_init, births, &err), -1);
	cr_assert_eq(err.code, ERR_IMAGE);
	cr_assert_eq(tree_plan(&child_first, births, &err), -1);
	cr_assert_eq(tree_plan(&foreign, births, &err), -1);
	cr_assert(strstr(err.msg, "task 6"), "%s", err.msg);
}
