/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two views of bytes. `struct buf` grows and is written; `struct cur` is a bounded reader of bytes that may
 * be hostile: a read past the end sets `bad` and gives zeros, so that a record is read in a row and checked
 * once. Integers are little-endian.
 */
#ifndef VERST_LIB_BUF_H
#define VERST_LIB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *at;
	size_t len_bytes;
	size_t cap_bytes;
};

void *buf_reserve(struct buf *b, size_t more_bytes); /* room behind the end; does not change the length */
void buf_put(struct buf *b, const void *p, size_t len_bytes);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_str(struct buf *b, const char *s); /* u32 length, bytes, no NUL */
void buf_clear(struct buf *b);			/* keeps the memory */
void buf_free(struct buf *b);

struct cur {
	const uint8_t *at;
	size_t left_bytes;
	bool bad;
};

static inline struct cur cur_of(const void *p, size_t len_bytes)
{
	return (struct cur){p, len_bytes, false};
}

const void *cur_take(struct cur *c, size_t len_bytes); /* NULL when there are not so many */
uint8_t cur_u8(struct cur *c);
uint16_t cur_u16(struct cur *c);
uint32_t cur_u32(struct cur *c);
uint64_t cur_u64(struct cur *c);
char *cur_str(struct cur *c,
	      size_t max_bytes);    /* the caller frees; NULL and bad if longer or with a NUL in it */
bool cur_done(const struct cur *c); /* all was read, nothing was missing */

#endif
