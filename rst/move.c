// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors arrive in a task under the lowest free numbers and belong under others, which may be taken by
 * those that are still to be moved. A number is overwritten once nobody needs what is there; where all wait
 * for each other, one steps aside.
 */
#include "rst/file.h"

#define NONE SIZE_MAX

struct plan {
	const struct rst_move_want *wants;
	size_t nr_numbers; /* beyond the highest that is open to begin with */
	uint32_t *waiting; /* [number]: wants that need what is there and are not served */
	size_t *want_at;   /* [number]: the want that belongs there, NONE */
	bool *served;	   /* [want] */
	rst_moves *moves;
};

static void serve(struct plan *p, size_t i, int from)
{
	const struct rst_move_want *w = &p->wants[i];

	p->served[i] = true;
	p->waiting[w->from]--;
	vec_push(p->moves,
		 ((struct rst_move){.what = RST_MOVE_DUP, .from = from, .to = w->to, .cloexec = w->cloexec}));
}

static bool is_free(const struct plan *p, uint32_t number)
{
	return number >= p->nr_numbers || !p->waiting[number];
}

/* The place that becomes free by serving one may be what another waits for. One that is in its place never
 * becomes free. */
static void serve_chain(struct plan *p, size_t i)
{
	while (i != NONE && !p->served[i] && is_free(p, p->wants[i].to)) {
		int from = p->wants[i].from;

		serve(p, i, from);
		i = p->waiting[from] ? NONE : p->want_at[from];
	}
}

/* Who is left waits for exactly one other: circles. What want i needs goes aside; its place is free for the
 * next, up to i. */
static void break_circle(struct plan *p, size_t i)
{
	int aside = -1 - (int)p->moves->nr, hole = p->wants[i].from;
	size_t next;

	vec_push(p->moves, ((struct rst_move){.what = RST_MOVE_ASIDE, .from = hole}));
	while ((next = p->want_at[hole]) != i) {
		hole = p->wants[next].from;
		serve(p, next, hole);
	}
	serve(p, i, aside);
	vec_push(p->moves, ((struct rst_move){.what = RST_MOVE_CLOSE, .from = aside}));
}

static bool is_in_place(const struct rst_move_want *w)
{
	return w->to == (uint32_t)w->from;
}

static void plan_init(struct plan *p, size_t nr_wants, const int *have, size_t nr_have)
{
	for (size_t i = 0; i < nr_have; i++)
		p->nr_numbers = MAX(p->nr_numbers, (size_t)have[i] + 1);
	p->waiting = mem_alloc((p->nr_numbers + 1) * sizeof(*p->waiting));
	p->want_at = mem_alloc((p->nr_numbers + 1) * sizeof(*p->want_at));
	p->served = mem_alloc(nr_wants + 1);
	for (size_t n = 0; n < p->nr_numbers; n++)
		p->want_at[n] = NONE;
	for (size_t i = 0; i < nr_wants; i++) {
		p->waiting[p->wants[i].from]++;
		if (p->wants[i].to < p->nr_numbers)
			p->want_at[p->wants[i].to] = i;
	}
}

void rst_move_plan(const struct rst_move_want *wants, size_t nr_wants, const int *have, size_t nr_have,
		   rst_moves *ret)
{
	struct plan p = {.wants = wants, .moves = ret};

	plan_init(&p, nr_wants, have, nr_have);
	for (size_t i = 0; i < nr_wants; i++)
		if (!is_in_place(&wants[i]))
			serve_chain(&p, i);
	for (size_t i = 0; i < nr_wants; i++)
		if (!is_in_place(&wants[i]) && !p.served[i])
			break_circle(&p, i);
	for (size_t i = 0; i < nr_wants; i++)
		if (is_in_place(&wants[i]))
			vec_push(ret, ((struct rst_move){.what = RST_MOVE_DUP,
							 .from = wants[i].from,
							 .to = wants[i].to,
							 .cloexec = wants[i].cloexec}));
	for (size_t i = 0; i < nr_have; i++)
		if (p.want_at[have[i]] == NONE)
			vec_push(ret, ((struct rst_move){.what = RST_MOVE_CLOSE, .from = have[i]}));
	free(p.waiting);
	free(p.want_at);
	free(p.served);
}
