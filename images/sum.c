// SPDX-License-Identifier: GPL-2.0-only
#include "images/sum.h"

#include <endian.h>

#include "images/format.h"

uint64_t img_sum_record(XXH3_state_t *state, uint64_t number, const uint8_t *header, const void *body, size_t body_bytes,
			const void *data, size_t data_bytes)
{
	uint64_t n = htole64(number);

	XXH3_64bits_reset(state);
	XXH3_64bits_update(state, &n, sizeof(n));
	XXH3_64bits_update(state, header, IMG_RECORD_SUMMED_BYTES);
	if (body_bytes)
		XXH3_64bits_update(state, body, body_bytes);
	if (data_bytes)
		XXH3_64bits_update(state, data, data_bytes);
	return XXH3_64bits_digest(state);
}

uint64_t img_sum_header(const uint8_t *header)
{
	return XXH3_64bits(header, IMG_HEADER_SUMMED_BYTES);
}
