// SPDX-License-Identifier: GPL-2.0-only
/* Parsers of maps, smaps and pagemap. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "facts/maps.h"
#include "facts/pagemap.h"
#include "facts/vdso.h"

static int parse(const char *s, struct maps *ret)
{
	struct buf text = {0};
	struct err err;
	int result;

	buf_put(&text, s, strlen(s) + 1);
	result = maps_parse(&text, ret, &err);
	buf_free(&text);
	return result;
}

Test(mm_facts, maps)
{
	struct maps m = {0};

	cr_assert_eq(
		parse("00400000-00401000 r-xp 00001000 fd:1a 1234567890                       /bin/a b "
		      "(deleted)\n"
		      "7ffe0000-7fff0000 rw-s 00000000 00:01 7 \n"
		      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n",
		      &m),
		0);
	cr_assert_eq(m.list.nr, 3);
	cr_assert(m.list.at[0].start == 0x400000 && m.list.at[0].end == 0x401000 &&
		  m.list.at[0].offset == 0x1000);
	cr_assert(m.list.at[0].dev == makedev(0xfd, 0x1a) && m.list.at[0].ino == 1234567890);
	cr_assert(m.list.at[0].prot == (PROT_READ | PROT_EXEC) && !m.list.at[0].shared);
	cr_assert_str_eq(m.list.at[0].path, "/bin/a b (deleted)");
	cr_assert(m.list.at[1].shared && m.list.at[1].path[0] == 0);
	cr_assert_str_eq(m.list.at[2].path, "[vsyscall]");
	maps_free(&m);
}

Test(mm_facts, smaps)
{
	struct maps m = {0};

	cr_assert_eq(parse("00400000-00401000 rw-p 00000000 00:00 0 \n"
			   "Size:                  4 kB\n"
			   "VmFlags: rd wr mr mw me lo lf ac hg xx \n"
			   "00402000-00403000 rw-p 00000000 00:00 0                   [anon:Size:  1]\n"
			   "Size:                  4 kB\n"
			   "VmFlags: rd gd dc wf \n",
			   &m),
		     0);
	cr_assert_eq(m.list.nr, 2);
	cr_assert_eq(m.list.at[0].flags, MAP_FLAG_MAYWRITE | MAP_FLAG_LOCKED | MAP_FLAG_LOCKED_ONFAULT |
						 MAP_FLAG_ACCOUNT | MAP_FLAG_HUGEPAGE);
	cr_assert_eq(m.list.at[1].flags, MAP_FLAG_GROWSDOWN | MAP_FLAG_DONTFORK | MAP_FLAG_WIPEONFORK);
	cr_assert_str_eq(m.list.at[1].path, "[anon:Size:  1]");
	maps_free(&m);
}

Test(mm_facts, strange_lines_are_refused)
{
	static const char *const strange[] = {
		"hello\n",
		"00400000-00401000\n",
		"00400000-00401000 rw\n",
		"00401000-00400000 rw-p 00000000 00:00 0 \n",
		"00400000-00401000 rw-p 00000000 0000 0 \n",
		"00400000-00401000 rw-p 0000g000 00:00 0 \n",
	};
	struct maps m = {0};

	for (size_t i = 0; i < ARRAY_LEN(strange); i++)
		cr_assert_eq(parse(strange[i], &m), -1, "%s", strange[i]);
}

/* A list that changed while it was read. */
Test(mm_facts, overlapping_lines_are_cut)
{
	struct maps m = {0};

	cr_assert_eq(parse("00400000-00402000 rw-p 00000000 00:00 0 \n"
			   "00401000-00403000 rw-p 00005000 08:01 7 /x\n"
			   "00401000-00403000 rw-p 00000000 00:00 0 \n",
			   &m),
		     0);
	cr_assert_eq(m.list.nr, 2);
	cr_assert(m.list.at[1].start == 0x402000 && m.list.at[1].end == 0x403000 &&
		  m.list.at[1].offset == 0x6000);
	maps_free(&m);
}

Test(mm_facts, same_mappings)
{
	const char *text = "00400000-00401000 rw-p 00000000 00:00 0 [heap]\n";
	struct maps a = {0}, b = {0};

	parse(text, &a);
	parse(text, &b);
	cr_assert(maps_same(&a, &b));
	parse("00400000-00401000 r--p 00000000 00:00 0 [heap]\n", &b);
	cr_assert(!maps_same(&a, &b));
	maps_free(&a);
	maps_free(&b);
}

/* PAGEMAP_SCAN and the entries tell the same. */
Test(mm_facts, scan_and_entries)
{
	char *p = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pagemap_query q = {
		.none_of = PAGE_FILE, .any_of = PAGE_PRESENT | PAGE_SWAPPED, .ret = PAGE_PRESENT};
	uint64_t start = (uint64_t)p;
	page_areas scanned = {0}, read = {0};
	struct err err;
	_fd_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < 64; i += i % 7 + 1)
		p[i * 4096] = 1;
	cr_assert_eq(pagemap_scan_entries(fd, start, start + 64 * 4096, &q, &read, &err), 0);
	cr_assert_gt(read.nr, 3);
	if (!pagemap_scan_works())
		return;
	cr_assert_eq(pagemap_scan(fd, start, start + 64 * 4096, &q, &scanned, &err), 0);
	cr_assert_eq(scanned.nr, read.nr);
	cr_assert(!memcmp(scanned.at, read.at, read.nr * sizeof(*read.at)));
	vec_free(&scanned);
	vec_free(&read);
}

Test(mm_facts, vdso)
{
	cr_assert_neq(vdso_digest(), 0);
	cr_assert_neq(vdso_digest(), 1, "no symbol was found");
	cr_assert_eq(vdso_digest(), vdso_digest());
}

/* More areas than the kernel's own buffer has room for, and more than ours: each once, in order. */
Test(mm_facts, scan_of_many_areas)
{
	static const size_t numbers[] = {511, 512, 513, 700, 1023, 1024, 1025, 1536, 1537, 2500};

	for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
		size_t nr = numbers[k], bytes = nr * 2 * 4096;
		char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		_fd_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		struct pagemap_query q = {.any_of = PAGE_PRESENT, .ret = PAGE_PRESENT};
		page_areas areas = {0};
		struct err err;

		cr_assert(at != MAP_FAILED);
		cr_assert_eq(madvise(at, bytes, MADV_NOHUGEPAGE), 0);
		for (size_t i = 0; i < nr; i++)
			at[i * 2 * 4096] = 1;
		cr_assert_eq(pagemap_scan(fd, (uintptr_t)at, (uintptr_t)at + bytes, &q, &areas, &err), 0,
			     "%s", err.msg);
		cr_assert_eq(areas.nr, nr, "%zu areas instead of %zu", areas.nr, nr);
		for (size_t i = 0; i < nr; i++) {
			cr_assert_eq(areas.at[i].start, (uintptr_t)at + i * 2 * 4096, "%zu of %zu", i, nr);
			cr_assert_eq(areas.at[i].end, areas.at[i].start + 4096);
		}
		vec_free(&areas);
		munmap(at, bytes);
	}
}
