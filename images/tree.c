// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/tree.pb-c.h"

#define T struct tree_task
static const struct img_field task_fields[] = {
	NUM(pid), NUM(ppid), NUM(pgid), NUM(sid), NUM(mm), NUM(mm_from), NUM(fresh), NUM(tty),
};
static const struct img_table task_table = IMG_TABLE(tree_task, task_fields);
#undef T

#define T struct tree_obj
static const struct img_field fields[] = {
	NUM(round),
	NUM(frozen),
	LIST(tasks, task_table, IMG_MAX_COUNT),
};
static const struct img_table table = IMG_TABLE(tree, fields);
#undef T

/* A tree is built as it arrives. */
static int check(const void *obj, struct err *err)
{
	return model_validate_tree(obj, err);
}

const struct img_kind img_tree_kind = {.table = &table, .order = IMG_APPENDED, .check = check};
