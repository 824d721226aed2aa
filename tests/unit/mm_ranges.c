// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>

#include "lib/ranges.h"
#include "model/aspace.h"

/* The same set as bits of a small universe. */
static uint64_t bits(const struct ranges *r)
{
	uint64_t b = 0;

	for (size_t i = 0; i < r->list.nr; i++) {
		if (i)
			cr_assert_lt(r->list.at[i - 1].end, r->list.at[i].start,
				     "ranges touch or are out of order");
		for (uint64_t v = r->list.at[i].start; v < r->list.at[i].end; v++)
			b |= 1ull << v;
	}
	return b;
}

static uint64_t span(uint64_t start, uint64_t end)
{
	return start >= end ? 0 : (1ull << end) - (1ull << start);
}

Test(ranges, agree_with_bits)
{
	struct ranges a = {0}, b = {0};
	uint64_t wa = 0, wb = 0;
	unsigned seed = 7;

	for (int i = 0; i < 20000; i++) {
		uint64_t start = (uint64_t)rand_r(&seed) % 60, end = start + (uint64_t)rand_r(&seed) % 9;

		if (end > 63)
			end = 63;
		switch (rand_r(&seed) % 8) {
		case 0:
		case 1:
			ranges_add(&a, start, end);
			wa |= span(start, end);
			break;
		case 2:
			ranges_remove(&a, start, end);
			wa &= ~span(start, end);
			break;
		case 3:
		case 4:
			ranges_add(&b, start, end);
			wb |= span(start, end);
			break;
		case 5:
			ranges_subtract(&a, &b);
			wa &= ~wb;
			break;
		case 6:
			ranges_intersect(&b, &a);
			wb &= wa;
			break;
		case 7:
			ranges_unite(&a, &b);
			wa |= wb;
			break;
		}
		cr_assert_eq(bits(&a), wa);
		cr_assert_eq(bits(&b), wb);
		cr_assert_eq(ranges_cover(&a, start, end), (wa & span(start, end)) == span(start, end));
		cr_assert_eq(ranges_touch(&a, start, end), (wa & span(start, end)) != 0);
		cr_assert_eq(ranges_sum(&a), (uint64_t)__builtin_popcountll(wa));
	}
	ranges_free(&a);
	ranges_free(&b);
}

static struct mm_obj mm_of(const struct vma_obj *v, size_t nr)
{
	struct mm_obj mm = {.id = 1};

	for (size_t i = 0; i < nr; i++)
		vec_push(&mm.vmas, v[i]);
	return mm;
}

/* What the old and the new list have in common stays with its pages, all else is made anew. */
Test(aspace, keeps_what_is_the_same)
{
	struct vma_obj old[] = {{.start = 10, .end = 20, .kind = VMA_ANON},
				{.start = 20, .end = 30, .kind = VMA_FILE, .reg = 1, .offset = 100},
				{.start = 40, .end = 50, .kind = VMA_ANON}};
	struct vma_obj now[] = {{.start = 5, .end = 15, .kind = VMA_ANON, .prot = 3},
				{.start = 22, .end = 30, .kind = VMA_FILE, .reg = 1, .offset = 102},
				{.start = 40, .end = 45, .kind = VMA_FILE, .reg = 2},
				{.start = 45, .end = 60, .kind = VMA_ANON},
				{.start = 60, .end = 62, .kind = VMA_VDSO}};
	struct mm_obj a = mm_of(old, 3), b = mm_of(now, 5);
	struct aspace as = {0};
	struct ranges unmap = {0};
	vma_vec map = {0};

	aspace_apply(&as, &a, &unmap, &map);
	cr_assert_eq(unmap.list.nr, 0);
	cr_assert_eq(map.nr, 3);
	ranges_add(&as.held, 12, 24);
	ranges_add(&as.held, 41, 48);
	map.nr = 0;
	aspace_apply(&as, &b, &unmap, &map);
	cr_assert_eq(bits(&unmap), span(15, 22) | span(40, 45));
	cr_assert_eq(bits(&as.held), span(12, 15) | span(22, 24) | span(45, 48));
	cr_assert_eq(map.nr, 3);
	cr_assert(map.at[0].start == 5 && map.at[0].end == 10);
	cr_assert(map.at[1].start == 40 && map.at[1].end == 45 && map.at[1].reg == 2);
	cr_assert(map.at[2].start == 50 && map.at[2].end == 60);
	cr_assert_eq(as.vmas.nr, 4);
	vec_free(&map);
	vec_free(&a.vmas);
	vec_free(&b.vmas);
	ranges_free(&unmap);
	aspace_free(&as);
}

Test(aspace, another_offset_is_another_mapping)
{
	struct vma_obj old = {.start = 10, .end = 20, .kind = VMA_FILE, .reg = 1, .offset = 0};
	struct vma_obj now = {.start = 10, .end = 20, .kind = VMA_FILE, .reg = 1, .offset = 5};
	struct mm_obj a = mm_of(&old, 1), b = mm_of(&now, 1);
	struct aspace as = {0};

	aspace_apply(&as, &a, NULL, NULL);
	ranges_add(&as.held, 10, 20);
	aspace_apply(&as, &b, NULL, NULL);
	cr_assert_eq(as.held.list.nr, 0);
	vec_free(&a.vmas);
	vec_free(&b.vmas);
	aspace_free(&as);
}

Test(mm_ranges, append_out_of_order)
{
	struct ranges r = {0};

	ranges_append(&r, 10, 20);
	ranges_append(&r, 40, 50);
	ranges_append(&r, 15, 30); /* loses nothing */
	ranges_append(&r, 1, 2);
	cr_assert_eq(r.list.nr, 3);
	cr_assert(r.list.at[0].start == 1 && r.list.at[0].end == 2);
	cr_assert(r.list.at[1].start == 10 && r.list.at[1].end == 30);
	cr_assert(r.list.at[2].start == 40 && r.list.at[2].end == 50);
	ranges_free(&r);
}
