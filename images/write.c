// SPDX-License-Identifier: GPL-2.0-only
#include "images/write.h"

#include <endian.h>
#include <string.h>

static void put_header(struct img_writer *w)
{
	struct buf *head = &img_out_block(w->out)->head;
	char arch[16] = {0};
	uint64_t sum;

	strncpy(arch, w->opts.arch, sizeof(arch) - 1);
	buf_put(head, IMG_MAGIC, 8);
	buf_put_u32(head, IMG_VERSION);
	buf_put_u32(head, w->opts.page_bytes);
	buf_put(head, arch, sizeof(arch));
	buf_put_u64(head, 0);
	buf_put_u64(head, (uint64_t)w->opts.created_unix);
	buf_put_u64(head, 0);
	sum = img_sum_header(head->at);
	buf_put_u64(head, sum);
	img_out_head(img_out_block(w->out), IMG_HEADER_BYTES);
	sum = htole64(sum);
	XXH3_64bits_update(w->digest, &sum, sizeof(sum));
	w->totals.bytes = IMG_HEADER_BYTES;
}

int img_writer_open(int fd, const struct img_writer_opts *opts, struct img_writer **ret, struct err *err)
{
	struct img_writer *w;

	if (opts->page_bytes < 4096 || opts->page_bytes > 65536 ||
	    (opts->page_bytes & (opts->page_bytes - 1)))
		return err_set(err, ERR_IMAGE, "image: impossible page size %u", opts->page_bytes);
	w = mem_new(struct img_writer);
	w->opts = *opts;
	w->out = img_out_open(fd, (size_t)IMG_BATCH_PAGES * opts->page_bytes);
	w->sum = XXH3_createState();
	w->digest = XXH3_createState();
	if (!w->sum || !w->digest)
		abort(); /* as lib/mem.h */
	XXH3_64bits_reset(w->digest);
	put_header(w);
	*ret = w;
	return 0;
}

void img_writer_close(struct img_writer *w)
{
	if (!w)
		return;
	img_out_close(w->out);
	img_arena_free(&w->arena);
	XXH3_freeState(w->sum);
	XXH3_freeState(w->digest);
	vec_free(&w->runs);
	free(w);
}

void img_write_record(struct img_writer *w, uint16_t type, size_t body_bytes, size_t data_offset,
		      size_t data_bytes)
{
	struct img_block *b = img_out_block(w->out);
	size_t len = body_bytes + data_bytes;
	uint8_t *body = b->head.at + b->head.len_bytes - body_bytes;
	uint8_t *header = body - IMG_RECORD_BYTES;
	uint16_t type_le = htole16(type);
	uint32_t len_le = htole32((uint32_t)len);
	uint64_t sum;

	memcpy(header, &type_le, 2);
	memset(header + 2, 0, 2);
	memcpy(header + 4, &len_le, 4);
	img_sum_begin(w->sum, w->totals.records, header);
	img_sum_more(w->sum, body, body_bytes);
	img_sum_more(w->sum, b->data + data_offset, data_bytes);
	sum = htole64(img_sum_end(w->sum));
	memcpy(header + 8, &sum, 8);
	XXH3_64bits_update(w->digest, &sum, sizeof(sum));
	img_out_head(b, IMG_RECORD_BYTES + body_bytes);
	if (data_bytes)
		img_out_data(b, data_offset, data_bytes);
	w->totals.records++;
	w->totals.bytes += IMG_RECORD_BYTES + len;
	w->totals.kinds[type].records++;
	w->totals.kinds[type].bytes += IMG_RECORD_BYTES + len;
}

int img_write_make_room(struct img_writer *w, struct err *err)
{
	struct img_block *b = img_out_block(w->out);

	if (b->head.len_bytes < IMG_BLOCK_HEAD_BYTES && b->nr_segs + 4 <= IMG_BLOCK_SEGS)
		return 0;
	w->room_pages = 0;
	return img_out_submit(w->out, err);
}

static int begin_record(struct img_writer *w, struct buf **ret, struct err *err)
{
	if (img_write_batch(w, err) || img_write_make_room(w, err))
		return -1;
	*ret = &img_out_block(w->out)->head;
	buf_put(*ret, (uint8_t[IMG_RECORD_BYTES]){0}, IMG_RECORD_BYTES);
	return 0;
}

static int put(struct img_writer *w, const struct img_codec *codec, const void *obj, struct err *err)
{
	struct buf *head;
	size_t before;

	if (begin_record(w, &head, err))
		return -1;
	before = head->len_bytes;
	if (!img_encode(codec, obj, &w->arena, head, err)) {
		if (head->len_bytes - before <= IMG_MAX_BODY_BYTES) {
			img_write_record(w, codec->type, head->len_bytes - before, 0, 0);
			return 0;
		}
		err_set(err, ERR_IMAGE, "%zu bytes, a record takes %u", head->len_bytes - before,
			IMG_MAX_BODY_BYTES);
	}
	head->len_bytes = before - IMG_RECORD_BYTES;
	return err_ctx(err, "image: writing %s", codec->name);
}

#define OBJECT(name, type, struct_, member)                                                                  \
	int img_put_##name(struct img_writer *w, const struct_ *obj, struct err *err)                        \
	{                                                                                                    \
		return put(w, &img_codecs[IMG_CODEC_##name], obj, err);                                      \
	}
#include "model/objects.def"
#undef OBJECT

int img_round_end(struct img_writer *w, uint32_t round, struct err *err)
{
	struct buf *head;

	if (begin_record(w, &head, err))
		return -1;
	buf_put_u32(head, round);
	img_write_record(w, IMG_REC_ROUND_END, 4, 0, 0);
	return img_flush(w, err);
}

int img_flush(struct img_writer *w, struct err *err)
{
	if (img_write_batch(w, err))
		return -1;
	w->room_pages = 0;
	return img_out_flush(w->out, err);
}

static void put_totals(struct buf *head, const struct img_totals *t, uint64_t digest)
{
	uint32_t nr = 0;

	for (size_t i = 0; i < ARRAY_LEN(t->kinds); i++)
		nr += t->kinds[i].records != 0;
	buf_put_u64(head, t->records);
	buf_put_u64(head, t->bytes);
	buf_put_u64(head, t->data_pages);
	buf_put_u64(head, t->zero_pages);
	buf_put_u64(head, t->inherit_pages);
	buf_put_u64(head, digest);
	buf_put_u32(head, nr);
	buf_put_u32(head, 0);
	for (size_t i = 0; i < ARRAY_LEN(t->kinds); i++) {
		if (!t->kinds[i].records)
			continue;
		buf_put_u64(head, i);
		buf_put_u64(head, t->kinds[i].records);
		buf_put_u64(head, t->kinds[i].bytes);
	}
}

int img_writer_end(struct img_writer *w, struct err *err)
{
	struct buf *head;
	size_t before;

	if (begin_record(w, &head, err))
		return -1;
	before = head->len_bytes;
	put_totals(head, &w->totals, XXH3_64bits_digest(w->digest));
	img_write_record(w, IMG_REC_END, head->len_bytes - before, 0, 0);
	return img_flush(w, err);
}

uint64_t img_writer_bytes(const struct img_writer *w)
{
	return w->totals.bytes;
}

uint64_t img_writer_pages(const struct img_writer *w, uint64_t *ret_zero)
{
	*ret_zero = w->totals.zero_pages;
	return w->totals.data_pages;
}
