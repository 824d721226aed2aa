// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rounds of memory while the VE runs. Each sends what the one before found written; the VE goes on writing,
 * so that rounds get shorter only as long as the link is faster than the VE writes. The last one is sent
 * while it stands still, and its length is what the clients see.
 */
#include "migrate/peer.h"
#include "migrate/source.h"

#define MAX_DOWNTIME_MS 100
#define MAX_ROUNDS	30
#define SYNC_MS		120000
#define FIXED_MS	30 /* freeze, objects, building and commit of a small VE: no round can shorten that */
#define GAIN		0.9 /* a round that leaves more than this part of the one before is no progress ... */
#define NO_GAIN_MAX	3   /* ... and so many of them in a row are the end */

struct pace {
	uint64_t page_bytes;
	uint64_t rate; /* bytes/s that arrive */
	uint64_t last_dirty;
	unsigned no_gain;
};

static void report(struct source *s, struct pace *p, const struct verst_round *r, int64_t took_ns,
		   uint64_t forecast_ms)
{
	double dirty = (double)(r->dirty_pages * p->page_bytes) * 1e9 / (double)MAX(took_ns, 1);

	if (s->progress)
		s->progress(s->progress_arg,
			    &(struct verst_migrate_progress){.phase = VERST_MIGRATE_MEMORY,
							     .round = *r,
							     .bytes_per_s = p->rate,
							     .dirty_bytes_per_s = (uint64_t)dirty,
							     .forecast_ms = forecast_ms});
}

static uint64_t forecast_ms(const struct pace *p, uint64_t dirty_pages)
{
	return FIXED_MS + dirty_pages * p->page_bytes * 1000 / MAX(p->rate, 1);
}

/* The rate that counts is that of the far side's having worked it off, hence the SYNC. */
static int one_round(struct source *s, struct pace *p, struct verst_round *ret, int64_t *ret_took_ns,
		     struct err *err)
{
	int64_t begin_ns = io_now_ns();
	uint64_t bytes;

	if (fault_point("migrate-round", err) || s->engine->dump_round(s->dump, ret, err) ||
	    peer_sync(s->pump, SYNC_MS, err))
		return -1;
	*ret_took_ns = MAX(io_now_ns() - begin_ns, 1);
	/* in terms of memory, compression and zero pages included: what matters is how fast pages get there
	 */
	bytes = ret->sent_pages * p->page_bytes;
	if (bytes > 1 << 20 || !p->rate)
		p->rate = (uint64_t)((double)MAX(bytes, 1u << 20) * 1e9 / (double)*ret_took_ns);
	return 0;
}

static bool enough(struct source *s, struct pace *p, const struct verst_round *r, uint64_t forecast)
{
	unsigned target_ms = s->opts->max_downtime_ms ? s->opts->max_downtime_ms : MAX_DOWNTIME_MS;
	unsigned max_rounds = s->opts->max_rounds ? s->opts->max_rounds : MAX_ROUNDS;

	if (p->last_dirty && (double)r->dirty_pages > GAIN * (double)p->last_dirty)
		p->no_gain++;
	else
		p->no_gain = 0;
	p->last_dirty = r->dirty_pages;
	/* the second round is cheap and tells how much is written all the time; the first cannot */
	return r->number >= max_rounds || p->no_gain >= NO_GAIN_MAX ||
	       (forecast <= target_ms && r->number >= 2);
}

static int rounds(struct source *s, struct err *err)
{
	struct pace p = {.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
	struct verst_round r;
	int64_t took_ns;

	for (;;) {
		uint64_t forecast;

		if (one_round(s, &p, &r, &took_ns, err))
			return -1;
		s->stats.rounds++;
		forecast = forecast_ms(&p, r.dirty_pages);
		report(s, &p, &r, took_ns, forecast);
		/* the far side's root is there since the first round: changed files can follow */
		if (source_files_catch_up(s, err))
			return -1;
		if (enough(s, &p, &r, forecast))
			return 0;
	}
}

int source_memory(struct source *s, struct verst_findings *ret_findings, struct err *err)
{
	struct verst_dump_opts opts = {.compress = s->opts->compress, .max_rounds = MAX_ROUNDS};
	char id[16];
	int fd;

	source_enter(s, VERST_MIGRATE_MEMORY);
	pump_limit(s->pump, s->opts->bytes_per_s);
	if (s->engine->commit_prepare(s->v, s->ve.id, err))
		return -1;
	if (pump_stream_begin(s->pump, &fd, err))
		return -1;
	if (s->opts->max_rounds)
		opts.max_rounds = (int)s->opts->max_rounds;
	snprintf(id, sizeof(id), "%u", s->ve.id);
	if (s->engine->dump_open(s->v, id, fd, &opts, &s->dump, ret_findings, err))
		return -1;
	return rounds(s, err);
}
