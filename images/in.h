/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The records of an image as they come: read and summed up, by a thread of its own as soon as there are many
 * pages, so that the next ones are read while these are put into place.
 */
#ifndef VERST_IMAGES_IN_H
#define VERST_IMAGES_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/lib.h"

struct img_in_record {
	uint16_t type, flags;
	uint32_t len_bytes;
	uint64_t number, offset, sum;
	struct buf body;   /* of PAGES: up to the data */
	uint8_t *data;	   /* page aligned, room for a whole batch */
	uint8_t *packed;   /* lz4: as it came */
	size_t data_bytes; /* in the stream */
	bool failed;
	struct err err;
};

struct img_in;

/* fd is borrowed; what it gives next are records, the first of which lies at `offset` of the stream. */
struct img_in *img_in_open(int fd, uint32_t page_bytes, uint64_t offset);
void img_in_close(struct img_in *in); /* NULL is fine */

/* The next record, its checksum and flags found right; valid until the next call. Not to be called after an
 * END or an error. */
int img_in_next(struct img_in *in, struct img_in_record **ret, struct err *err);

/* What stands in front of every complaint about a record; -1. */
int img_in_where(const struct img_in_record *rec, struct err *err);

/* All of len_bytes. 1; 0: the stream ends before; -1 and errno. */
int img_in_read(int fd, void *p, size_t len_bytes, size_t *ret_read);

#endif
