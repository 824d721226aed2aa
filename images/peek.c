// SPDX-License-Identifier: GPL-2.0-only
#include "images/read.h"

#include <endian.h>
#include <string.h>

struct place {
	off_t at;
	uint64_t number;
	uint32_t len_bytes;
};

/* The last record of a type behind where the reader is. False if there is none, or the stream cannot be read
 * ahead. */
static bool find_last(const struct img_reader *r, uint16_t type, struct place *ret)
{
	off_t at = r->start + (off_t)r->totals.bytes;
	bool found = false;

	if (r->start < 0)
		return false;
	for (uint64_t number = r->totals.records;; number++) {
		uint8_t header[IMG_RECORD_BYTES];
		struct cur c = cur_of(header, sizeof(header));
		uint16_t this_type;
		uint32_t len;

		if (pread(r->fd, header, sizeof(header), at) != sizeof(header))
			return found;
		this_type = cur_u16(&c);
		cur_u16(&c);
		len = cur_u32(&c);
		if (len > IMG_MAX_BODY_BYTES)
			return found;
		if (this_type == type) {
			*ret = (struct place){at, number, len};
			found = true;
		}
		if (this_type == IMG_REC_END)
			return found;
		at += IMG_RECORD_BYTES + len;
	}
}

static bool read_at(struct img_reader *r, const struct place *p, uint8_t *record)
{
	size_t len = IMG_RECORD_BYTES + p->len_bytes;
	XXH3_state_t *state;
	uint64_t sum, found;

	if (pread(r->fd, record, len, p->at) != (ssize_t)len)
		return false;
	memcpy(&sum, record + 8, sizeof(sum));
	state = XXH3_createState();
	if (!state)
		abort(); /* as lib/mem.h */
	img_sum_begin(state, p->number, record);
	img_sum_more(state, record + IMG_RECORD_BYTES, p->len_bytes);
	found = img_sum_end(state);
	XXH3_freeState(state);
	return found == le64toh(sum);
}

bool img_peek_ve(struct img_reader *r, struct ve_obj *ret)
{
	const struct img_codec *codec = img_codec_of_type(OBJ_ve);
	struct err ignored = ERR_INIT;
	_free_ uint8_t *record = NULL;
	struct ve_obj ve = {0};
	struct place p;

	if (!find_last(r, OBJ_ve, &p))
		return false;
	record = mem_alloc(IMG_RECORD_BYTES + p.len_bytes);
	if (!read_at(r, &p, record) ||
	    img_decode(codec, record + IMG_RECORD_BYTES, p.len_bytes, &r->arena, &ve, &ignored)) {
		model_free_ve(&ve);
		return false;
	}
	*ret = ve;
	return true;
}
