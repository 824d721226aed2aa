// SPDX-License-Identifier: GPL-2.0-only
#include "images/read.h"

typedef VEC(uint8_t) any_vec; /* of items of codec->obj_bytes */

static void *item(const struct img_codec *codec, const any_vec *vec, size_t index)
{
	return vec->at + index * codec->obj_bytes;
}

static uint32_t id_of(const void *obj)
{
	return *(const uint32_t *)obj;
}

/* Moves *obj to the end. */
static size_t append(const struct img_codec *codec, any_vec *vec, const void *obj)
{
	if (vec->nr == vec->cap) {
		vec->cap = vec->cap ? vec->cap * 2 : 8;
		vec->at = mem_realloc_array(vec->at, vec->cap, codec->obj_bytes);
	}
	memcpy(item(codec, vec, vec->nr), obj, codec->obj_bytes);
	return vec->nr++;
}

static size_t replace(const struct img_codec *codec, any_vec *vec, size_t index, const void *obj)
{
	codec->free(item(codec, vec, index));
	memcpy(item(codec, vec, index), obj, codec->obj_bytes);
	return index;
}

/* Index of the first item whose id is not smaller. */
static size_t lower_bound(const struct img_codec *codec, const any_vec *vec, uint32_t id)
{
	size_t lo = 0, hi = vec->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (id_of(item(codec, vec, mid)) < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int place(const struct img_codec *codec, any_vec *vec, const void *obj, size_t *ret_index,
		 struct err *err)
{
	uint32_t id = id_of(obj);
	size_t at;

	switch (codec->kind->order) {
	case IMG_APPENDED:
		*ret_index = append(codec, vec, obj);
		return 0;
	case IMG_ONE:
		*ret_index = vec->nr ? replace(codec, vec, 0, obj) : append(codec, vec, obj);
		return 0;
	case IMG_REPLACED:
	case IMG_BY_ID:
		break;
	}
	if (!id)
		return err_set(err, ERR_IMAGE, "without an id");
	at = lower_bound(codec, vec, id);
	if (at == vec->nr)
		*ret_index = append(codec, vec, obj);
	else if (codec->kind->order == IMG_REPLACED && id_of(item(codec, vec, at)) == id)
		*ret_index = replace(codec, vec, at, obj);
	else
		return err_set(err, ERR_IMAGE, "id %u is there, or out of order", id);
	return 0;
}

int img_read_object(struct img_reader *r, const struct img_codec *codec, struct model *m, size_t *ret_index,
		    struct err *err)
{
	any_vec *vec = (any_vec *)((uint8_t *)m + codec->member_offset);
	_free_ void *obj = mem_alloc(codec->obj_bytes);

	if (img_decode(codec, r->at->body.at, r->at->body.len_bytes, &r->arena, obj, err) ||
	    place(codec, vec, obj, ret_index, err)) {
		codec->free(obj);
		return -1;
	}
	return 0;
}

void img_drop_content(struct model *m, const struct img_record *record)
{
	struct bytes *content;

	if (record->item != IMG_OBJECT || record->type != OBJ_fsent)
		return;
	content = &m->fsents.at[record->index].content;
	free(content->at);
	*content = (struct bytes){0};
}
