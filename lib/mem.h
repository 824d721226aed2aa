/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocation that does not fail: on exhaustion the process ends at once, by abort(). This is sound because
 * whatever Verst holds in its hands survives its own death: a dumped VE's tasks go on by themselves when
 * their tracer is gone, and a VE that is being restored dies with the engine. Sizes that come from an image
 * are bounded before they get here.
 */
#ifndef VERST_LIB_MEM_H
#define VERST_LIB_MEM_H

#include <stddef.h>

void *mem_alloc(size_t len_bytes); /* zeroed */
void *mem_realloc_array(void *p, size_t nr, size_t item_bytes);
char *mem_strdup(const char *s); /* NULL gives NULL */
void *mem_dup(const void *p, size_t len_bytes);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define mem_new(type) ((type *)mem_alloc(sizeof(type)))

#endif
