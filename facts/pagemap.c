// SPDX-License-Identifier: GPL-2.0-only
#include "facts/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* struct pm_scan_arg of <linux/fs.h> */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL	 _IOWR('f', 16, struct scan_arg)
#define SCAN_WP_MATCHING 1

#define AREAS_A_CALL   1024u
#define ENTRIES_A_CALL 8192u

static void add_area(page_areas *ret, uint64_t start, uint64_t end, uint64_t flags)
{
	struct page_area *last = ret->nr ? &ret->at[ret->nr - 1] : NULL;

	if (last && last->end == start && last->flags == flags)
		last->end = end;
	else
		vec_push(ret, ((struct page_area){start, end, flags}));
}

int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *q, page_areas *ret,
		 struct err *err)
{
	struct page_area areas[AREAS_A_CALL];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.flags = q->arm ? SCAN_WP_MATCHING : 0,
		.end = end,
		.vec = (uint64_t)(uintptr_t)areas,
		.vec_len = AREAS_A_CALL,
		.max_pages = q->max_pages,
		.category_inverted = q->none_of | q->or_without,
		.category_mask = q->none_of | q->all_of,
		.category_anyof_mask = q->any_of | q->or_without,
		.return_mask = q->ret,
	};

	for (uint64_t at = start; at < end;) {
		int n;

		arg.start = at;
		n = ioctl(pagemap_fd, SCAN_IOCTL, &arg);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOTTY || errno == EINVAL))
			return err_set(err, ERR_KERNEL, "this kernel has no PAGEMAP_SCAN");
		if (n < 0)
			return err_sys(err, "PAGEMAP_SCAN");
		for (int i = 0; i < n; i++)
			add_area(ret, areas[i].start, areas[i].end, areas[i].flags);
		if (n < (int)AREAS_A_CALL || q->max_pages)
			break;
		/*
		 * Room for no more areas is all that ends a scan early. Where it ended is walk_end, but not
		 * always: it stays behind if the kernel's own buffer of 512 was full once and the rest fitted
		 * (do_pagemap_scan of fs/proc/task_mmu.c, 6.7 to 6.18). Going back to there would report
		 * areas out of order, those that were written meanwhile.
		 */
		at = MAX(arg.walk_end, areas[n - 1].end);
	}
	return 0;
}

bool pagemap_scan_works(void)
{
	_fd_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct pagemap_query q = {.any_of = PAGE_PRESENT, .ret = PAGE_PRESENT, .max_pages = 1};
	uint64_t here = (uint64_t)(uintptr_t)&q & ~4095ull;
	page_areas areas = {0};
	struct err ignored;
	bool works = fd >= 0 && !pagemap_scan(fd, here, here + 4096, &q, &areas, &ignored);

	vec_free(&areas);
	return works;
}

static uint64_t flags_of_entry(uint64_t entry)
{
	return (entry & PAGEMAP_PRESENT ? PAGE_PRESENT : 0) | (entry & PAGEMAP_SWAPPED ? PAGE_SWAPPED : 0) |
	       (entry & PAGEMAP_FILE ? PAGE_FILE : 0);
}

int pagemap_entries(int pagemap_fd, uint64_t start, size_t nr, uint64_t *ret, struct err *err)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t want = nr * 8, got = 0;

	while (got < want) {
		ssize_t n = pread(pagemap_fd, (uint8_t *)ret + got, want - got,
				  (off_t)(start / page_bytes * 8 + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "pagemap");
		if (n == 0)
			break;
		got += (size_t)n;
	}
	memset((uint8_t *)ret + got, 0, want - got);
	return 0;
}

int pagemap_scan_entries(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *q,
			 page_areas *ret, struct err *err)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	_free_ uint64_t *entries = mem_alloc(ENTRIES_A_CALL * sizeof(*entries));

	for (uint64_t at = start; at < end;) {
		size_t nr = MIN((end - at) / page_bytes, ENTRIES_A_CALL);

		if (pagemap_entries(pagemap_fd, at, nr, entries, err))
			return -1;
		for (size_t i = 0; i < nr; i++, at += page_bytes) {
			uint64_t flags = flags_of_entry(entries[i]);

			if (!(flags & q->none_of) && (flags & q->all_of) == q->all_of &&
			    (!q->any_of || flags & q->any_of))
				add_area(ret, at, at + page_bytes, flags & q->ret);
		}
	}
	return 0;
}
