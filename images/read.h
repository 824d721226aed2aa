/* SPDX-License-Identifier: GPL-2.0-only */
/* What images/read.c (stream), images/read_pages.c and images/read_object.c share. */
#ifndef VERST_IMAGES_READ_H
#define VERST_IMAGES_READ_H

#include "images/codec.h"
#include "images/format.h"
#include "images/images.h"
#include "images/in.h"
#include "images/sum.h"
#include "images/write.h"

struct img_reader {
	struct img_header header;
	int fd;	     /* borrowed; read by `in` */
	off_t start; /* where the image begins in it; -1: it cannot be positioned */
	struct img_in *in;
	XXH3_state_t *digest;
	struct img_arena arena;
	struct img_totals totals;
	bool ended;

	struct img_in_record *at; /* the record at hand */
	VEC(struct pages_run) runs;
};

/* What a PAGES record begins with. */
struct img_batch {
	uint32_t target, id, nr_runs, coding, data_offset, data_bytes;
};

/* Of a record of len_bytes, its lengths found right. body: its first IMG_PAGES_BYTES or more. */
int img_batch_parse(const struct buf *body, uint32_t page_bytes, uint32_t len_bytes, struct img_batch *ret,
		    struct err *err);
/* Checks and unpacks what was read. */
int img_read_pages(struct img_reader *r, struct img_pages *ret, struct err *err);
/* Decodes the body and puts the object into m. */
int img_read_object(struct img_reader *r, const struct img_codec *codec, struct model *m, size_t *ret_index,
		    struct err *err);

/* For those who only look: the bytes of the FSENT that was read are given back, all else of it stays. */
void img_drop_content(struct model *m, const struct img_record *record);

#endif
