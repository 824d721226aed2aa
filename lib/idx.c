// SPDX-License-Identifier: GPL-2.0-only
#include "lib/idx.h"

#include <string.h>
#include <xxhash.h>

#include "lib/mem.h"

static void grow(struct idx *x)
{
	uint32_t nr = x->nr_heads ? x->nr_heads * 2 : 64;

	x->heads = mem_realloc_array(x->heads, nr, sizeof(*x->heads));
	x->nr_heads = nr;
	memset(x->heads, 0xff, nr * sizeof(*x->heads)); /* IDX_END */
	for (uint32_t i = 0; i < x->entries.nr; i++) {
		uint32_t *head = &x->heads[x->entries.at[i].hash & (nr - 1)];

		x->entries.at[i].next = *head;
		*head = i;
	}
}

void idx_add(struct idx *x, uint64_t hash)
{
	uint32_t *head;

	if (x->entries.nr >= x->nr_heads)
		grow(x);
	head = &x->heads[hash & (x->nr_heads - 1)];
	vec_push(&x->entries, ((struct idx_entry){hash, *head}));
	*head = (uint32_t)x->entries.nr - 1;
}

static uint32_t same_from(const struct idx *x, uint32_t item, uint64_t hash)
{
	while (item != IDX_END && x->entries.at[item].hash != hash)
		item = x->entries.at[item].next;
	return item;
}

uint32_t idx_first(const struct idx *x, uint64_t hash)
{
	return x->nr_heads ? same_from(x, x->heads[hash & (x->nr_heads - 1)], hash) : IDX_END;
}

uint32_t idx_next(const struct idx *x, uint32_t item)
{
	return same_from(x, x->entries.at[item].next, x->entries.at[item].hash);
}

void idx_clear(struct idx *x)
{
	free(x->heads);
	vec_free(&x->entries);
	*x = (struct idx){0};
}

uint64_t idx_hash(uint64_t seed, const void *p, size_t len_bytes)
{
	return XXH3_64bits_withSeed(p, len_bytes, seed);
}
