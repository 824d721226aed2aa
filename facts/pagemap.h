/* SPDX-License-Identifier: GPL-2.0-only */
/* /proc/PID/pagemap: which pages are there, which were written, and which frames they are in. */
#ifndef VERST_FACTS_PAGEMAP_H
#define VERST_FACTS_PAGEMAP_H

#include "lib/lib.h"
#include "lib/ranges.h"

/* PAGE_IS_* of <linux/fs.h> (newer than the headers of Debian 12). */
enum page_flag {
	PAGE_WPALLOWED = 1 << 0, /* writes are tracked: write-protect-async userfaultfd */
	PAGE_WRITTEN = 1 << 1,
	PAGE_FILE = 1 << 2,
	PAGE_PRESENT = 1 << 3,
	PAGE_SWAPPED = 1 << 4, /* also a marker without a page, see docs/memory.md */
	PAGE_PFNZERO = 1 << 5,
	PAGE_HUGE = 1 << 6,
};

struct page_area { /* struct page_region of the kernel */
	uint64_t start, end, flags;
};

typedef VEC(struct page_area) page_areas;

struct pagemap_query {
	uint64_t none_of, all_of, any_of; /* any_of 0: no matter */
	uint64_t or_without;		  /* adds to any_of the pages that lack one of these */
	uint64_t ret;			  /* which flags to give back */
	bool arm; /* what is reported as written counts as clean from now on; skips mappings that are not
		     tracked */
	uint64_t max_pages; /* stop after so many; 0: no limit */
};

/* Appends to ret, by address. ERR_KERNEL if the kernel (before 6.7) has no PAGEMAP_SCAN. */
int pagemap_scan(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *q, page_areas *ret,
		 struct err *err);
bool pagemap_scan_works(void);

/* The same without arm and PAGE_WRITTEN, WPALLOWED, PFNZERO, by reading all entries: for kernels without
 * PAGEMAP_SCAN. */
int pagemap_scan_entries(int pagemap_fd, uint64_t start, uint64_t end, const struct pagemap_query *q,
			 page_areas *ret, struct err *err);

/* Raw entries, Documentation/admin-guide/mm/pagemap.rst. Fewer than nr (the rest zeroed) when the process has
 * gone. */
#define PAGEMAP_PRESENT	  (1ull << 63)
#define PAGEMAP_SWAPPED	  (1ull << 62)
#define PAGEMAP_FILE	  (1ull << 61)
#define PAGEMAP_EXCLUSIVE (1ull << 56) /* mapped nowhere else */
#define PAGEMAP_PROTECTED (1ull << 57) /* by userfaultfd: not written since it was armed */
#define PAGEMAP_FRAME(e)  ((e) & ((1ull << 55) - 1))
int pagemap_entries(int pagemap_fd, uint64_t start, size_t nr, uint64_t *ret, struct err *err);

#endif
