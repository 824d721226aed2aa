// SPDX-License-Identifier: GPL-2.0-only
/* The stream: what is damaged, cut, newer or foreign is refused and named; what is optional is skipped. */
#include <criterion/criterion.h>
#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "images/format.h"
#include "images/sum.h"
#include "tests/unit/image_sample.h"

static int fd_of(const uint8_t *p, size_t len_bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct err err = ERR_INIT;

	cr_assert_eq(io_write_full(fd, p, len_bytes, &err), 0, "%s", err.msg);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static int verify(const uint8_t *p, size_t len_bytes, struct err *err)
{
	_fd_ int fd = fd_of(p, len_bytes);

	err_clear(err);
	return img_verify(fd, err);
}

static uint32_t length_of(const uint8_t *record)
{
	uint32_t v;

	memcpy(&v, record + 4, 4);
	return le32toh(v);
}

/* Puts the right checksum into a record that was changed. */
static void sum_again(uint8_t *record, uint64_t number)
{
	XXH3_state_t *state = XXH3_createState();
	uint64_t sum;

	img_sum_begin(state, number, record);
	img_sum_more(state, record + IMG_RECORD_BYTES, length_of(record));
	sum = htole64(img_sum_end(state));
	memcpy(record + 8, &sum, 8);
	XXH3_freeState(state);
}

static uint8_t *record_at(uint8_t *image, uint64_t number)
{
	uint8_t *at = image + IMG_HEADER_BYTES;

	while (number--)
		at += IMG_RECORD_BYTES + length_of(at);
	return at;
}

Test(image_stream, whole_one_is_whole)
{
	for (int compress = 0; compress < 2; compress++) {
		_free_ uint8_t *image;
		struct err err;
		size_t len;

		image = sample_image(compress, 67, &len);
		cr_assert_eq(verify(image, len, &err), 0, "%s", err.msg);
	}
}

Test(image_stream, lz4_is_shorter)
{
	size_t raw, packed;

	free(sample_image(false, 67, &raw));
	free(sample_image(true, 67, &packed));
	cr_assert_lt(packed, raw / 10);
}

Test(image_stream, every_cut_is_refused_and_named, .timeout = 120)
{
	_free_ uint8_t *image;
	struct err err;
	size_t len;

	image = sample_image(true, 67, &len);
	for (size_t cut = 0; cut < len; cut++) {
		cr_assert_eq(verify(image, cut, &err), -1, "cut at %zu passes", cut);
		cr_assert_eq(err.code, ERR_IMAGE, "cut at %zu: %s", cut, err.msg);
		cr_assert(strstr(err.msg, "truncated"), "cut at %zu: %s", cut, err.msg);
		cr_assert(strstr(err.msg, "offset"), "cut at %zu: %s", cut, err.msg);
		if (cut >= 64)
			cr_assert(strstr(err.msg, "record "), "cut at %zu: %s", cut, err.msg);
	}
}

Test(image_stream, every_damaged_byte_is_refused, .timeout = 120)
{
	_free_ uint8_t *image;
	struct err err;
	size_t len;

	image = sample_image(true, 67, &len);
	for (size_t at = 0; at < len; at++) {
		image[at] ^= (uint8_t)(1 << (at % 8));
		cr_assert_eq(verify(image, len, &err), -1, "damage at %zu passes", at);
		cr_assert_eq(err.code, ERR_IMAGE, "damage at %zu: %s", at, err.msg);
		image[at] ^= (uint8_t)(1 << (at % 8));
	}
	cr_assert_eq(verify(image, len, &err), 0, "%s", err.msg);
}

Test(image_stream, damage_is_named)
{
	_free_ uint8_t *image;
	uint8_t *record;
	struct err err;
	char where[80];
	size_t len;

	image = sample_image(false, 5, &len);
	record = record_at(image, 5);
	record[IMG_RECORD_BYTES + 3] ^= 4;
	cr_assert_eq(verify(image, len, &err), -1);
	snprintf(where, sizeof(where), "image: record 5 (shm) at offset %zu: damaged",
		 (size_t)(record - image));
	cr_assert(!strncmp(err.msg, where, strlen(where)), "%s", err.msg);
}

Test(image_stream, records_cannot_be_left_out_or_moved)
{
	_free_ uint8_t *image, *other;
	uint8_t *a, *b, *c;
	struct err err;
	size_t len;

	image = sample_image(false, 5, &len);
	a = record_at(image, 3);
	b = record_at(image, 4);
	c = record_at(image, 5);
	/* two regs change places */
	other = mem_dup(image, len);
	memcpy(other + (a - image), b, (size_t)(c - b));
	memcpy(other + (a - image) + (c - b), a, (size_t)(b - a));
	cr_assert_eq(verify(other, len, &err), -1);
	cr_assert(strstr(err.msg, "record 3"), "%s", err.msg);
	/* one is left out */
	memmove(a, b, len - (size_t)(b - image));
	cr_assert_eq(verify(image, len - (size_t)(b - a), &err), -1);
	cr_assert(strstr(err.msg, "record 3"), "%s", err.msg);
}

Test(image_stream, foreign_and_newer)
{
	_free_ uint8_t *image;
	struct err err;
	uint64_t sum;
	size_t len;

	image = sample_image(false, 5, &len);
	cr_assert_eq(verify((const uint8_t *)"#!/bin/sh\necho no image\n", 24, &err), -1);
	cr_assert(strstr(err.msg, "no image of Verst"), "%s", err.msg);
	image[8] = 2;
	cr_assert_eq(verify(image, len, &err), -1);
	cr_assert(strstr(err.msg, "version 2 is newer"), "%s", err.msg);
	image[8] = 1;
	image[32] = 1;
	sum = htole64(img_sum_header(image));
	memcpy(image + 56, &sum, 8);
	cr_assert_eq(verify(image, len, &err), -1);
	cr_assert(strstr(err.msg, "features 0x1"), "%s", err.msg);
}

/* An image of one record of our own making, and END. */
static int with_record(uint16_t type, uint16_t flags, const void *body, size_t len_bytes, struct err *err)
{
	_free_ uint8_t *image;
	uint8_t record[512] = {0}, *end;
	uint32_t len = htole32((uint32_t)len_bytes);
	_fd_ int fd = -1;
	struct img_reader *r;
	struct img_record rec;
	struct model m = {0};
	size_t image_len;
	int ret;

	image = sample_image(false, 5, &image_len);
	end = image + IMG_HEADER_BYTES;
	type = htole16(type);
	flags = htole16(flags);
	memcpy(record, &type, 2);
	memcpy(record + 2, &flags, 2);
	memcpy(record + 4, &len, 4);
	memcpy(record + IMG_RECORD_BYTES, body, len_bytes);
	sum_again(record, 0);
	memcpy(end, record, sizeof(record));
	memset(record, 0, sizeof(record));
	fd = fd_of(image, IMG_HEADER_BYTES + IMG_RECORD_BYTES + len_bytes);
	err_clear(err);
	cr_assert_eq(img_reader_open(fd, &r, err), 0, "%s", err->msg);
	ret = img_read(r, &m, &rec, err);
	img_reader_close(r);
	model_free(&m);
	return ret;
}

Test(image_stream, unknown_records)
{
	struct err err;

	cr_assert_eq(with_record(255, 0, "abc", 3, &err), -1);
	cr_assert(strstr(err.msg, "type 255 is unknown"), "%s", err.msg);
	/* skipped; then the stream ends */
	cr_assert_eq(with_record(255, IMG_FLAG_OPTIONAL, "abc", 3, &err), -1);
	cr_assert(strstr(err.msg, "ends in record 1"), "%s", err.msg);
	cr_assert_eq(with_record(16, 2, "", 0, &err), -1);
	cr_assert(strstr(err.msg, "unknown flags"), "%s", err.msg);
}

Test(image_stream, hostile_messages)
{
	struct err err;

	/* field 99 of Eventfd, as a newer Verst might write it */
	cr_assert_eq(with_record(42, 0, "\x08\x01\x98\x06\x01", 5, &err), -1);
	cr_assert(strstr(err.msg, "field 99 of message Eventfd is unknown"), "%s", err.msg);
	cr_assert_eq(with_record(42, 0, "\x08", 1, &err), -1);
	cr_assert(strstr(err.msg, "no message"), "%s", err.msg);
	cr_assert_eq(with_record(42, 0, "", 0, &err), -1);
	cr_assert(strstr(err.msg, "without an id"), "%s", err.msg);
	/* paths: relative, climbing, with a NUL */
	cr_assert_eq(with_record(31, 0,
				 "\x08\x01\x12\x03"
				 "etc",
				 7, &err),
		     -1);
	cr_assert(strstr(err.msg, "not absolute"), "%s", err.msg);
	cr_assert_eq(with_record(31, 0,
				 "\x08\x01\x12\x07"
				 "/a/../b",
				 11, &err),
		     -1);
	cr_assert(strstr(err.msg, "\"..\""), "%s", err.msg);
	cr_assert_eq(with_record(31, 0,
				 "\x08\x01\x12\x04"
				 "/a\0b",
				 8, &err),
		     -1);
	cr_assert(strstr(err.msg, "NUL"), "%s", err.msg);
	cr_assert_eq(with_record(31, 0,
				 "\x08\x01\x12\x05"
				 "/a..b",
				 9, &err),
		     0, "%s", err.msg);
	/* an enum's value */
	cr_assert_eq(with_record(60, 0, "\x08\x01\x10\x7f", 4, &err), -1);
	cr_assert(strstr(err.msg, "kind: 127 is out of range"), "%s", err.msg);
	cr_assert_eq(with_record(60, 0, "\x08\x01", 2, &err), -1);
	cr_assert(strstr(err.msg, "kind: 0 is out of range"), "%s", err.msg);
}

/* 100 bytes that would take gigabytes: empty messages, repeated. */
Test(image_stream, small_messages_stay_small)
{
	uint8_t body[400];
	struct err err;

	for (size_t i = 0; i < sizeof(body); i += 2)
		memcpy(body + i, "\x12\0", 2);
	cr_assert_eq(with_record(33, 0, body, sizeof(body), &err), -1);
	cr_assert_eq(err.code, ERR_IMAGE);
}

Test(image_stream, false_length_is_refused_before_it_is_believed)
{
	_free_ uint8_t *image;
	struct err err;
	size_t len;

	image = sample_image(false, 5, &len);
	memset(image + IMG_HEADER_BYTES + 4, 0xff, 4);
	cr_assert_eq(verify(image, len, &err), -1);
	cr_assert(strstr(err.msg, "record 0 (ve) at offset 64: length 4294967295 is impossible"), "%s",
		  err.msg);
}

Test(image_stream, a_full_disk_is_said)
{
	struct img_writer_opts opts = {.arch = "x86", .page_bytes = 4096};
	_fd_ int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err err = ERR_INIT;
	struct img_writer *w;
	int failed = 0;

	cr_assert_eq(img_writer_open(fd, &opts, &w, &err), 0);
	cr_assert_eq(img_flush(w, &err), -1);
	cr_assert_eq(err.code, ERR_NO_SPACE, "%s", err.msg);
	/* the thread's error comes up with one of the next calls, and stays */
	for (int i = 0; i < 8 && !failed; i++) {
		void *p;

		failed = img_pages_begin(w, PAGES_MM, 1, &err);
		p = failed ? NULL : img_pages_room(w, IMG_BATCH_PAGES, &err);
		if (!p)
			break;
		memset(p, 1, IMG_BATCH_PAGES * 4096);
		failed = img_pages_commit(w, 4096, IMG_BATCH_PAGES, &err) || img_pages_end(w, &err);
	}
	cr_assert_eq(img_writer_end(w, &err), -1);
	cr_assert_eq(err.code, ERR_NO_SPACE, "%s", err.msg);
	img_writer_close(w);
}

Test(image_stream, the_last_ve_is_seen_ahead_of_time)
{
	_free_ uint8_t *image;
	struct err err = ERR_INIT;
	struct img_record rec;
	struct img_reader *r;
	struct model m = {0};
	struct ve_obj ve;
	_fd_ int fd = -1;
	size_t len;

	image = sample_image(false, 5, &len);
	fd = fd_of(image, len);
	cr_assert_eq(img_reader_open(fd, &r, &err), 0);
	cr_assert_eq(img_read(r, &m, &rec, &err), 0);
	cr_assert(img_peek_ve(r, &ve));
	cr_assert_eq(ve.id, 101);
	cr_assert_str_eq(ve.hostname, "sample");
	model_free_ve(&ve);
	while (rec.item != IMG_END)
		cr_assert_eq(img_read(r, &m, &rec, &err), 0, "%s", err.msg);
	cr_assert(!img_peek_ve(r, &ve));
	img_reader_close(r);
	model_free(&m);
}
