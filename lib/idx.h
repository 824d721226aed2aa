/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hash index beside a vector: item n of the vector is entry n here. The caller hashes, and compares what it
 *is given, because unlike items may have like hashes:
 *
 *	for (i = idx_first(&x, h); i != IDX_END; i = idx_next(&x, i))
 *		if (items.at[i] is it) ...
 *	idx_add(&x, h); vec_push(&items, item);
 */
#ifndef VERST_LIB_IDX_H
#define VERST_LIB_IDX_H

#include <stddef.h>
#include <stdint.h>

#include "lib/vec.h"

#define IDX_END UINT32_MAX

struct idx_entry {
	uint64_t hash;
	uint32_t next;
};

struct idx {
	uint32_t *heads;
	uint32_t nr_heads; /* a power of two, or 0 */
	VEC(struct idx_entry) entries;
};

void idx_add(struct idx *x, uint64_t hash);
uint32_t idx_first(const struct idx *x, uint64_t hash);
uint32_t idx_next(const struct idx *x, uint32_t item); /* the next item of the same hash */
void idx_clear(struct idx *x);			       /* frees */

uint64_t idx_hash(uint64_t seed, const void *p, size_t len_bytes);
static inline uint64_t idx_hash_u64(uint64_t seed, uint64_t v)
{
	v = (v ^ seed) *
	    0x9e3779b97f4a7c15u; /* 2^64 divided by the golden ratio: Knuth's multiplicative hash */
	return v ^ v >> 29;
}

#endif
