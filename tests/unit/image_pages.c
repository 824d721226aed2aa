// SPDX-License-Identifier: GPL-2.0-only
/* Pages come back where they were, whatever pattern of zero pages, holes, runs and calls they were written
 * in. */
#include <criterion/criterion.h>
#include <sys/mman.h>

#include "tests/unit/image_random.h"

#define SPACE_PAGES 20000u
#define PAGE	    4096u
#define BASE	    UINT64_C(0x7f0000000000)

/* What each page of the space should be when all is read: 0 nothing was written, 1 data, 2 zero, 3 inherited.
 */
struct space {
	uint8_t kind[SPACE_PAGES];
	uint64_t word[SPACE_PAGES]; /* data: found at a place of the page that depends on it, the rest is zero
				     */
};

static size_t place_of(uint64_t word)
{
	return (size_t)(word % (PAGE / 8));
}

static void fill_page(uint8_t *p, uint64_t word)
{
	memset(p, 0, PAGE);
	if (word)
		((uint64_t *)p)[place_of(word)] = word;
}

static bool page_is(const uint8_t *p, uint64_t word)
{
	for (size_t i = 0; i < PAGE / 8; i++) {
		if (((const uint64_t *)p)[i] != (i == place_of(word) ? word : 0))
			return false;
	}
	return true;
}

/* One call's worth of pages from `at` on: room for more than is put, put in pieces with holes between them.
 */
static uint32_t put_some(struct random *r, struct img_writer *w, struct space *s, uint32_t at)
{
	size_t room = 1 + random_below(r, random_below(r, 4) ? 40 : IMG_BATCH_PAGES), used = 0;
	struct err err = ERR_INIT;
	uint8_t *p = img_pages_room(w, room, &err);

	cr_assert_not_null(p, "%s", err.msg);
	while (used < room && at < SPACE_PAGES) {
		size_t nr = 1 + random_below(r, MIN(room - used, (size_t)(SPACE_PAGES - at)));

		for (size_t i = 0; i < nr; i++) {
			s->word[at + i] = random_below(r, 3) ? random_next(r) : 0;
			s->kind[at + i] = s->word[at + i] ? 1 : 2;
			fill_page(p + (used + i) * PAGE, s->word[at + i]);
		}
		cr_assert_eq(img_pages_commit(w, BASE + (uint64_t)at * PAGE, nr, &err), 0, "%s", err.msg);
		used += nr;
		at += (uint32_t)nr;
		if (at < SPACE_PAGES && !random_below(r, 3)) {
			bool zero = random_below(r, 2);

			s->kind[at] = zero ? 2 : 3;
			cr_assert_eq(img_pages_run(w, BASE + (uint64_t)at * PAGE, 1,
						   zero ? PAGES_ZERO : PAGES_INHERIT, &err),
				     0);
			at++;
		}
		at += (uint32_t)random_below(r, 3);
		if (!random_below(r, 4))
			break;
	}
	return at;
}

static int write_space(struct random *r, struct space *s, bool compress)
{
	struct img_writer_opts opts = {.arch = "x86", .page_bytes = PAGE, .compress = compress};
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct img_writer *w;

	cr_assert_eq(img_writer_open(fd, &opts, &w, &err), 0);
	cr_assert_eq(img_pages_begin(w, PAGES_SHM, 9, &err), 0);
	for (uint32_t at = 0; at < SPACE_PAGES;) {
		at = put_some(r, w, s, at);
		if (!random_below(r, 10)) {
			struct eventfd_obj e = {(uint32_t)at + 1, 2, false};

			cr_assert_eq(img_pages_end(w, &err), 0);
			cr_assert_eq(img_put_eventfd(w, &e, &err), 0);
			if (!random_below(r, 3))
				cr_assert_eq(img_round_end(w, 1, &err), 0);
			cr_assert_eq(img_pages_begin(w, PAGES_SHM, 9, &err), 0);
		}
	}
	cr_assert_eq(img_pages_end(w, &err), 0);
	cr_assert_eq(img_writer_end(w, &err), 0, "%s", err.msg);
	img_writer_close(w);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void check_run(struct space *s, const struct pages_run *run, const uint8_t **data)
{
	for (uint64_t i = 0; i < run->nr_pages; i++) {
		uint64_t at = (run->start - BASE) / PAGE + i;

		cr_assert_lt(at, SPACE_PAGES);
		cr_assert_eq(s->kind[at], run->kind, "page %llu: kind %u, is %u", (unsigned long long)at,
			     s->kind[at], run->kind);
		if (run->kind == PAGES_DATA) {
			cr_assert(page_is(*data, s->word[at]), "page %llu has other bytes",
				  (unsigned long long)at);
			*data += PAGE;
		}
		s->kind[at] = 0;
	}
}

static void read_space(int fd, struct space *s)
{
	struct err err = ERR_INIT;
	struct img_record rec;
	struct img_reader *in;
	struct model m = {0};

	cr_assert_eq(img_reader_open(fd, &in, &err), 0, "%s", err.msg);
	do {
		const uint8_t *data;

		cr_assert_eq(img_read(in, &m, &rec, &err), 0, "%s", err.msg);
		if (rec.item != IMG_PAGES)
			continue;
		cr_assert_eq(rec.pages.target, PAGES_SHM);
		cr_assert_eq(rec.pages.id, 9);
		data = rec.pages.data;
		for (size_t i = 0; i < rec.pages.nr_runs; i++)
			check_run(s, &rec.pages.runs[i], &data);
	} while (rec.item != IMG_END);
	for (size_t i = 0; i < SPACE_PAGES; i++)
		cr_assert_eq(s->kind[i], 0, "page %zu is missing", i);
	img_reader_close(in);
	model_free(&m);
}

Test(image_pages, come_back, .timeout = 120)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct random r = {seed};
		struct space *s = mem_new(struct space);
		_fd_ int fd = write_space(&r, s, seed & 1);

		read_space(fd, s);
		free(s);
	}
}

/* More runs than one batch holds, with room open all the time. */
Test(image_pages, any_number_of_runs)
{
	struct img_writer_opts opts = {.arch = "x86", .page_bytes = PAGE};
	_fd_ int fd = memfd_create("image", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct img_writer *w;
	uint64_t zero;
	uint8_t *p;

	cr_assert_eq(img_writer_open(fd, &opts, &w, &err), 0);
	cr_assert_eq(img_pages_begin(w, PAGES_MM, 1, &err), 0);
	p = img_pages_room(w, 2, &err);
	memset(p, 1, 2 * PAGE);
	cr_assert_eq(img_pages_commit(w, 0, 1, &err), 0);
	for (uint64_t i = 0; i < 200000; i++)
		cr_assert_eq(img_pages_run(w, (2 + i * 2) * PAGE, 1, PAGES_INHERIT, &err), 0);
	cr_assert_eq(img_pages_commit(w, UINT64_C(1) << 40, 1, &err), 0);
	cr_assert_eq(img_pages_run(w, UINT64_C(1) << 41, UINT64_C(5) << 32, PAGES_ZERO, &err), 0);
	cr_assert_eq(img_pages_commit(w, 0, 1, &err), -1);
	cr_assert_eq(img_writer_pages(w, &zero), 2);
	cr_assert_eq(zero, UINT64_C(5) << 32);
	cr_assert_eq(img_writer_end(w, &err), 0);
	img_writer_close(w);
	lseek(fd, 0, SEEK_SET);
	/* whole as a stream; it is no VE, which is said only after END was checked */
	cr_assert_eq(img_verify(fd, &err), -1);
	cr_assert(strstr(err.msg, "all records are whole"), "%s", err.msg);
}
