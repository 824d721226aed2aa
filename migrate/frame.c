// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/frame.h"

#include <ctype.h>
#include <endian.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct frame_kind {
	const char *name;
	uint32_t max_bytes;
};

static const struct frame_kind kinds[FRAME_TYPE_END] = {
	[FRAME_HELLO] = {"HELLO", 4096},
	[FRAME_PREFLIGHT] = {"PREFLIGHT", FRAME_BODY_MAX_BYTES},
	[FRAME_FINDINGS] = {"FINDINGS", FRAME_BODY_MAX_BYTES},
	[FRAME_PREPARE] = {"PREPARE", 64 * 1024},
	[FRAME_PREPARED] = {"PREPARED", 16 * 1024},
	[FRAME_STREAM] = {"STREAM", FRAME_DATA_MAX_BYTES},
	[FRAME_STREAM_END] = {"STREAM_END", 0},
	[FRAME_FILE] = {"FILE", FRAME_BODY_MAX_BYTES},
	[FRAME_SYNC] = {"SYNC", 8},
	[FRAME_SYNCED] = {"SYNCED", 8},
	[FRAME_READY] = {"READY", 256},
	[FRAME_COMMIT] = {"COMMIT", 16},
	[FRAME_DONE] = {"DONE", 64 * 1024},
	[FRAME_FORGET] = {"FORGET", 16},
	[FRAME_ABORT] = {"ABORT", 4096},
	[FRAME_ABORTED] = {"ABORTED", 0},
	[FRAME_ERROR] = {"ERROR", 16 * 1024},
	[FRAME_ASK] = {"ASK", 64},
	[FRAME_ANSWER] = {"ANSWER", 64},
};

const char *frame_name(unsigned type)
{
	return type < FRAME_TYPE_END ? kinds[type].name : NULL;
}

static uint32_t check_of(const uint8_t *frame, size_t body_bytes)
{
	return (uint32_t)XXH3_64bits(frame + 4, FRAME_HEADER_BYTES - 4 + body_bytes);
}

static void store_u32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

size_t frame_begin(struct buf *out)
{
	size_t at = out->len_bytes;

	memset(buf_reserve(out, FRAME_HEADER_BYTES), 0, FRAME_HEADER_BYTES);
	out->len_bytes += FRAME_HEADER_BYTES;
	return at;
}

void frame_end(struct buf *out, size_t at, enum frame_type type, uint32_t seq)
{
	uint8_t *h = out->at + at;
	size_t body = out->len_bytes - at - FRAME_HEADER_BYTES;

	store_u32(h + 4, (uint32_t)body);
	store_u32(h + 8, seq);
	h[12] = (uint8_t)type;
	store_u32(h, check_of(h, body));
}

void frame_put(struct buf *out, enum frame_type type, uint32_t seq, const void *body, size_t len_bytes)
{
	size_t at = frame_begin(out);

	buf_put(out, body, len_bytes);
	frame_end(out, at, type, seq);
}

void frame_parser_free(struct frame_parser *p)
{
	buf_free(&p->in);
}

void frame_feed(struct frame_parser *p, const void *bytes, size_t len_bytes)
{
	if (p->used_bytes) {
		memmove(p->in.at, p->in.at + p->used_bytes, p->in.len_bytes - p->used_bytes);
		p->in.len_bytes -= p->used_bytes;
		p->used_bytes = 0;
	}
	buf_put(&p->in, bytes, len_bytes);
}

/* The first line of what is not a banner, printable, for the error's text. */
static void quote(const uint8_t *at, size_t len_bytes, char ret[static 121])
{
	size_t n = 0;

	while (n < len_bytes && n < 120 && at[n] != '\n') {
		ret[n] = isprint(at[n]) ? (char)at[n] : '?';
		n++;
	}
	ret[n] = 0;
}

static int take_banner(struct frame_parser *p, struct err *err)
{
	static const char banner[] = FRAME_BANNER;
	size_t want = sizeof(banner) - 1, have = p->in.len_bytes - p->used_bytes;
	const uint8_t *at = p->in.at + p->used_bytes;
	char text[121];

	if (memcmp(at, banner, MIN(want, have))) {
		quote(at, have, text);
		return err_set(err, ERR_PROTOCOL,
			       "the far side does not speak Verst's protocol; it said \"%s\"", text);
	}
	if (have < want)
		return 0;
	p->used_bytes += want;
	p->banner = false;
	return 1;
}

static int check_header(const struct frame_parser *p, const uint8_t *h, uint32_t *ret_body, struct err *err)
{
	struct cur c = cur_of(h + 4, FRAME_HEADER_BYTES - 4);
	uint32_t len = cur_u32(&c), seq = cur_u32(&c);
	unsigned type = cur_u8(&c);

	if (!frame_name(type))
		return err_set(err, ERR_PROTOCOL, "frame %u is of unknown type %u", p->seq, type);
	if (cur_u8(&c) | cur_u16(&c))
		return err_set(err, ERR_PROTOCOL, "frame %u (%s): reserved bytes are not zero", p->seq,
			       frame_name(type));
	if (seq != p->seq)
		return err_set(err, ERR_PROTOCOL, "frame %u (%s): has number %u", p->seq, frame_name(type),
			       seq);
	if (len > kinds[type].max_bytes)
		return err_set(err, ERR_PROTOCOL, "frame %u (%s): %u bytes, at most %u may be", p->seq,
			       frame_name(type), len, kinds[type].max_bytes);
	*ret_body = len;
	return 0;
}

int frame_next(struct frame_parser *p, struct frame *ret, struct err *err)
{
	const uint8_t *h;
	uint32_t body = 0, check;
	size_t have;

	if (p->banner && p->in.len_bytes > p->used_bytes) {
		int got = take_banner(p, err);

		if (got <= 0)
			return got;
	}
	have = p->in.len_bytes - p->used_bytes;
	if (have < FRAME_HEADER_BYTES)
		return 0;
	h = p->in.at + p->used_bytes;
	if (check_header(p, h, &body, err))
		return -1;
	if (have < FRAME_HEADER_BYTES + body)
		return 0;
	memcpy(&check, h, sizeof(check));
	if (le32toh(check) != check_of(h, body))
		return err_set(err, ERR_PROTOCOL, "frame %u (%s): wrong checksum", p->seq, frame_name(h[12]));
	*ret = (struct frame){h[12], h + FRAME_HEADER_BYTES, body};
	p->used_bytes += FRAME_HEADER_BYTES + body;
	p->seq++;
	return 1;
}

int frame_end_of_stream(const struct frame_parser *p, struct err *err)
{
	if (p->banner && p->in.len_bytes == p->used_bytes)
		return err_set(err, ERR_PROTOCOL, "the far side ended without a word");
	if (p->in.len_bytes != p->used_bytes)
		return err_set(err, ERR_PROTOCOL, "the stream ends within frame %u", p->seq);
	return 0;
}
