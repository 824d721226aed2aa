/* SPDX-License-Identifier: GPL-2.0-only */
/* Sets of numbers (addresses, offsets) as ranges: sorted, apart, never touching each other. Zeroed memory is
 * the empty set. */
#ifndef VERST_LIB_RANGES_H
#define VERST_LIB_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/vec.h"

struct range {
	uint64_t start, end; /* end is behind the last */
};

struct ranges {
	VEC(struct range) list;
};

/* Adds a range; in no time if it begins inside of the last one or behind. An empty range is fine. */
void ranges_append(struct ranges *r, uint64_t start, uint64_t end);
/* Adds or takes out any range. */
void ranges_add(struct ranges *r, uint64_t start, uint64_t end);
void ranges_remove(struct ranges *r, uint64_t start, uint64_t end);

/* r becomes r | other, r & other, r - other. */
void ranges_unite(struct ranges *r, const struct ranges *other);
void ranges_intersect(struct ranges *r, const struct ranges *other);
void ranges_subtract(struct ranges *r, const struct ranges *other);

void ranges_copy(struct ranges *r, const struct ranges *from); /* r is freed before */
bool ranges_cover(const struct ranges *r, uint64_t start, uint64_t end);
bool ranges_touch(const struct ranges *r, uint64_t start, uint64_t end); /* any of it */
uint64_t ranges_sum(const struct ranges *r);
void ranges_clear(struct ranges *r); /* keeps the memory */
void ranges_free(struct ranges *r);

#endif
