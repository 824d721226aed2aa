// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "lib/cleanup.h"
#include "model/model.h"

static int bad(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int bad(struct err *err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_IMAGE, "%s", text);
}

/* --- trees --- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct place {
	uint32_t pid;
	uint32_t at; /* position in the tree */
};

/* Position of each pid, to ask whether a parent comes before its child. */
static int places_of(const struct tree_obj *tree, struct place **ret, struct err *err)
{
	struct place *places = mem_realloc_array(NULL, tree->tasks.nr, sizeof(*places));

	for (size_t i = 0; i < tree->tasks.nr; i++)
		places[i] = (struct place){tree->tasks.at[i].pid, (uint32_t)i};
	qsort(places, tree->tasks.nr, sizeof(*places), by_number);
	*ret = places;
	for (size_t i = 1; i < tree->tasks.nr; i++) {
		if (places[i].pid == places[i - 1].pid)
			return bad(err, "task %u is there twice", places[i].pid);
	}
	return 0;
}

static const struct place *place_of(const struct place *places, size_t nr, uint32_t pid)
{
	return bsearch(&pid, places, nr, sizeof(*places), by_number);
}

static int validate_tree_task(const struct tree_obj *tree, const struct place *places, size_t i, struct err *err)
{
	const struct tree_task *t = &tree->tasks.at[i];
	const struct place *parent, *from;

	if (!t->pid || t->pid > INT32_MAX || t->pgid > INT32_MAX || t->sid > INT32_MAX)
		return bad(err, "task %u: impossible number", t->pid);
	if (i == 0)
		return t->pid == 1 && !t->ppid && !t->mm_from ? 0 : bad(err, "the first task is not the VE's init");
	parent = place_of(places, tree->tasks.nr, t->ppid);
	if (!parent || parent->at >= i)
		return bad(err, "task %u: its parent %u is not before it", t->pid, t->ppid);
	if (t->mm_from) {
		from = place_of(places, tree->tasks.nr, t->mm_from);
		if (!from || from->at >= i)
			return bad(err, "task %u: task %u, which it is forked from, is not before it", t->pid, t->mm_from);
	}
	return 0;
}

int model_validate_tree(const struct tree_obj *tree, struct err *err)
{
	_free_ struct place *places = NULL;

	if (!tree->round)
		return bad(err, "tree: rounds count from 1");
	if (!tree->tasks.nr)
		return bad(err, "tree: without a task");
	if (places_of(tree, &places, err))
		return err_ctx(err, "tree");
	for (size_t i = 0; i < tree->tasks.nr; i++) {
		if (validate_tree_task(tree, places, i, err))
			return err_ctx(err, "tree");
	}
	return 0;
}

/* --- address spaces --- */

int model_validate_mm(const struct mm_obj *mm, struct err *err)
{
	uint64_t end = 0;

	vec_each(v, &mm->vmas) {
		if (v->start >= v->end || v->start < end)
			return bad(err, "mapping %llx-%llx: empty, or not behind the one before it",
				   (unsigned long long)v->start, (unsigned long long)v->end);
		end = v->end;
	}
	return 0;
}

int model_validate(const struct model *m, struct err *err)
{
	vec_each(tree, &m->trees) {
		if (model_validate_tree(tree, err))
			return -1;
	}
	vec_each(mm, &m->mms) {
		if (model_validate_mm(mm, err))
			return err_ctx(err, "mm %u", mm->id);
	}
	return 0;
}
