// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer on the image reader. The input is an image; the checksums of header and records are put right
 * first (else nothing would get past them), unless the highest byte of its date says to take it as it is.
 * Then it is read, shown and validated.
 */
#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "images/format.h"
#include "images/images.h"
#include "images/sum.h"

#define AS_IT_IS_AT 47

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void put_sum(uint8_t *at, uint64_t sum)
{
	sum = htole64(sum);
	memcpy(at, &sum, sizeof(sum));
}

static void put_sums_right(uint8_t *image, size_t len_bytes)
{
	XXH3_state_t *state = XXH3_createState();
	uint64_t number = 0;

	put_sum(image + IMG_HEADER_SUMMED_BYTES, img_sum_header(image));
	for (size_t at = IMG_HEADER_BYTES; len_bytes - at >= IMG_RECORD_BYTES; number++) {
		uint32_t len;

		memcpy(&len, image + at + 4, 4);
		len = le32toh(len);
		if (len > len_bytes - at - IMG_RECORD_BYTES)
			break;
		img_sum_begin(state, number, image + at);
		img_sum_more(state, image + at + IMG_RECORD_BYTES, len);
		put_sum(image + at + 8, img_sum_end(state));
		at += IMG_RECORD_BYTES + len;
	}
	XXH3_freeState(state);
}

static void ignore_line(const char *text, void *arg)
{
	*(size_t *)arg += strlen(text);
}

/* The last record need not be END for the rest to be worth a validation. */
static void read_and_validate(int fd)
{
	struct img_record rec = {0};
	struct err err = ERR_INIT;
	struct img_reader *r;
	struct model m = {0};
	volatile uint8_t sum = 0;

	lseek(fd, 0, SEEK_SET);
	if (img_reader_open(fd, &r, &err))
		return;
	while (rec.item != IMG_END && !img_read(r, &m, &rec, &err)) {
		uint64_t pages = 0;

		for (size_t i = 0; rec.item == IMG_PAGES && i < rec.pages.nr_runs; i++)
			pages += rec.pages.runs[i].kind == PAGES_DATA ? rec.pages.runs[i].nr_pages : 0;
		for (uint64_t i = 0; i < pages; i++)
			sum = (uint8_t)(sum + rec.pages.data[i * img_reader_header(r)->page_bytes]);
	}
	(void)model_validate(&m, &err);
	img_reader_close(r);
	model_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	static int fd = -1;
	struct err err = ERR_INIT;
	_free_ uint8_t *image = NULL;
	size_t shown = 0;

	if (len_bytes < IMG_HEADER_BYTES)
		return 0;
	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	image = mem_dup(data, len_bytes);
	if (!image[AS_IT_IS_AT])
		put_sums_right(image, len_bytes);
	lseek(fd, 0, SEEK_SET);
	if (ftruncate(fd, 0) || io_write_full(fd, image, len_bytes, &err))
		abort();
	lseek(fd, 0, SEEK_SET);
	(void)img_show(fd, len_bytes & 1, ignore_line, &shown, &err);
	read_and_validate(fd);
	return 0;
}
