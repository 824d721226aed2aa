// SPDX-License-Identifier: GPL-2.0-only
#include "lib/buf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

void *buf_reserve(struct buf *b, size_t more_bytes)
{
	if (b->cap_bytes - b->len_bytes < more_bytes) {
		size_t cap = b->cap_bytes ? b->cap_bytes * 2 : 256;

		while (cap - b->len_bytes < more_bytes)
			cap *= 2;
		b->at = mem_realloc_array(b->at, cap, 1);
		b->cap_bytes = cap;
	}
	return b->at + b->len_bytes;
}

void buf_put(struct buf *b, const void *p, size_t len_bytes)
{
	if (!len_bytes)
		return;
	memcpy(buf_reserve(b, len_bytes), p, len_bytes);
	b->len_bytes += len_bytes;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, sizeof(v));
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	buf_put(b, &v, sizeof(v));
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_put(b, &v, sizeof(v));
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_put(b, &v, sizeof(v));
}

void buf_put_str(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	buf_put_u32(b, (uint32_t)len);
	buf_put(b, s, len);
}

void buf_clear(struct buf *b)
{
	b->len_bytes = 0;
}

void buf_free(struct buf *b)
{
	free(b->at);
	*b = (struct buf){0};
}

const void *cur_take(struct cur *c, size_t len_bytes)
{
	const uint8_t *p = c->at;

	if (c->bad || len_bytes > c->left_bytes) {
		c->bad = true;
		return NULL;
	}
	c->at += len_bytes;
	c->left_bytes -= len_bytes;
	return p;
}

uint8_t cur_u8(struct cur *c)
{
	const uint8_t *p = cur_take(c, 1);

	return p ? *p : 0;
}

uint16_t cur_u16(struct cur *c)
{
	const void *p = cur_take(c, 2);
	uint16_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

uint32_t cur_u32(struct cur *c)
{
	const void *p = cur_take(c, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

uint64_t cur_u64(struct cur *c)
{
	const void *p = cur_take(c, 8);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

char *cur_str(struct cur *c, size_t max_bytes)
{
	size_t len = cur_u32(c);
	const void *p;
	char *s;

	if (len > max_bytes) {
		c->bad = true;
		return NULL;
	}
	p = cur_take(c, len);
	if (!p)
		return NULL;
	if (memchr(p, 0, len)) {
		c->bad = true;
		return NULL;
	}
	s = mem_alloc(len + 1);
	memcpy(s, p, len);
	return s;
}

bool cur_done(const struct cur *c)
{
	return !c->bad && !c->left_bytes;
}
