// SPDX-License-Identifier: GPL-2.0-only
#include "lib/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void *mem_alloc(size_t len_bytes)
{
	return must(calloc(1, len_bytes ? len_bytes : 1));
}

void *mem_realloc_array(void *p, size_t nr, size_t item_bytes)
{
	return must(reallocarray(p, nr ? nr : 1, item_bytes));
}

char *mem_strdup(const char *s)
{
	return s ? must(strdup(s)) : NULL;
}

void *mem_dup(const void *p, size_t len_bytes)
{
	void *copy = must(malloc(len_bytes ? len_bytes : 1));

	if (len_bytes)
		memcpy(copy, p, len_bytes);
	return copy;
}

char *mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return must(s);
}
