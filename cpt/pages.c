// SPDX-License-Identifier: GPL-2.0-only
/* Which pages of an address space the other side lacks, and sending them. docs/memory.md argues why these are
 * enough. */
#include "cpt/mm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>

#define ENTRIES_A_LOOK 4096u
#define PIECES_A_READ  64u
#define READ_PAGES     128u /* keeps to the second-level cache */
#define PIN_PAGES      32u  /* from here on looking at the entries pays */

struct plan {
	struct ranges data;    /* bytes to send */
	struct ranges drop;    /* the other side has a page where there is none (any more) */
	struct ranges inherit; /* there by fork, and the same */
	struct ranges present;
};

static void plan_free(struct plan *p)
{
	ranges_free(&p->data);
	ranges_free(&p->drop);
	ranges_free(&p->inherit);
	ranges_free(&p->present);
}

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- what is to be sent --- */

/* In a mapped file, "swapped" may be a mere marker where a written page was given up: its content must be
 * looked at. */
static void doubtful(const struct mirror_task *dest, const page_areas *pages, struct ranges *ret)
{
	struct ranges files = {0};

	vec_each(a, pages)
		if (a->flags & PAGE_SWAPPED)
			ranges_append(ret, a->start, a->end);
	vec_each(v, &dest->as.vmas)
		if (v->kind == VMA_FILE)
			ranges_append(&files, v->start, v->end);
	ranges_intersect(ret, &files);
	ranges_free(&files);
}

/* Pages that may differ from what was sent for them. */
static void changed(const struct cpt *c, const struct cpt_space *s, const struct mirror_task *dest,
		    const page_areas *pages, const struct ranges *written, struct ranges *ret)
{
	struct ranges more = {0};

	vec_each(a, pages)
		if (s->uffd < 0 || s->distrusted || !(a->flags & PAGE_WPALLOWED) ||
		    (c->frozen && a->flags & PAGE_WRITTEN))
			ranges_append(ret, a->start, a->end);
	ranges_unite(ret, written);
	ranges_unite(ret, &s->owed);
	doubtful(dest, pages, &more);
	ranges_unite(ret, &more);
	ranges_free(&more);
}

/*
 * The same frame at the same address: the same bytes. While the VE runs the parent's page must also have
 * stayed unwritten since it was armed, else what was sent of it is older than this look.
 */
static void same_frames(const uint64_t *child, const uint64_t *parent, size_t nr, bool frozen, uint64_t start,
			struct ranges *ret)
{
	uint64_t page_bytes = page_size();

	for (size_t i = 0; i < nr; i++) {
		uint64_t both = child[i] & parent[i];

		if (both & PAGEMAP_PRESENT && !((child[i] | parent[i]) & PAGEMAP_FILE) &&
		    PAGEMAP_FRAME(child[i]) && PAGEMAP_FRAME(child[i]) == PAGEMAP_FRAME(parent[i]) &&
		    (frozen || parent[i] & PAGEMAP_PROTECTED))
			ranges_append(ret, start + i * page_bytes, start + (i + 1) * page_bytes);
	}
}

/* Of the pages that came by fork, those that still are the forker's. */
static int inherited(const struct cpt *c, const struct cpt_space *s, const struct cpt_space *from,
		     const struct ranges *both, struct ranges *ret, struct err *err)
{
	_free_ uint64_t *entries = mem_alloc(2 * ENTRIES_A_LOOK * sizeof(*entries));
	uint64_t page_bytes = page_size();

	vec_each(r, &both->list) {
		for (uint64_t at = r->start; at < r->end;) {
			size_t nr = MIN((r->end - at) / page_bytes, ENTRIES_A_LOOK);

			/* the child first: what the parent writes after this look shows as a frame of its
			 * own, or as written */
			if (pagemap_entries(s->pagemap_fd, at, nr, entries, err) ||
			    pagemap_entries(from->pagemap_fd, at, nr, entries + nr, err))
				return -1;
			same_frames(entries, entries + nr, nr, c->frozen, at, ret);
			at += nr * page_bytes;
		}
	}
	return 0;
}

/* The first map of a task: it has, by fork, what its forker had been sent at that moment. */
static int plan_newborn(struct cpt *c, struct cpt_space *s, const struct mirror_task *dest, struct plan *p,
			struct err *err)
{
	struct mirror *m = &c->mm->mirror;
	const struct mirror_task *from = dest->origin ? mirror_find(m, dest->origin) : NULL;
	const struct cpt_space *forker = from ? cpt_space_find(c, from->t.mm) : NULL;
	struct ranges both = {0};
	int ret = 0;

	ranges_copy(&both, &p->present);
	ranges_intersect(&both, &dest->as.held);
	if (forker && dest->origin_round == c->mm->round && from->sent_round == c->mm->round && both.list.nr)
		ret = inherited(c, s, forker, &both, &p->inherit, err);
	ranges_copy(&p->data, &p->present);
	ranges_subtract(&p->data, &p->inherit);
	ranges_free(&both);
	return ret;
}

static int plan_pages(struct cpt *c, struct cpt_space *s, const struct mirror_task *dest,
		      const struct ranges *written, struct plan *p, struct verst_round *ret, struct err *err)
{
	page_areas pages = {0};
	struct ranges private = {0};
	int result = cpt_track_pages(c, s, &pages, err);

	vec_each(a, &pages)
		ranges_append(&p->present, a->start, a->end);
	aspace_private(&dest->as, &private);
	ranges_intersect(&p->present, &private);
	ret->scanned_pages += ranges_sum(&p->present) / page_size();
	ranges_copy(&p->drop, &dest->as.held);
	ranges_subtract(&p->drop, &p->present);
	if (!result && dest->origin != dest->t.pid) {
		result = plan_newborn(c, s, dest, p, err);
	} else if (!result) {
		struct ranges lacking = {0};

		changed(c, s, dest, &pages, written, &p->data);
		ranges_intersect(&p->data, &p->present);
		ranges_copy(&lacking, &p->present);
		ranges_subtract(&lacking, &dest->as.held);
		ranges_unite(&p->data, &lacking);
		ranges_free(&lacking);
	}
	ranges_free(&private);
	vec_free(&pages);
	return result;
}

/* --- reading --- */

/*
 * By /proc/PID/mem where pages are shared copy-on-write, not by process_vm_readv: that pins pages, and
 * pinning a shared one gives the task a copy of its own (mm/gup.c, gup_must_unshare), which would double the
 * memory of every forking server that is dumped. A page that is mapped once is pinned as it is (mm/memory.c,
 * wp_can_reuse_anon_folio), and copied once less.
 */
static int open_mem(const struct cpt *c, struct cpt_space *s, struct err *err)
{
	char path[32];

	if (s->mem_fd >= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/mem", s->pid);
	s->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
	/* the task has ended since it was listed: its pages cannot be read, and the next tree is without it
	 */
	if (s->mem_fd < 0 && !c->frozen && (errno == ESRCH || errno == ENOENT))
		return 0;
	return s->mem_fd < 0 ? err_sys(err, "%s", path) : 0;
}

static bool may_pin(const struct cpt_space *s, const struct range *piece)
{
	uint64_t entries[READ_PAGES], nr = (piece->end - piece->start) / page_size();

	if (nr < PIN_PAGES || pagemap_entries(s->pagemap_fd, piece->start, nr, entries, &(struct err){0}))
		return false;
	for (uint64_t i = 0; i < nr; i++)
		if (!(entries[i] & PAGEMAP_EXCLUSIVE))
			return false;
	return true;
}

/* Bytes from the beginning of the piece; a whole number of pages. */
static size_t read_piece(const struct cpt_space *s, const struct range *piece, uint8_t *to)
{
	size_t len = piece->end - piece->start;
	struct iovec here = {to, len}, there = {(void *)(uintptr_t)piece->start, len};
	ssize_t n = -1;

	if (may_pin(s, piece))
		n = process_vm_readv(s->pid, &here, 1, &there, 1, 0);
	if (n != (ssize_t)len) /* also what the task itself may not read */
		n = pread(s->mem_fd, to, len, (off_t)piece->start);
	return n < 0 ? 0 : (size_t)n / page_size() * page_size();
}

/* Reads what it can from the beginning of the pieces. */
static size_t read_pieces(const struct cpt_space *s, const struct range *pieces, size_t nr, uint8_t *to)
{
	size_t got = 0;

	for (size_t i = 0; i < nr; i++) {
		size_t n = read_piece(s, &pieces[i], to + got);

		got += n;
		if (n < pieces[i].end - pieces[i].start)
			break;
	}
	return got;
}

/* The pages of some pieces, all of which fit into one room. What cannot be read goes to `failed`. */
static int send_pieces(struct cpt *c, struct cpt_space *s, struct range *pieces, size_t nr,
		       struct ranges *failed, struct err *err)
{
	uint64_t page_bytes = page_size();

	while (nr) {
		uint64_t want = 0, got;
		void *room;

		for (size_t i = 0; i < nr; i++)
			want += pieces[i].end - pieces[i].start;
		room = img_pages_room(c->w, want / page_bytes, err);
		if (!room)
			return -1;
		got = read_pieces(s, pieces, nr, room);
		if (!got) {
			ranges_append(failed, pieces[0].start, pieces[0].start + page_bytes);
			pieces[0].start += page_bytes;
		}
		for (; nr && got; got -= want) {
			want = MIN(got, pieces[0].end - pieces[0].start);
			if (img_pages_commit(c->w, pieces[0].start, want / page_bytes, err))
				return -1;
			pieces[0].start += want;
			if (pieces[0].start < pieces[0].end)
				break;
			pieces++;
			nr--;
		}
		while (nr && pieces[0].start == pieces[0].end) {
			pieces++;
			nr--;
		}
	}
	return 0;
}

/* --- writing --- */

struct sender {
	struct cpt *c;
	struct cpt_space *s;
	struct range pieces[PIECES_A_READ];
	size_t nr;
	uint64_t bytes;
	struct ranges failed;
};

static int sender_flush(struct sender *x, struct err *err)
{
	int ret = x->nr ? send_pieces(x->c, x->s, x->pieces, x->nr, &x->failed, err) : 0;

	x->nr = 0;
	x->bytes = 0;
	return ret;
}

static int sender_data(struct sender *x, uint64_t start, uint64_t end, struct err *err)
{
	uint64_t most = READ_PAGES * page_size();

	while (start < end) {
		uint64_t len = MIN(end - start, most - x->bytes);

		x->pieces[x->nr++] = (struct range){start, start + len};
		x->bytes += len;
		start += len;
		if ((x->bytes == most || x->nr == PIECES_A_READ) && sender_flush(x, err))
			return -1;
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct pages_run *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

typedef VEC(struct pages_run) run_vec;

static void add_runs(const struct ranges *r, enum pages_kind kind, run_vec *ret)
{
	vec_each(a, &r->list)
		vec_push(ret, ((struct pages_run){a->start, (a->end - a->start) / page_size(), kind}));
}

static int send_runs(struct sender *x, const struct plan *p, struct err *err)
{
	run_vec runs = {0};
	int ret = 0;

	add_runs(&p->data, PAGES_DATA, &runs);
	add_runs(&p->drop, PAGES_DROP, &runs);
	add_runs(&p->inherit, PAGES_INHERIT, &runs);
	vec_sort(&runs, by_start);
	vec_each(run, &runs) {
		if (ret)
			break;
		if (run->kind == PAGES_DATA)
			ret = sender_data(x, run->start, run->start + run->nr_pages * page_size(), err);
		else
			ret = sender_flush(x, err) || img_pages_run(x->c->w, run->start, run->nr_pages,
								    run->kind, err)
				      ? -1
				      : 0;
	}
	if (!ret)
		ret = sender_flush(x, err);
	vec_free(&runs);
	return ret;
}

/* What could not be read while the VE runs is owed; the other side has of it what it had. */
static int settle(struct sender *x, struct mirror_task *dest, struct plan *p, struct err *err)
{
	struct ranges stale = {0};

	if (x->failed.list.nr && x->c->frozen)
		return err_set(err, ERR_CHECKPOINT, "memory at %lx cannot be read",
			       x->failed.list.at[0].start);
	ranges_copy(&stale, &x->failed);
	ranges_intersect(&stale, &dest->as.held);
	ranges_copy(&dest->as.held, &p->present);
	ranges_subtract(&dest->as.held, &x->failed);
	ranges_unite(&dest->as.held, &stale);
	ranges_free(&stale);
	ranges_copy(&x->s->owed, &x->failed);
	dest->origin = dest->t.pid;
	dest->sent_round = x->c->mm->round;
	return 0;
}

int cpt_pages_send(struct cpt *c, struct cpt_space *s, struct mirror_task *dest, const struct ranges *written,
		   struct verst_round *ret, struct err *err)
{
	struct plan p = {0};
	struct sender x = {.c = c, .s = s};
	int result = plan_pages(c, s, dest, written, &p, ret, err);

	if (!result && p.data.list.nr)
		result = open_mem(c, s, err);
	if (!result && (p.data.list.nr || p.drop.list.nr || p.inherit.list.nr))
		result = img_pages_begin(c->w, PAGES_MM, s->id, err) || send_runs(&x, &p, err) ||
					 img_pages_end(c->w, err)
				 ? -1
				 : 0;
	if (!result)
		result = settle(&x, dest, &p, err);
	ranges_free(&x.failed);
	plan_free(&p);
	return result;
}
