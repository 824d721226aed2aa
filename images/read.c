// SPDX-License-Identifier: GPL-2.0-only
#include "images/read.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int check_header(const uint8_t *bytes, struct img_header *ret, struct err *err)
{
	struct cur c = cur_of(bytes, IMG_HEADER_BYTES);
	uint64_t reserved, sum;

	if (memcmp(cur_take(&c, 8), IMG_MAGIC, 8) != 0)
		return err_set(err, ERR_IMAGE,
			       "image: this is no image of Verst (foreign magic at offset 0)");
	ret->version = cur_u32(&c);
	if (ret->version != IMG_VERSION)
		return err_set(err, ERR_IMAGE,
			       "image: version %u is %s than version %u, which this Verst reads",
			       ret->version, ret->version > IMG_VERSION ? "newer" : "older", IMG_VERSION);
	ret->page_bytes = cur_u32(&c);
	memcpy(ret->arch, cur_take(&c, 16), 16);
	ret->features = cur_u64(&c);
	ret->created_unix = (int64_t)cur_u64(&c);
	reserved = cur_u64(&c);
	sum = cur_u64(&c);
	if (sum != img_sum_header(bytes))
		return err_set(err, ERR_IMAGE, "image: header is damaged (checksum, offset 0)");
	if (ret->features & ~IMG_FEATURES_KNOWN)
		return err_set(err, ERR_IMAGE, "image: needs features 0x%llx, which this Verst does not know",
			       (unsigned long long)(ret->features & ~IMG_FEATURES_KNOWN));
	if (ret->page_bytes < 4096 || ret->page_bytes > 65536 || (ret->page_bytes & (ret->page_bytes - 1)))
		return err_set(err, ERR_IMAGE, "image: header: impossible page size %u", ret->page_bytes);
	if (!ret->arch[0] || ret->arch[15] || reserved)
		return err_set(err, ERR_IMAGE, "image: header: impossible architecture or reserved bytes");
	return 0;
}

int img_reader_open(int fd, struct img_reader **ret, struct err *err)
{
	uint8_t bytes[IMG_HEADER_BYTES];
	struct img_header header;
	struct img_reader *r;
	size_t got;
	int n = img_in_read(fd, bytes, sizeof(bytes), &got);

	if (n < 0)
		return err_sys(err, "image: reading the header");
	if (got >= 8 && memcmp(bytes, IMG_MAGIC, 8) != 0)
		return err_set(err, ERR_IMAGE,
			       "image: this is no image of Verst (foreign magic at offset 0)");
	if (!n)
		return err_set(err, ERR_IMAGE, "image: truncated in its header, at offset %zu", got);
	if (check_header(bytes, &header, err))
		return -1;
	r = mem_new(struct img_reader);
	r->header = header;
	r->fd = fd;
	r->start = lseek(fd, 0, SEEK_CUR);
	if (r->start >= 0)
		r->start -= IMG_HEADER_BYTES;
	r->in = img_in_open(fd, header.page_bytes, IMG_HEADER_BYTES);
	r->digest = XXH3_createState();
	if (!r->digest)
		abort(); /* as lib/mem.h */
	XXH3_64bits_reset(r->digest);
	XXH3_64bits_update(r->digest, bytes + IMG_HEADER_SUMMED_BYTES, 8);
	r->totals.bytes = IMG_HEADER_BYTES;
	*ret = r;
	return 0;
}

const struct img_header *img_reader_header(const struct img_reader *r)
{
	return &r->header;
}

uint64_t img_reader_bytes(const struct img_reader *r)
{
	return r->totals.bytes;
}

void img_reader_close(struct img_reader *r)
{
	if (!r)
		return;
	img_in_close(r->in);
	XXH3_freeState(r->digest);
	img_arena_free(&r->arena);
	vec_free(&r->runs);
	free(r);
}

static int check_end(struct img_reader *r, struct err *err)
{
	struct cur c = cur_of(r->at->body.at, r->at->body.len_bytes);
	const struct img_totals *t = &r->totals;
	uint64_t kinds = 0, last = 0, digest;
	uint32_t nr;

	if (cur_u64(&c) != t->records || cur_u64(&c) != t->bytes)
		return err_set(err, ERR_IMAGE, "records are missing: totals do not match");
	if (cur_u64(&c) != t->data_pages || cur_u64(&c) != t->zero_pages || cur_u64(&c) != t->inherit_pages)
		return err_set(err, ERR_IMAGE, "pages are missing: totals do not match");
	digest = cur_u64(&c);
	nr = cur_u32(&c);
	if (cur_u32(&c))
		c.bad = true;
	for (size_t i = 0; i < ARRAY_LEN(t->kinds); i++)
		kinds += t->kinds[i].records != 0;
	for (uint32_t i = 0; i < nr && !c.bad; i++) {
		uint64_t type = cur_u64(&c);

		if (type >= ARRAY_LEN(t->kinds) || (i && type <= last) ||
		    cur_u64(&c) != t->kinds[type].records || cur_u64(&c) != t->kinds[type].bytes)
			return err_set(err, ERR_IMAGE, "totals by kind do not match");
		last = type;
	}
	if (!cur_done(&c) || nr != kinds)
		return err_set(err, ERR_IMAGE, "impossible length or number of kinds");
	if (digest != XXH3_64bits_digest(r->digest))
		return err_set(err, ERR_IMAGE, "digest does not match");
	return 0;
}

static int dispatch(struct img_reader *r, struct model *m, struct img_record *ret, bool *ret_skipped,
		    struct err *err)
{
	const struct img_codec *codec = img_codec_of_type(r->at->type);
	struct cur c = cur_of(r->at->body.at, r->at->body.len_bytes);

	*ret_skipped = false;
	switch (r->at->type) {
	case IMG_REC_PAGES:
		ret->item = IMG_PAGES;
		return img_read_pages(r, &ret->pages, err);
	case IMG_REC_ROUND_END:
		ret->item = IMG_ROUND_END;
		ret->round = cur_u32(&c);
		return cur_done(&c) ? 0 : err_set(err, ERR_IMAGE, "impossible length");
	case IMG_REC_END:
		ret->item = IMG_END;
		return check_end(r, err);
	}
	if (codec) {
		ret->item = IMG_OBJECT;
		ret->type = (enum object_type)r->at->type;
		return img_read_object(r, codec, m, &ret->index, err);
	}
	*ret_skipped = r->at->flags & IMG_FLAG_OPTIONAL;
	return *ret_skipped ? 0
			    : err_set(err, ERR_IMAGE, "type %u is unknown: the image is of a newer Verst",
				      r->at->type);
}

static void account(struct img_reader *r)
{
	const struct img_in_record *rec = r->at;
	uint64_t sum_le = htole64(rec->sum);

	XXH3_64bits_update(r->digest, &sum_le, sizeof(sum_le));
	r->totals.records++;
	r->totals.bytes += IMG_RECORD_BYTES + rec->len_bytes;
	if (rec->type < ARRAY_LEN(r->totals.kinds)) {
		r->totals.kinds[rec->type].records++;
		r->totals.kinds[rec->type].bytes += IMG_RECORD_BYTES + rec->len_bytes;
	}
}

int img_read(struct img_reader *r, struct model *m, struct img_record *ret, struct err *err)
{
	bool skipped;

	if (r->ended)
		return err_set(err, ERR_IMAGE, "image: read beyond END");
	do {
		if (img_in_next(r->in, &r->at, err))
			return -1;
		*ret = (struct img_record){.number = r->at->number, .offset = r->at->offset};
		if (dispatch(r, m, ret, &skipped, err))
			return img_in_where(r->at, err);
		account(r);
	} while (skipped);
	r->ended = ret->item == IMG_END;
	return 0;
}
