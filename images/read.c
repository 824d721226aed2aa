// SPDX-License-Identifier: GPL-2.0-only
#include "images/read.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define READ_BYTES (512u << 10)

/* Like io_read_full, but tells a stream that ends (0) from an error (-1). 1: all was read. */
static int read_some(int fd, void *p, size_t len_bytes, size_t *ret_read)
{
	*ret_read = 0;
	while (*ret_read < len_bytes) {
		ssize_t n = read(fd, (uint8_t *)p + *ret_read, len_bytes - *ret_read);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		*ret_read += (size_t)n;
	}
	return 1;
}

int img_read_bytes(struct img_reader *r, void *p, size_t len_bytes, struct err *err)
{
	size_t got;

	for (size_t at = 0; at < len_bytes; at += got) {
		/* In pieces that are still in the cache when they are summed up: that is half of the time. */
		size_t len = MIN(len_bytes - at, (size_t)READ_BYTES);
		int n = read_some(r->fd, (uint8_t *)p + at, len, &got);

		if (n < 0)
			return err_sys(err, "reading");
		if (!n)
			return err_set(err, ERR_IMAGE,
				       "truncated: the stream ends, %zu of %zu bytes are missing",
				       len_bytes - at - got, len_bytes);
		img_sum_more(r->sum, (uint8_t *)p + at, got);
	}
	return 0;
}

int img_read_body(struct img_reader *r, size_t len_bytes, struct err *err)
{
	/* Piece by piece, so that a false length costs no more memory than there are bytes. */
	while (len_bytes) {
		size_t n = MIN(len_bytes, (size_t)READ_BYTES);

		if (img_read_bytes(r, buf_reserve(&r->body, n), n, err))
			return -1;
		r->body.len_bytes += n;
		len_bytes -= n;
	}
	return 0;
}

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

static uint8_t *map_batch(size_t len_bytes)
{
	void *p = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort(); /* as lib/mem.h */
	madvise(p, len_bytes, MADV_HUGEPAGE);
	return p;
}

static size_t batch_bytes(const struct img_reader *r)
{
	return (size_t)IMG_BATCH_PAGES * r->header.page_bytes;
}

int img_reader_open(int fd, struct img_reader **ret, struct err *err)
{
	uint8_t bytes[IMG_HEADER_BYTES];
	struct img_header header;
	struct img_reader *r;
	size_t got;
	int n = read_some(fd, bytes, sizeof(bytes), &got);

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
	r->fd = fd;
	r->header = header;
	r->sum = XXH3_createState();
	r->digest = XXH3_createState();
	if (!r->sum || !r->digest)
		abort(); /* as lib/mem.h */
	r->data = map_batch(batch_bytes(r));
	r->packed = map_batch(batch_bytes(r));
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
	munmap(r->data, batch_bytes(r));
	munmap(r->packed, batch_bytes(r));
	XXH3_freeState(r->sum);
	XXH3_freeState(r->digest);
	img_arena_free(&r->arena);
	buf_free(&r->body);
	vec_free(&r->runs);
	free(r);
}

static const char *type_name(uint16_t type)
{
	const struct img_codec *codec = img_codec_of_type(type);

	switch (type) {
	case IMG_REC_PAGES:
		return "pages";
	case IMG_REC_ROUND_END:
		return "round_end";
	case IMG_REC_END:
		return "end";
	default:
		return codec ? codec->name : "unknown";
	}
}

/* What stands in front of every complaint about the record at hand. */
static int in_record(const struct img_reader *r, struct err *err)
{
	return err_ctx(err, "image: record %llu (%s) at offset %llu", (unsigned long long)r->totals.records,
		       type_name(r->type), (unsigned long long)r->offset);
}

/* 1: a record's header; 0: nothing at all follows. */
static int read_header(struct img_reader *r, uint8_t *header, struct err *err)
{
	size_t got;
	int n = read_some(r->fd, header, IMG_RECORD_BYTES, &got);

	r->type = 0;
	r->offset = r->totals.bytes;
	if (n < 0)
		return err_sys(err, "image: reading record %llu at offset %llu",
			       (unsigned long long)r->totals.records, (unsigned long long)r->offset);
	if (!n)
		return err_set(err, ERR_IMAGE,
			       "image: truncated: the stream ends in record %llu at offset %llu, before END",
			       (unsigned long long)r->totals.records, (unsigned long long)r->offset + got);
	return 0;
}

static int check_end(struct img_reader *r, struct err *err)
{
	struct cur c = cur_of(r->body.at, r->body.len_bytes);
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
	const struct img_codec *codec = img_codec_of_type(r->type);
	struct cur c = cur_of(r->body.at, r->body.len_bytes);

	*ret_skipped = false;
	switch (r->type) {
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
		ret->type = (enum object_type)r->type;
		return img_read_object(r, codec, m, &ret->index, err);
	}
	*ret_skipped = r->flags & IMG_FLAG_OPTIONAL;
	return *ret_skipped ? 0
			    : err_set(err, ERR_IMAGE, "type %u is unknown: the image is of a newer Verst",
				      r->type);
}

static void account(struct img_reader *r, uint32_t len_bytes, uint64_t sum)
{
	uint64_t sum_le = htole64(sum);

	XXH3_64bits_update(r->digest, &sum_le, sizeof(sum_le));
	r->totals.records++;
	r->totals.bytes += IMG_RECORD_BYTES + len_bytes;
	if (r->type < ARRAY_LEN(r->totals.kinds)) {
		r->totals.kinds[r->type].records++;
		r->totals.kinds[r->type].bytes += IMG_RECORD_BYTES + len_bytes;
	}
}

/* Reads one record and checks what holds for all: length, flags, checksum. */
static int read_record(struct img_reader *r, uint32_t *ret_len_bytes, uint64_t *ret_sum, struct err *err)
{
	uint8_t header[IMG_RECORD_BYTES];
	struct cur c = cur_of(header, sizeof(header));
	uint64_t sum;

	if (read_header(r, header, err))
		return -1;
	r->type = cur_u16(&c);
	r->flags = cur_u16(&c);
	*ret_len_bytes = cur_u32(&c);
	*ret_sum = cur_u64(&c);
	if (*ret_len_bytes > IMG_MAX_BODY_BYTES) {
		err_set(err, ERR_IMAGE, "length %u is impossible: damaged", *ret_len_bytes);
		return in_record(r, err);
	}
	buf_clear(&r->body);
	r->data_bytes = 0;
	img_sum_begin(r->sum, r->totals.records, header);
	if (r->type == IMG_REC_PAGES ? img_read_pages_body(r, *ret_len_bytes, err)
				     : img_read_body(r, *ret_len_bytes, err))
		return in_record(r, err);
	sum = img_sum_end(r->sum);
	if (sum != *ret_sum || (r->flags & ~IMG_FLAG_OPTIONAL)) {
		err_set(err, ERR_IMAGE,
			sum != *ret_sum ? "damaged (checksum)"
					: "unknown flags: the image is of a newer Verst");
		return in_record(r, err);
	}
	return 0;
}

int img_read(struct img_reader *r, struct model *m, struct img_record *ret, struct err *err)
{
	uint32_t len_bytes;
	uint64_t sum;
	bool skipped;

	if (r->ended)
		return err_set(err, ERR_IMAGE, "image: read beyond END");
	do {
		if (read_record(r, &len_bytes, &sum, err))
			return -1;
		*ret = (struct img_record){.number = r->totals.records, .offset = r->offset};
		if (dispatch(r, m, ret, &skipped, err))
			return in_record(r, err);
		account(r, len_bytes, sum);
	} while (skipped);
	r->ended = ret->item == IMG_END;
	return 0;
}
