/* SPDX-License-Identifier: GPL-2.0-only */
/* What images/write.c (records) and images/write_pages.c (batches of pages) share. */
#ifndef VERST_IMAGES_WRITE_H
#define VERST_IMAGES_WRITE_H

#include "images/codec.h"
#include "images/format.h"
#include "images/images.h"
#include "images/out.h"
#include "images/sum.h"

struct img_totals {
	uint64_t records, bytes; /* before END */
	uint64_t data_pages, zero_pages, inherit_pages;
	struct {
		uint64_t records, bytes;
	} kinds[256]; /* by type; only types below 256 are written */
};

struct img_writer {
	struct img_writer_opts opts;
	struct img_out *out;
	struct img_arena arena;
	XXH3_state_t *sum, *digest;
	struct img_totals totals;

	/* the batch of pages that is being gathered */
	enum pages_target target;
	uint32_t id;
	VEC(struct pages_run) runs;
	size_t batch_at; /* where its data begins in the block's data */
	size_t batch_pages;
	uint8_t *room; /* the next page that img_pages_commit takes */
	size_t room_pages;
};

/* Finishes the batch as one PAGES record, if there is anything in it. Room that was given stays. */
int img_write_batch(struct img_writer *w, struct err *err);
/* Afterwards the block takes two more records for sure: a full one is handed on, with the room in it. */
int img_write_make_room(struct img_writer *w, struct err *err);

/*
 * One record: puts its header where it belongs, in front of the last body_bytes of the block's head (16 bytes
 * were left free there), with data of the block behind, and accounts for it.
 */
void img_write_record(struct img_writer *w, uint16_t type, size_t body_bytes, size_t data_offset,
		      size_t data_bytes);

#endif
