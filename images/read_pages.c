// SPDX-License-Identifier: GPL-2.0-only
#include <lz4.h>
#include <string.h>

#include "images/read.h"

int img_batch_parse(const struct buf *body, uint32_t page_bytes, uint32_t len_bytes, struct img_batch *ret,
		    struct err *err)
{
	struct cur c = cur_of(body->at, IMG_PAGES_BYTES);
	size_t index_bytes;

	ret->target = cur_u32(&c);
	ret->id = cur_u32(&c);
	ret->nr_runs = cur_u32(&c);
	ret->coding = cur_u32(&c);
	ret->data_offset = cur_u32(&c);
	ret->data_bytes = cur_u32(&c);
	index_bytes = IMG_PAGES_BYTES + (size_t)MIN(ret->nr_runs, IMG_MAX_RUNS) * IMG_RUN_BYTES;
	if (cur_u64(&c) || ret->nr_runs > IMG_MAX_RUNS || ret->data_offset < index_bytes ||
	    ret->data_offset - index_bytes >= page_bytes || ret->data_offset > len_bytes ||
	    ret->data_bytes != len_bytes - ret->data_offset ||
	    ret->data_bytes > (size_t)IMG_BATCH_PAGES * page_bytes)
		return err_set(err, ERR_IMAGE, "lengths do not fit together: damaged");
	return 0;
}

/* One run; *end is where the one before ended. */
static int read_run(struct img_reader *r, struct cur *c, uint64_t *end, uint64_t *nr_data, struct err *err)
{
	struct pages_run *run = vec_add(&r->runs);
	uint64_t page_bytes = r->header.page_bytes;
	uint64_t len;

	run->start = cur_u64(c);
	run->nr_pages = cur_u32(c);
	run->kind = cur_u32(c);
	len = run->nr_pages * page_bytes; /* < 2^32 * 2^16 */
	if (run->kind < PAGES_DATA || run->kind > PAGES_DROP)
		return err_set(err, ERR_IMAGE, "unknown kind of pages %u", run->kind);
	if (!run->nr_pages || run->start % page_bytes || run->start < *end || run->start + len < run->start)
		return err_set(err, ERR_IMAGE,
			       "pages at 0x%llx: empty, not aligned, or not behind those before them",
			       (unsigned long long)run->start);
	*end = run->start + len;
	if (run->kind == PAGES_DATA) {
		*nr_data += run->nr_pages;
		r->totals.data_pages += run->nr_pages;
	} else if (run->kind == PAGES_ZERO) {
		r->totals.zero_pages += run->nr_pages;
	} else if (run->kind == PAGES_INHERIT) {
		r->totals.inherit_pages += run->nr_pages;
	}
	return 0;
}

static int unpack(struct img_reader *r, const struct img_batch *b, size_t raw_bytes, struct err *err)
{
	int n;

	switch (b->coding) {
	case IMG_RAW:
		return b->data_bytes == raw_bytes
			       ? 0
			       : err_set(err, ERR_IMAGE, "pages and their bytes do not match");
	case IMG_LZ4:
		n = LZ4_decompress_safe((const char *)r->at->packed, (char *)r->at->data, (int)b->data_bytes,
					(int)raw_bytes);
		if (n < 0 || (size_t)n != raw_bytes)
			return err_set(err, ERR_IMAGE, "compressed pages do not unpack");
		return 0;
	default:
		return err_set(err, ERR_IMAGE, "unknown coding %u", b->coding);
	}
}

int img_read_pages(struct img_reader *r, struct img_pages *ret, struct err *err)
{
	struct cur c = cur_of(r->at->body.at, r->at->body.len_bytes);
	uint64_t end = 0, nr_data = 0;
	const uint8_t *pad;
	struct img_batch b;

	if (img_batch_parse(&r->at->body, r->header.page_bytes, r->at->len_bytes, &b, err))
		return -1;
	if (b.target < PAGES_MM || b.target > PAGES_GHOST || !b.id)
		return err_set(err, ERR_IMAGE, "unknown target %u, id %u", b.target, b.id);
	cur_take(&c, IMG_PAGES_BYTES);
	r->runs.nr = 0;
	for (uint32_t i = 0; i < b.nr_runs; i++) {
		if (read_run(r, &c, &end, &nr_data, err))
			return -1;
	}
	if (nr_data > IMG_BATCH_PAGES)
		return err_set(err, ERR_IMAGE, "%llu pages, a batch has at most %u",
			       (unsigned long long)nr_data, IMG_BATCH_PAGES);
	for (size_t n = c.left_bytes; n; n--) {
		pad = cur_take(&c, 1);
		if (*pad)
			return err_set(err, ERR_IMAGE, "padding is not zero");
	}
	if (unpack(r, &b, nr_data * r->header.page_bytes, err))
		return -1;
	*ret = (struct img_pages){b.target, b.id, r->runs.at, r->runs.nr, r->at->data};
	return 0;
}
