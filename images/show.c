// SPDX-License-Identifier: GPL-2.0-only
#include "images/read.h"
#include "images/text.h"

#define LINE_RUNS 6

static const char *const targets[] = {[PAGES_MM] = "mm", [PAGES_SHM] = "shm", [PAGES_GHOST] = "ghost"};
static const char *const kinds[] = {
	[PAGES_DATA] = "data", [PAGES_ZERO] = "zero", [PAGES_INHERIT] = "inherit"};

static void show_header(const struct img_header *h, bool json, struct buf *out)
{
	img_text_put(out,
		     json ? "{\"type\":\"header\",\"version\":%u,\"arch\":\"%s\",\"page_bytes\":%u,"
			    "\"features\":%llu,"
			    "\"created_unix\":%lld}"
			  : "header  version %u, arch %s, page_bytes %u, features 0x%llx, created_unix %lld",
		     h->version, h->arch, h->page_bytes, (unsigned long long)h->features,
		     (long long)h->created_unix);
}

static void show_pages_json(const struct img_pages *p, struct buf *out)
{
	img_text_put(out, "\"type\":\"pages\",\"target\":\"%s\",\"id\":%u,\"runs\":[", targets[p->target],
		     p->id);
	for (size_t i = 0; i < p->nr_runs; i++)
		img_text_put(out, "%s{\"start\":%llu,\"nr_pages\":%llu,\"kind\":\"%s\"}", i ? "," : "",
			     (unsigned long long)p->runs[i].start, (unsigned long long)p->runs[i].nr_pages,
			     kinds[p->runs[i].kind]);
	img_text_put(out, "]");
}

static void show_pages_line(const struct img_pages *p, struct buf *out)
{
	uint64_t sum[ARRAY_LEN(kinds)] = {0};

	for (size_t i = 0; i < p->nr_runs; i++)
		sum[p->runs[i].kind] += p->runs[i].nr_pages;
	img_text_put(out, "pages  %s %u: %llu data, %llu zero, %llu inherited;", targets[p->target], p->id,
		     (unsigned long long)sum[PAGES_DATA], (unsigned long long)sum[PAGES_ZERO],
		     (unsigned long long)sum[PAGES_INHERIT]);
	for (size_t i = 0; i < MIN(p->nr_runs, (size_t)LINE_RUNS); i++)
		img_text_put(out, " %s 0x%llx+%llu", kinds[p->runs[i].kind],
			     (unsigned long long)p->runs[i].start, (unsigned long long)p->runs[i].nr_pages);
	if (p->nr_runs > LINE_RUNS)
		img_text_put(out, " ... (%zu runs)", p->nr_runs);
}

static void show_end(const struct img_reader *r, bool json, struct buf *out)
{
	const struct img_totals *t = &r->totals;

	img_text_put(out,
		     json ? "\"type\":\"end\",\"records\":%llu,\"bytes\":%llu,\"data_pages\":%llu,\"zero_"
			    "pages\":%llu,"
			    "\"inherit_pages\":%llu"
			  : "end  %llu records, %llu bytes; pages: %llu data, %llu zero, %llu inherited",
		     (unsigned long long)t->records, (unsigned long long)t->bytes,
		     (unsigned long long)t->data_pages, (unsigned long long)t->zero_pages,
		     (unsigned long long)t->inherit_pages);
}

static void show_object(const struct img_record *rec, const struct model *m, bool json, struct buf *out)
{
	const struct img_codec *codec = img_codec_of_type((uint16_t)rec->type);
	const VEC(uint8_t) *vec = (const void *)((const uint8_t *)m + codec->member_offset);
	const void *obj = vec->at + rec->index * codec->obj_bytes;

	if (json) {
		img_text_put(out, "\"type\":\"%s\",\"object\":", codec->name);
		img_text_json(out, codec->kind->table, obj);
	} else {
		img_text_put(out, "%s  ", codec->name);
		img_text_line(out, codec->kind->table, obj);
	}
}

static void show_record(const struct img_reader *r, const struct img_record *rec, const struct model *m,
			bool json, struct buf *out)
{
	img_text_put(out, json ? "{\"record\":%llu,\"offset\":%llu," : "%llu @%llu  ",
		     (unsigned long long)rec->number, (unsigned long long)rec->offset);
	switch (rec->item) {
	case IMG_OBJECT:
		show_object(rec, m, json, out);
		break;
	case IMG_PAGES:
		if (json)
			show_pages_json(&rec->pages, out);
		else
			show_pages_line(&rec->pages, out);
		break;
	case IMG_ROUND_END:
		img_text_put(out, json ? "\"type\":\"round_end\",\"round\":%u" : "round_end  round %u",
			     rec->round);
		break;
	case IMG_END:
		show_end(r, json, out);
		break;
	}
	if (json)
		buf_put_u8(out, '}');
}

int img_show(int fd, bool json, void (*line)(const char *text, void *arg), void *arg, struct err *err)
{
	struct img_record rec = {0};
	struct img_reader *r;
	struct model m = {0};
	struct buf out = {0};
	int ret;

	if (img_reader_open(fd, &r, err))
		return -1;
	show_header(&r->header, json, &out);
	do {
		buf_put_u8(&out, 0);
		line((const char *)out.at, arg);
		buf_clear(&out);
		ret = img_read(r, &m, &rec, err);
		if (!ret) {
			show_record(r, &rec, &m, json, &out);
			img_drop_content(&m, &rec);
		}
	} while (!ret && rec.item != IMG_END);
	if (!ret) {
		buf_put_u8(&out, 0);
		line((const char *)out.at, arg);
	}
	buf_free(&out);
	img_reader_close(r);
	model_free(&m);
	return ret;
}
