/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A growing array of any type: `VEC(struct vma_obj) vmas;` has `.at` (the items) and `.nr`. Zeroed memory is
 * an empty vector. Pointers into it do not survive a push.
 */
#ifndef VERST_LIB_VEC_H
#define VERST_LIB_VEC_H

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

#define VEC(type)                                                                                            \
	struct {                                                                                             \
		type *at;                                                                                    \
		size_t nr;                                                                                   \
		size_t cap;                                                                                  \
	}

/* Adds a zeroed item and gives its address. */
#define vec_add(v)                                                                                           \
	({                                                                                                   \
		__typeof__(v) _v = (v);                                                                      \
		if (_v->nr == _v->cap) {                                                                     \
			_v->cap = _v->cap ? _v->cap * 2 : 8;                                                 \
			_v->at = mem_realloc_array(_v->at, _v->cap, sizeof(*_v->at));                        \
		}                                                                                            \
		memset(&_v->at[_v->nr], 0, sizeof(*_v->at));                                                 \
		&_v->at[_v->nr++];                                                                           \
	})

#define vec_push(v, item) ((void)(*vec_add(v) = (item)))

/* for each item; `it` is a pointer to it */
#define vec_each(it, v) for (__typeof__((v)->at + 0) it = (v)->at; it < (v)->at + (v)->nr; it++)

#define vec_free(v)                                                                                          \
	do {                                                                                                 \
		free((v)->at);                                                                               \
		(v)->at = NULL;                                                                              \
		(v)->nr = (v)->cap = 0;                                                                      \
	} while (0)

#define vec_sort(v, cmp)                                                                                     \
	do {                                                                                                 \
		if ((v)->nr > 1)                                                                             \
			qsort((v)->at, (v)->nr, sizeof(*(v)->at), (cmp));                                    \
	} while (0)

#endif
