/* SPDX-License-Identifier: GPL-2.0-only */
/* What images/read.c (stream), images/read_pages.c and images/read_object.c share. */
#ifndef VERST_IMAGES_READ_H
#define VERST_IMAGES_READ_H

#include "images/codec.h"
#include "images/format.h"
#include "images/images.h"
#include "images/sum.h"
#include "images/write.h"

struct img_reader {
	int fd; /* borrowed */
	struct img_header header;
	XXH3_state_t *sum, *digest;
	struct img_arena arena;
	struct img_totals totals;
	bool ended;

	/* the record at hand */
	uint16_t type, flags;
	uint64_t offset;
	struct buf body;   /* of PAGES: up to the data */
	uint8_t *data;	   /* page aligned, a whole batch */
	uint8_t *packed;   /* lz4: as it came */
	size_t data_bytes; /* in the stream */
	VEC(struct pages_run) runs;
};

/* The next len_bytes of the body, added to its checksum; ERR_IMAGE if the stream ends before. */
int img_read_bytes(struct img_reader *r, void *p, size_t len_bytes, struct err *err);
/* The same, at the end of r->body. */
int img_read_body(struct img_reader *r, size_t len_bytes, struct err *err);

/* Body of a PAGES record of len_bytes: into body and data. */
int img_read_pages_body(struct img_reader *r, uint32_t len_bytes, struct err *err);
/* Checks and unpacks what was read. */
int img_read_pages(struct img_reader *r, struct img_pages *ret, struct err *err);
/* Decodes the body and puts the object into m. */
int img_read_object(struct img_reader *r, const struct img_codec *codec, struct model *m, size_t *ret_index,
		    struct err *err);

/* For those who only look: the bytes of the FSENT that was read are given back, all else of it stays. */
void img_drop_content(struct model *m, const struct img_record *record);

#endif
