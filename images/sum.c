// SPDX-License-Identifier: GPL-2.0-only
#include "images/sum.h"

#include <endian.h>

#include "images/format.h"

void img_sum_begin(XXH3_state_t *state, uint64_t number, const uint8_t *header)
{
	uint64_t n = htole64(number);

	XXH3_64bits_reset(state);
	XXH3_64bits_update(state, &n, sizeof(n));
	XXH3_64bits_update(state, header, IMG_RECORD_SUMMED_BYTES);
}

void img_sum_more(XXH3_state_t *state, const void *p, size_t len_bytes)
{
	if (len_bytes)
		XXH3_64bits_update(state, p, len_bytes);
}

uint64_t img_sum_end(const XXH3_state_t *state)
{
	return XXH3_64bits_digest(state);
}

uint64_t img_sum_header(const uint8_t *header)
{
	return XXH3_64bits(header, IMG_HEADER_SUMMED_BYTES);
}
