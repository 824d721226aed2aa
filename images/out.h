/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The writer's way out. Bytes are gathered in a block: records in `head` (a growing buffer), pages in `data`
 * (fixed, page aligned), `segs` tells their order in the stream. A full block is handed to a thread that
 * writes it with few big writev(2), so that reading the next pages overlaps with writing the last. An error
 * of the thread is given to the next call.
 */
#ifndef VERST_IMAGES_OUT_H
#define VERST_IMAGES_OUT_H

#include "lib/buf.h"
#include "lib/lib.h"

#define IMG_BLOCK_SEGS	     256u
#define IMG_BLOCK_HEAD_BYTES (1u << 20) /* a block with more than this in its head is full */

struct img_seg {
	bool is_data;
	size_t offset, len_bytes;
};

struct img_block {
	struct buf head;
	uint8_t *data;
	size_t data_bytes; /* used */
	struct img_seg segs[IMG_BLOCK_SEGS];
	size_t nr_segs;
	struct img_block *next;
};

struct img_out;

struct img_out *img_out_open(int fd, size_t block_data_bytes); /* fd is borrowed */
void img_out_close(struct img_out *out);		       /* drops what was not written */
struct img_block *
img_out_block(struct img_out *out); /* the one being filled; another one after submit or flush */
/* The last len_bytes of head, or len_bytes of data from offset, come next in the stream. */
void img_out_head(struct img_block *b, size_t len_bytes);
void img_out_data(struct img_block *b, size_t offset, size_t len_bytes);
int img_out_submit(struct img_out *out, struct err *err); /* the block is full: write it, some time */
int img_out_flush(struct img_out *out, struct err *err);  /* all is in the descriptor when this returns */

#endif
