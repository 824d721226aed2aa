// SPDX-License-Identifier: GPL-2.0-only
#include <lz4.h>
#include <string.h>

#include "images/write.h"

#define RUN_MAX_PAGES UINT32_MAX

/* Early exit makes this free for pages that hold something: mostly their first line tells. */
static bool is_zero(const uint8_t *page, size_t len_bytes)
{
	typedef uint64_t words __attribute__((vector_size(64), may_alias, aligned(64)));

	if (*(const uint64_t *)page)
		return false;
	for (size_t i = 0; i < len_bytes; i += 256) {
		const words *v = (const words *)(page + i);
		words all = v[0] | v[1] | v[2] | v[3];
		uint64_t any = 0;

		for (int k = 0; k < 8; k++)
			any |= all[k];
		if (any)
			return false;
	}
	return true;
}

int img_pages_begin(struct img_writer *w, enum pages_target target, uint32_t id, struct err *err)
{
	if (img_write_batch(w, err))
		return -1;
	w->target = target;
	w->id = id;
	w->room_pages = 0;
	return img_write_make_room(w, err);
}

void *img_pages_room(struct img_writer *w, size_t nr_pages, struct err *err)
{
	size_t cap_bytes = (size_t)IMG_BATCH_PAGES * w->opts.page_bytes;
	struct img_block *b = img_out_block(w->out);

	if (nr_pages > IMG_BATCH_PAGES) {
		err_set(err, ERR_IMAGE, "image: room for %zu pages at once", nr_pages);
		return NULL;
	}
	if (b->data_bytes + nr_pages * w->opts.page_bytes > cap_bytes) {
		if (img_write_batch(w, err) || img_out_submit(w->out, err))
			return NULL;
		b = img_out_block(w->out);
	}
	w->room = b->data + b->data_bytes;
	w->room_pages = nr_pages;
	return w->room;
}

static void add_run(struct img_writer *w, uint64_t start, uint64_t nr_pages, enum pages_kind kind)
{
	struct pages_run *last = w->runs.nr ? &w->runs.at[w->runs.nr - 1] : NULL;

	if (kind == PAGES_DATA)
		w->totals.data_pages += nr_pages;
	else if (kind == PAGES_ZERO)
		w->totals.zero_pages += nr_pages;
	else if (kind == PAGES_INHERIT)
		w->totals.inherit_pages += nr_pages;
	if (last && last->kind == kind && last->start + last->nr_pages * w->opts.page_bytes == start &&
	    last->nr_pages + nr_pages <= RUN_MAX_PAGES)
		last->nr_pages += nr_pages;
	else
		vec_push(&w->runs, ((struct pages_run){start, nr_pages, kind}));
}

/* Takes one page of the room into the batch: in place, unless zero pages before it left a gap. */
static void take_page(struct img_writer *w, uint64_t start)
{
	struct img_block *b = img_out_block(w->out);
	size_t len = w->opts.page_bytes;
	uint8_t *to = b->data + b->data_bytes;

	if (is_zero(w->room, len)) {
		add_run(w, start, 1, PAGES_ZERO);
	} else {
		if (!w->batch_pages)
			w->batch_at = b->data_bytes;
		if (to != w->room)
			memcpy(to, w->room, len);
		b->data_bytes += len;
		w->batch_pages++;
		add_run(w, start, 1, PAGES_DATA);
	}
	w->room += len;
	w->room_pages--;
}

int img_pages_commit(struct img_writer *w, uint64_t start, size_t nr_pages, struct err *err)
{
	if (nr_pages > w->room_pages)
		return err_set(err, ERR_IMAGE, "image: %zu pages put, room was for %zu", nr_pages,
			       w->room_pages);
	for (size_t i = 0; i < nr_pages; i++)
		take_page(w, start + i * w->opts.page_bytes);
	return 0;
}

int img_pages_run(struct img_writer *w, uint64_t start, uint64_t nr_pages, enum pages_kind kind,
		  struct err *err)
{
	while (nr_pages) {
		uint64_t nr = MIN(nr_pages, (uint64_t)RUN_MAX_PAGES);

		if (w->runs.nr >= IMG_MAX_RUNS / 2) {
			/* The block stays if there is still something in the room for the next commit. */
			if (img_write_batch(w, err) || (!w->room_pages && img_write_make_room(w, err)))
				return -1;
		}
		add_run(w, start, nr, kind);
		start += nr * w->opts.page_bytes;
		nr_pages -= nr;
	}
	return 0;
}

int img_pages_end(struct img_writer *w, struct err *err)
{
	if (img_write_batch(w, err))
		return -1;
	w->room_pages = 0;
	return 0;
}

/* The data's new length if lz4 made it at least an eighth shorter (it lies at the end of head then), else 0.
 */
static size_t compress_batch(struct img_writer *w, struct img_block *b, size_t raw_bytes)
{
	size_t most = raw_bytes - raw_bytes / 8;
	char *to = buf_reserve(&b->head, most);
	int n = LZ4_compress_default((const char *)b->data + w->batch_at, to, (int)raw_bytes, (int)most);

	return n > 0 ? (size_t)n : 0;
}

/* Bytes in front of the data so that it lies at a multiple of the page size in the stream. */
static size_t padding(const struct img_writer *w, size_t index_bytes)
{
	uint64_t at = w->totals.bytes + IMG_RECORD_BYTES + index_bytes;

	if (w->batch_pages < IMG_ALIGNED_PAGES)
		return 0;
	return (size_t)(-at & (w->opts.page_bytes - 1));
}

static void put_index(struct img_writer *w, struct buf *head, enum img_coding coding, size_t data_offset,
		      size_t data_bytes)
{
	buf_put_u32(head, w->target);
	buf_put_u32(head, w->id);
	buf_put_u32(head, (uint32_t)w->runs.nr);
	buf_put_u32(head, coding);
	buf_put_u32(head, (uint32_t)data_offset);
	buf_put_u32(head, (uint32_t)data_bytes);
	buf_put_u64(head, 0);
	vec_each(run, &w->runs) {
		buf_put_u64(head, run->start);
		buf_put_u32(head, (uint32_t)run->nr_pages);
		buf_put_u32(head, run->kind);
	}
}

/* Compressed data stays where it was made, in head: the index is put in front of it. */
static bool write_compressed(struct img_writer *w, struct img_block *b, size_t index_bytes, size_t raw_bytes)
{
	size_t at = b->head.len_bytes, n;

	buf_reserve(&b->head, IMG_RECORD_BYTES + index_bytes + raw_bytes);
	b->head.len_bytes += IMG_RECORD_BYTES + index_bytes;
	n = compress_batch(w, b, raw_bytes);
	b->head.len_bytes = at;
	if (!n)
		return false;
	buf_put(&b->head, (uint8_t[IMG_RECORD_BYTES]){0}, IMG_RECORD_BYTES);
	put_index(w, &b->head, IMG_LZ4, index_bytes, n);
	b->head.len_bytes += n;
	img_write_record(w, IMG_REC_PAGES, index_bytes + n, 0, 0);
	b->data_bytes = w->batch_at; /* its room is free again */
	return true;
}

static void write_raw(struct img_writer *w, struct img_block *b, size_t index_bytes, size_t raw_bytes)
{
	size_t pad = padding(w, index_bytes);

	buf_put(&b->head, (uint8_t[IMG_RECORD_BYTES]){0}, IMG_RECORD_BYTES);
	put_index(w, &b->head, IMG_RAW, index_bytes + pad, raw_bytes);
	memset(buf_reserve(&b->head, pad), 0, pad);
	b->head.len_bytes += pad;
	img_write_record(w, IMG_REC_PAGES, index_bytes + pad, w->batch_at, raw_bytes);
}

int img_write_batch(struct img_writer *w, struct err *err)
{
	struct img_block *b = img_out_block(w->out);
	size_t index_bytes = IMG_PAGES_BYTES + w->runs.nr * IMG_RUN_BYTES;
	size_t raw_bytes = w->batch_pages * w->opts.page_bytes;

	if (!w->runs.nr)
		return 0;
	if (!w->opts.compress || !raw_bytes || !write_compressed(w, b, index_bytes, raw_bytes))
		write_raw(w, b, index_bytes, raw_bytes);
	w->runs.nr = 0;
	w->batch_pages = 0;
	return 0;
}
