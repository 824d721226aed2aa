// SPDX-License-Identifier: GPL-2.0-only
#include "lib/findings.h"

#include <stdarg.h>
#include <stdio.h>

void findings_add(struct findings *f, const char *where, const char *hint, const char *fmt, ...)
{
	struct finding *item = vec_add(&f->list);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	item->where = mem_strdup(where);
	item->what = mem_strdup(text);
	item->hint = mem_strdup(hint);
}

void findings_free(struct findings *f)
{
	vec_each(item, &f->list) {
		free(item->where);
		free(item->what);
		free(item->hint);
	}
	vec_free(&f->list);
}
