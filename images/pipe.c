// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/pipe.pb-c.h"

#define T struct pipe_chunk
static const struct img_field chunk_fields[] = {BYTES(data, IMG_MAX_DATA), NUM(packet)};
static const struct img_table chunk_table = IMG_TABLE(pipe_chunk, chunk_fields);
#undef T

#define T struct pipe_obj
static const struct img_field fields[] = {
	NUM(id),
	PATH_OR_NULL(fifo_path),
	NUM(capacity_bytes),
	LIST(chunks, chunk_table, IMG_MAX_COUNT),
};
static const struct img_table table = IMG_TABLE(pipe, fields);
#undef T

const struct img_kind img_pipe_kind = {.table = &table, .order = IMG_BY_ID};
