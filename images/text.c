// SPDX-License-Identifier: GPL-2.0-only
#include "images/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define LINE_ITEMS	8  /* of a list */
#define LINE_TEXT_BYTES 80 /* of a text or of bytes */
#define JSON_HEX_BYTES	64

typedef VEC(uint8_t) any_vec;

void img_text_put(struct buf *out, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_put(out, text, MIN((size_t)MAX(n, 0), sizeof(text) - 1));
}

/* Length of the UTF-8 sequence at p, 0 if it is none. */
static size_t utf8_length(const uint8_t *p, size_t left_bytes)
{
	size_t len = *p < 0x80		       ? 1
		     : *p >= 0xc2 && *p < 0xe0 ? 2
		     : *p >= 0xe0 && *p < 0xf0 ? 3
		     : *p >= 0xf0 && *p < 0xf5 ? 4
					       : 0;

	if (!len || len > left_bytes)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
	    (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

void img_text_json_string(struct buf *out, const void *p, size_t len_bytes)
{
	const uint8_t *at = p;

	buf_put_u8(out, '"');
	for (size_t i = 0; i < len_bytes;) {
		size_t len = utf8_length(at + i, len_bytes - i);

		if (!len)
			img_text_put(out, "\\udc%02x", at[i]);
		else if (at[i] == '"' || at[i] == '\\')
			img_text_put(out, "\\%c", at[i]);
		else if (at[i] < 0x20 || at[i] == 0x7f)
			img_text_put(out, "\\u%04x", at[i]);
		else
			buf_put(out, at + i, len);
		i += len ? len : 1;
	}
	buf_put_u8(out, '"');
}

static void put_hex(struct buf *out, const uint8_t *p, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		img_text_put(out, "%02x", p[i]);
}

/* --- numbers --- */

static uint64_t number(const struct img_field *f, const void *at)
{
	return img_load(at, f->item_bytes, f->is_signed);
}

/* "VMA_KIND_FILE_SHARED" is "file_shared"; NULL if it is no enum. */
static const char *enum_name(const ProtobufCFieldDescriptor *pf, uint64_t v)
{
	const ProtobufCEnumValue *value;
	const char *name;

	if (pf->type != PROTOBUF_C_TYPE_ENUM)
		return NULL;
	value = protobuf_c_enum_descriptor_get_value(pf->descriptor, (int)v);
	if (!value)
		return NULL;
	name = strstr(value->name, "KIND_");
	if (name)
		return name + 5;
	name = strstr(value->name, "STATE_");
	return name ? name + 6 : value->name;
}

static void put_lower(struct buf *out, const char *s)
{
	while (*s)
		buf_put_u8(out, (uint8_t)tolower((unsigned char)*s++));
}

static void put_number(struct buf *out, const struct img_field *f, uint64_t v, enum img_look look)
{
	if (look == IMG_HEX)
		img_text_put(out, "0x%llx", (unsigned long long)v);
	else if (look == IMG_OCT)
		img_text_put(out, "0%llo", (unsigned long long)v);
	else if (f->is_signed)
		img_text_put(out, "%lld", (long long)v);
	else
		img_text_put(out, "%llu", (unsigned long long)v);
}

/* --- JSON --- */

static void json_num(struct buf *out, const struct img_field *f, const ProtobufCFieldDescriptor *pf,
		     const uint8_t *at)
{
	uint64_t v = number(f, at);
	const char *name = enum_name(pf, v);

	if (name) {
		buf_put_u8(out, '"');
		put_lower(out, name);
		buf_put_u8(out, '"');
	} else if (pf->type == PROTOBUF_C_TYPE_BOOL) {
		img_text_put(out, v ? "true" : "false");
	} else {
		put_number(out, f, v, IMG_DEC);
	}
}

static void json_items(struct buf *out, const struct img_field *f, const ProtobufCFieldDescriptor *pf,
		       const uint8_t *items, size_t nr)
{
	buf_put_u8(out, '[');
	for (size_t i = 0; i < nr; i++) {
		if (i)
			buf_put_u8(out, ',');
		if (f->sub)
			img_text_json(out, f->sub, items + i * f->item_bytes);
		else
			json_num(out, f, pf, items + i * f->item_bytes);
	}
	buf_put_u8(out, ']');
}

static void json_field(struct buf *out, const struct img_field *f, const ProtobufCFieldDescriptor *pf,
		       const uint8_t *at)
{
	const struct bytes *bytes = (const void *)at;
	const any_vec *vec = (const void *)at;
	const char *s;

	switch (f->form) {
	case IMG_NUM:
		json_num(out, f, pf, at);
		break;
	case IMG_TEXT:
		s = *(char *const *)at;
		if (s)
			img_text_json_string(out, s, strlen(s));
		else
			img_text_put(out, "null");
		break;
	case IMG_BYTES:
		img_text_put(out, "{\"len_bytes\":%zu,\"hex\":\"", bytes->len_bytes);
		put_hex(out, bytes->at, MIN(bytes->len_bytes, (size_t)JSON_HEX_BYTES));
		img_text_put(out, "\"}");
		break;
	case IMG_STRUCT:
		img_text_json(out, f->sub, at);
		break;
	case IMG_ARRAY:
		json_items(out, f, pf, at, f->max);
		break;
	case IMG_GENERAL:
		json_items(out, f, pf, at, *(const uint32_t *)(at + f->max * f->item_bytes));
		break;
	case IMG_NUMS:
	case IMG_LIST:
		json_items(out, f, pf, vec->at, vec->nr);
		break;
	}
}

void img_text_json(struct buf *out, const struct img_table *t, const void *obj)
{
	buf_put_u8(out, '{');
	for (size_t i = 0; i < t->nr; i++) {
		img_text_put(out, "%s\"%s\":", i ? "," : "", t->fields[i].name);
		json_field(out, &t->fields[i], &t->message->fields[i],
			   (const uint8_t *)obj + t->fields[i].offset);
	}
	buf_put_u8(out, '}');
}

/* --- for people --- */

static bool is_empty(const struct img_field *f, const uint8_t *at)
{
	const any_vec *vec = (const void *)at;
	const char *s;

	switch (f->form) {
	case IMG_NUM:
		return number(f, at) == 0;
	case IMG_TEXT:
		s = *(char *const *)at;
		return !s || !*s;
	case IMG_BYTES:
		return !((const struct bytes *)at)->len_bytes;
	case IMG_NUMS:
	case IMG_LIST:
		return !vec->nr;
	default:
		return false;
	}
}

static void line_table(struct buf *out, const struct img_table *t, const void *obj, unsigned depth);

static void line_items(struct buf *out, const struct img_field *f, const uint8_t *items, size_t nr,
		       unsigned depth)
{
	if (nr > LINE_ITEMS || depth > 1 || f->form == IMG_ARRAY || f->form == IMG_GENERAL) {
		img_text_put(out, "(%zu)", nr);
		return;
	}
	buf_put_u8(out, '[');
	for (size_t i = 0; i < nr; i++) {
		img_text_put(out, "%s", i ? "; " : "");
		if (f->sub)
			line_table(out, f->sub, items + i * f->item_bytes, depth + 1);
		else
			put_number(out, f, number(f, items + i * f->item_bytes), f->look);
	}
	buf_put_u8(out, ']');
}

static void line_text(struct buf *out, const char *s)
{
	size_t len = strlen(s);

	img_text_json_string(out, s, MIN(len, (size_t)LINE_TEXT_BYTES));
	if (len > LINE_TEXT_BYTES)
		img_text_put(out, "... (%zu bytes)", len);
}

static void line_bytes(struct buf *out, const struct bytes *b)
{
	bool text = true;

	for (size_t i = 0; i < MIN(b->len_bytes, (size_t)LINE_TEXT_BYTES); i++)
		text = text &&
		       (isprint(b->at[i]) || b->at[i] == '\n' || b->at[i] == '\r' || b->at[i] == '\t');
	img_text_put(out, "(%zu bytes) ", b->len_bytes);
	if (text)
		img_text_json_string(out, b->at, MIN(b->len_bytes, (size_t)LINE_TEXT_BYTES));
	else
		put_hex(out, b->at, MIN(b->len_bytes, (size_t)LINE_TEXT_BYTES / 4));
	if (b->len_bytes > (text ? LINE_TEXT_BYTES : LINE_TEXT_BYTES / 4))
		img_text_put(out, "...");
}

static void line_field(struct buf *out, const struct img_field *f, const ProtobufCFieldDescriptor *pf,
		       const uint8_t *at, unsigned depth)
{
	const any_vec *vec = (const void *)at;
	const char *name;

	switch (f->form) {
	case IMG_NUM:
		name = enum_name(pf, number(f, at));
		if (name)
			put_lower(out, name);
		else if (pf->type == PROTOBUF_C_TYPE_BOOL)
			img_text_put(out, "yes");
		else
			put_number(out, f, number(f, at), f->look);
		break;
	case IMG_TEXT:
		line_text(out, *(char *const *)at);
		break;
	case IMG_BYTES:
		line_bytes(out, (const void *)at);
		break;
	case IMG_STRUCT:
		buf_put_u8(out, '{');
		line_table(out, f->sub, at, depth + 1);
		buf_put_u8(out, '}');
		break;
	case IMG_ARRAY:
		line_items(out, f, at, f->max, depth);
		break;
	case IMG_GENERAL:
		line_items(out, f, at, *(const uint32_t *)(at + f->max * f->item_bytes), depth);
		break;
	case IMG_NUMS:
	case IMG_LIST:
		line_items(out, f, vec->at, vec->nr, depth);
		break;
	}
}

static void line_table(struct buf *out, const struct img_table *t, const void *obj, unsigned depth)
{
	const char *comma = "";

	for (size_t i = 0; i < t->nr; i++) {
		const struct img_field *f = &t->fields[i];
		const uint8_t *at = (const uint8_t *)obj + f->offset;

		if (is_empty(f, at))
			continue;
		img_text_put(out, "%s%s ", comma, f->name);
		line_field(out, f, &t->message->fields[i], at, depth);
		comma = ", ";
	}
}

void img_text_line(struct buf *out, const struct img_table *t, const void *obj)
{
	line_table(out, t, obj, 0);
}
