// SPDX-License-Identifier: GPL-2.0-only
#include "lib/undo.h"

#include <stdlib.h>

#include "lib/log.h"
#include "lib/mem.h"

void undo_push(struct undo *undo, const char *what, undo_fn *fn, void *arg)
{
	if (undo->nr == undo->cap) {
		undo->cap = undo->cap ? undo->cap * 2 : 16;
		undo->steps = mem_realloc_array(undo->steps, undo->cap, sizeof(*undo->steps));
	}
	undo->steps[undo->nr++] = (struct undo_step){what, fn, arg};
}

size_t undo_mark(const struct undo *undo)
{
	return undo->nr;
}

void undo_run_to(struct undo *undo, size_t mark)
{
	while (undo->nr > mark) {
		struct undo_step step = undo->steps[--undo->nr];

		log_debug("undo: %s", step.what);
		step.fn(step.arg);
	}
}

void undo_forget_to(struct undo *undo, size_t mark)
{
	undo->nr = mark;
}

void undo_run(struct undo *undo)
{
	undo_run_to(undo, 0);
	undo_forget(undo);
}

void undo_forget(struct undo *undo)
{
	free(undo->steps);
	*undo = (struct undo){0};
}
