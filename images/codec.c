// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"

#include <string.h>

/* How much memory an unpacked message may take: 32 times its bytes (the worst sane one takes 12 times) and
 * some room. */
#define UNPACK_FACTOR 32
#define UNPACK_ROOM   65536

typedef VEC(uint8_t) any_vec;

uint64_t img_load(const void *p, size_t len_bytes, bool is_signed)
{
	switch (len_bytes) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		return *(const uint16_t *)p;
	case 4:
		return is_signed ? (uint64_t)(int64_t) * (const int32_t *)p : *(const uint32_t *)p;
	default:
		return *(const uint64_t *)p;
	}
}

static void store_num(void *p, size_t len_bytes, uint64_t v)
{
	switch (len_bytes) {
	case 1:
		*(uint8_t *)p = (uint8_t)v;
		break;
	case 2:
		*(uint16_t *)p = (uint16_t)v;
		break;
	case 4:
		*(uint32_t *)p = (uint32_t)v;
		break;
	default:
		*(uint64_t *)p = v;
	}
}

/* Bytes of a number in a message struct, and whether it is signed there. */
static size_t proto_num(const ProtobufCFieldDescriptor *pf, bool *ret_signed)
{
	*ret_signed = false;
	switch (pf->type) {
	case PROTOBUF_C_TYPE_SINT32:
		*ret_signed = true;
		return 4;
	case PROTOBUF_C_TYPE_SINT64:
		*ret_signed = true;
		return 8;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return 8;
	default: /* u32, bool and enum */
		return 4;
	}
}

/* --- encoding --- */

static int encode_table(const struct img_table *t, const uint8_t *obj, struct img_arena *arena, void *msg,
			struct err *err);

static int too_many(const struct img_field *f, size_t nr, struct err *err)
{
	return err_set(err, ERR_IMAGE, "%s: %zu, at most %zu are allowed", f->name, nr, f->max);
}

static int encode_messages(const struct img_field *f, const uint8_t *items, size_t nr,
			   struct img_arena *arena, void *ret_list, struct err *err)
{
	void **list = img_arena_get(arena, nr * sizeof(*list));
	uint8_t *messages = img_arena_get(arena, nr * f->sub->message->sizeof_message);

	for (size_t i = 0; i < nr; i++) {
		list[i] = messages + i * f->sub->message->sizeof_message;
		if (encode_table(f->sub, items + i * f->item_bytes, arena, list[i], err))
			return err_ctx(err, "%s[%zu]", f->name, i);
	}
	*(void ***)ret_list = list;
	return 0;
}

static int encode_numbers(const struct img_field *f, const ProtobufCFieldDescriptor *pf, const uint8_t *items,
			  size_t nr, struct img_arena *arena, void *ret_list)
{
	bool is_signed;
	size_t len = proto_num(pf, &is_signed);
	uint8_t *list = img_arena_get(arena, nr * len);

	for (size_t i = 0; i < nr; i++)
		store_num(list + i * len, len,
			  img_load(items + i * f->item_bytes, f->item_bytes, f->is_signed));
	*(uint8_t **)ret_list = list;
	return 0;
}

static int encode_bytes(const struct img_field *f, const void *at, size_t len_bytes, ProtobufCBinaryData *ret,
			struct err *err)
{
	if (len_bytes > f->max)
		return too_many(f, len_bytes, err);
	*ret = (ProtobufCBinaryData){len_bytes, (uint8_t *)at};
	return 0;
}

static int encode_field(const struct img_field *f, const ProtobufCFieldDescriptor *pf, const uint8_t *obj,
			struct img_arena *arena, uint8_t *msg, struct err *err)
{
	const uint8_t *at = obj + f->offset;
	const any_vec *vec = (const void *)at;
	const struct bytes *bytes = (const void *)at;
	void *to = msg + pf->offset;
	size_t *nr = (void *)(msg + pf->quantifier_offset);
	const char *s;
	bool is_signed;

	switch (f->form) {
	case IMG_NUM:
		store_num(to, proto_num(pf, &is_signed), img_load(at, f->item_bytes, f->is_signed));
		return 0;
	case IMG_TEXT:
		s = *(char *const *)at;
		return encode_bytes(f, s, s ? strlen(s) : 0, to, err);
	case IMG_BYTES:
		return encode_bytes(f, bytes->at, bytes->len_bytes, to, err);
	case IMG_STRUCT:
		*(void **)to = img_arena_get(arena, f->sub->message->sizeof_message);
		if (encode_table(f->sub, at, arena, *(void **)to, err))
			return err_ctx(err, "%s", f->name);
		return 0;
	case IMG_ARRAY:
		*nr = f->max;
		return encode_messages(f, at, *nr, arena, to, err);
	case IMG_GENERAL:
		*nr = *(const uint32_t *)(at + f->max * f->item_bytes);
		return *nr > f->max ? too_many(f, *nr, err) : encode_numbers(f, pf, at, *nr, arena, to);
	case IMG_NUMS:
		*nr = vec->nr;
		return *nr > f->max ? too_many(f, *nr, err) : encode_numbers(f, pf, vec->at, *nr, arena, to);
	case IMG_LIST:
		*nr = vec->nr;
		return *nr > f->max ? too_many(f, *nr, err)
				    : encode_messages(f, vec->at, *nr, arena, to, err);
	}
	return 0;
}

static int encode_table(const struct img_table *t, const uint8_t *obj, struct img_arena *arena, void *msg,
			struct err *err)
{
	protobuf_c_message_init(t->message, msg);
	for (size_t i = 0; i < t->nr; i++) {
		if (encode_field(&t->fields[i], &t->message->fields[i], obj, arena, msg, err))
			return -1;
	}
	return 0;
}

int img_encode(const struct img_codec *codec, const void *obj, struct img_arena *arena, struct buf *out,
	       struct err *err)
{
	const struct img_table *t = codec->kind->table;
	size_t len;
	void *msg;

	img_arena_reset(arena, 0);
	msg = img_arena_get(arena, t->message->sizeof_message);
	if (encode_table(t, obj, arena, msg, err))
		return -1;
	len = protobuf_c_message_get_packed_size(msg);
	protobuf_c_message_pack(msg, buf_reserve(out, len));
	out->len_bytes += len;
	return 0;
}

/* --- decoding --- */

static int decode_table(const struct img_table *t, const ProtobufCMessage *msg, uint8_t *obj,
			struct err *err);

static int decode_num(const struct img_field *f, const ProtobufCFieldDescriptor *pf, const void *from,
		      uint8_t *at, struct err *err)
{
	bool is_signed;
	size_t len = proto_num(pf, &is_signed);
	uint64_t v = img_load(from, len, is_signed);

	if (pf->type == PROTOBUF_C_TYPE_BOOL)
		v = v != 0;
	else if (f->bounded && (v < f->lo || v > f->hi))
		return err_set(err, ERR_IMAGE, "%s: %llu is out of range", f->name, (unsigned long long)v);
	store_num(at, f->item_bytes, v);
	if (img_load(at, f->item_bytes, is_signed) != v)
		return err_set(err, ERR_IMAGE, "%s: %llu is out of range", f->name, (unsigned long long)v);
	return 0;
}

static bool climbs(const char *path)
{
	for (const char *p = path; p; p = strchr(p, '/')) {
		p += *p == '/';
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]))
			return true;
	}
	return false;
}

static int check_path(const struct img_field *f, const char *path, struct err *err)
{
	if (f->text == IMG_TEXT_PATH && path[0] != '/')
		return err_set(err, ERR_IMAGE, "%s: path is not absolute: %s", f->name, path);
	if (f->text == IMG_TEXT_RELATIVE && path[0] == '/')
		return err_set(err, ERR_IMAGE, "%s: path is not relative: %s", f->name, path);
	if (f->text != IMG_TEXT_ANY && climbs(path))
		return err_set(err, ERR_IMAGE, "%s: path has a component \"..\": %s", f->name, path);
	return 0;
}

static int decode_text(const struct img_field *f, const ProtobufCBinaryData *data, char **at, struct err *err)
{
	if (data->len > f->max)
		return too_many(f, data->len, err);
	if (!data->len && f->nullable)
		return 0;
	if (data->len && memchr(data->data, 0, data->len))
		return err_set(err, ERR_IMAGE, "%s: text with a NUL in it", f->name);
	*at = mem_alloc(data->len + 1);
	if (data->len)
		memcpy(*at, data->data, data->len);
	return check_path(f, *at, err);
}

static int decode_bytes(const struct img_field *f, const ProtobufCBinaryData *data, struct bytes *at,
			struct err *err)
{
	if (data->len > f->max)
		return too_many(f, data->len, err);
	*at = bytes_dup(data->data, data->len);
	return 0;
}

static int decode_messages(const struct img_field *f, ProtobufCMessage *const *list, size_t nr,
			   uint8_t *items, struct err *err)
{
	for (size_t i = 0; i < nr; i++) {
		if (decode_table(f->sub, list[i], items + i * f->item_bytes, err))
			return err_ctx(err, "%s[%zu]", f->name, i);
	}
	return 0;
}

static int decode_numbers(const struct img_field *f, const ProtobufCFieldDescriptor *pf, const uint8_t *list,
			  size_t nr, uint8_t *items, struct err *err)
{
	bool is_signed;
	size_t len = proto_num(pf, &is_signed);

	for (size_t i = 0; i < nr; i++) {
		if (decode_num(f, pf, list + i * len, items + i * f->item_bytes, err))
			return -1;
	}
	return 0;
}

/* Room for nr zeroed items in an empty vector. */
static void vec_make(any_vec *vec, size_t nr, size_t item_bytes)
{
	if (!nr)
		return;
	vec->at = mem_alloc(nr * item_bytes);
	vec->nr = vec->cap = nr;
}

static int decode_repeated(const struct img_field *f, const ProtobufCFieldDescriptor *pf, const uint8_t *msg,
			   uint8_t *at, struct err *err)
{
	const void *list = *(void *const *)(msg + pf->offset);
	size_t nr = *(const size_t *)(msg + pf->quantifier_offset);
	any_vec *vec = (void *)at;

	if (nr > f->max)
		return too_many(f, nr, err);
	switch (f->form) {
	case IMG_ARRAY:
		if (nr != f->max)
			return err_set(err, ERR_IMAGE, "%s: %zu instead of %zu", f->name, nr, f->max);
		return decode_messages(f, list, nr, at, err);
	case IMG_GENERAL:
		*(uint32_t *)(at + f->max * f->item_bytes) = (uint32_t)nr;
		return decode_numbers(f, pf, list, nr, at, err);
	case IMG_NUMS:
		vec_make(vec, nr, f->item_bytes);
		return decode_numbers(f, pf, list, nr, vec->at, err);
	default:
		vec_make(vec, nr, f->item_bytes);
		return decode_messages(f, list, nr, vec->at, err);
	}
}

static int decode_field(const struct img_field *f, const ProtobufCFieldDescriptor *pf, const uint8_t *msg,
			uint8_t *obj, struct err *err)
{
	const void *from = msg + pf->offset;
	uint8_t *at = obj + f->offset;

	switch (f->form) {
	case IMG_NUM:
		return decode_num(f, pf, from, at, err);
	case IMG_TEXT:
		return decode_text(f, from, (char **)at, err);
	case IMG_BYTES:
		return decode_bytes(f, from, (struct bytes *)at, err);
	case IMG_STRUCT:
		if (!*(void *const *)from)
			return err_set(err, ERR_IMAGE, "%s: missing", f->name);
		if (decode_table(f->sub, *(ProtobufCMessage *const *)from, at, err))
			return err_ctx(err, "%s", f->name);
		return 0;
	default:
		return decode_repeated(f, pf, msg, at, err);
	}
}

static int decode_table(const struct img_table *t, const ProtobufCMessage *msg, uint8_t *obj, struct err *err)
{
	if (msg->n_unknown_fields)
		return err_set(err, ERR_IMAGE,
			       "field %u of message %s is unknown: the image is of a newer Verst",
			       msg->unknown_fields[0].tag, t->message->short_name);
	for (size_t i = 0; i < t->nr; i++) {
		if (decode_field(&t->fields[i], &t->message->fields[i], (const uint8_t *)msg, obj, err))
			return -1;
	}
	return 0;
}

static void *unpack_alloc(void *arena, size_t len_bytes)
{
	return img_arena_get(arena, len_bytes);
}

static void unpack_free(void *arena, void *p)
{
	(void)arena, (void)p; /* all at once, by img_arena_reset */
}

int img_decode(const struct img_codec *codec, const void *body, size_t len_bytes, struct img_arena *arena,
	       void *ret, struct err *err)
{
	ProtobufCAllocator allocator = {unpack_alloc, unpack_free, arena};
	ProtobufCMessage *msg;

	img_arena_reset(arena, len_bytes * UNPACK_FACTOR + UNPACK_ROOM);
	msg = protobuf_c_message_unpack(codec->kind->table->message, &allocator, len_bytes, body);
	if (!msg)
		return err_set(err, ERR_IMAGE, "is no message of this type");
	if (decode_table(codec->kind->table, msg, ret, err))
		return -1;
	return codec->kind->check ? codec->kind->check(ret, err) : 0;
}
