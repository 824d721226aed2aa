// SPDX-License-Identifier: GPL-2.0-only
#include "lib/ranges.h"

#include "lib/cleanup.h"

void ranges_append(struct ranges *r, uint64_t start, uint64_t end)
{
	struct range *last = r->list.nr ? &r->list.at[r->list.nr - 1] : NULL;

	if (start >= end)
		return;
	if (last && start < last->start)
		ranges_add(r, start, end);
	else if (last && start <= last->end)
		last->end = MAX(last->end, end);
	else
		vec_push(&r->list, ((struct range){start, end}));
}

/* The first range that ends at or behind `at`. */
static size_t first_from(const struct ranges *r, uint64_t at)
{
	size_t low = 0, high = r->list.nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->list.at[mid].end < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The items [first, first + nr) give way to those of `with`. */
static void splice(struct ranges *r, size_t first, size_t nr, const struct range *with, size_t nr_with)
{
	size_t behind = r->list.nr - first - nr;

	for (size_t i = nr; i < nr_with; i++)
		vec_add(&r->list);
	if (behind)
		memmove(&r->list.at[first + nr_with], &r->list.at[first + nr], behind * sizeof(struct range));
	if (nr_with)
		memcpy(&r->list.at[first], with, nr_with * sizeof(struct range));
	r->list.nr = first + nr_with + behind;
}

void ranges_add(struct ranges *r, uint64_t start, uint64_t end)
{
	size_t first = first_from(r, start), i = first;
	struct range merged = {start, end};

	if (start >= end)
		return;
	for (; i < r->list.nr && r->list.at[i].start <= end; i++) {
		merged.start = MIN(merged.start, r->list.at[i].start);
		merged.end = MAX(merged.end, r->list.at[i].end);
	}
	splice(r, first, i - first, &merged, 1);
}

void ranges_remove(struct ranges *r, uint64_t start, uint64_t end)
{
	size_t first = first_from(r, start), i = first, nr = 0;
	struct range rest[2];

	if (start >= end)
		return;
	for (; i < r->list.nr && r->list.at[i].start < end; i++) {
		if (r->list.at[i].start < start)
			rest[nr++] = (struct range){r->list.at[i].start, MIN(r->list.at[i].end, start)};
		if (r->list.at[i].end > end)
			rest[nr++] = (struct range){end, r->list.at[i].end};
	}
	splice(r, first, i - first, rest, nr);
}

void ranges_unite(struct ranges *r, const struct ranges *other)
{
	struct ranges sum = {0};
	size_t a = 0, b = 0;

	while (a < r->list.nr || b < other->list.nr) {
		bool from_a = b == other->list.nr ||
			      (a < r->list.nr && r->list.at[a].start <= other->list.at[b].start);
		const struct range *next = from_a ? &r->list.at[a++] : &other->list.at[b++];

		ranges_append(&sum, next->start, next->end);
	}
	ranges_free(r);
	*r = sum;
}

void ranges_intersect(struct ranges *r, const struct ranges *other)
{
	struct ranges common = {0};
	size_t b = 0;

	vec_each(a, &r->list) {
		while (b < other->list.nr && other->list.at[b].end <= a->start)
			b++;
		for (size_t i = b; i < other->list.nr && other->list.at[i].start < a->end; i++)
			ranges_append(&common, MAX(a->start, other->list.at[i].start),
				      MIN(a->end, other->list.at[i].end));
	}
	ranges_free(r);
	*r = common;
}

void ranges_subtract(struct ranges *r, const struct ranges *other)
{
	struct ranges rest = {0};
	size_t b = 0;

	vec_each(a, &r->list) {
		uint64_t at = a->start;

		while (b < other->list.nr && other->list.at[b].end <= a->start)
			b++;
		for (size_t i = b; i < other->list.nr && other->list.at[i].start < a->end; i++) {
			ranges_append(&rest, at, other->list.at[i].start);
			at = other->list.at[i].end;
		}
		ranges_append(&rest, at, a->end);
	}
	ranges_free(r);
	*r = rest;
}

void ranges_copy(struct ranges *r, const struct ranges *from)
{
	struct ranges copy = {0};

	if (from->list.nr) {
		copy.list.at = mem_dup(from->list.at, from->list.nr * sizeof(struct range));
		copy.list.nr = copy.list.cap = from->list.nr;
	}
	ranges_free(r);
	*r = copy;
}

bool ranges_cover(const struct ranges *r, uint64_t start, uint64_t end)
{
	size_t i = first_from(r, start + 1);

	return start >= end || (i < r->list.nr && r->list.at[i].start <= start && r->list.at[i].end >= end);
}

bool ranges_touch(const struct ranges *r, uint64_t start, uint64_t end)
{
	size_t i = first_from(r, start + 1);

	return start < end && i < r->list.nr && r->list.at[i].start < end;
}

uint64_t ranges_sum(const struct ranges *r)
{
	uint64_t sum = 0;

	vec_each(a, &r->list)
		sum += a->end - a->start;
	return sum;
}

void ranges_clear(struct ranges *r)
{
	r->list.nr = 0;
}

void ranges_free(struct ranges *r)
{
	vec_free(&r->list);
}
