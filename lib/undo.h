/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What changes the world registers here how to change it back, as it happens. undo_run does so in reverse
 * order; undo_forget drops the list once the change is meant to stay. An undo function cannot fail upwards:
 * it logs and goes on, so that the rest is undone too.
 */
#ifndef VERST_LIB_UNDO_H
#define VERST_LIB_UNDO_H

#include <stddef.h>

typedef void undo_fn(void *arg);

struct undo_step {
	const char *what; /* "thaw VE 101", static or owned by arg */
	undo_fn *fn;
	void *arg;
};

struct undo {
	struct undo_step *steps;
	size_t nr;
	size_t cap;
};

void undo_push(struct undo *undo, const char *what, undo_fn *fn, void *arg);
size_t undo_mark(const struct undo *undo);
void undo_run_to(struct undo *undo, size_t mark); /* undoes all that was pushed after the mark */
void undo_forget_to(struct undo *undo, size_t mark);
void undo_run(struct undo *undo);    /* and frees */
void undo_forget(struct undo *undo); /* and frees */

#endif
