// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/ghost.pb-c.h"

#define T struct ghost_obj
static const struct img_field fields[] = {
	NUM(id), OCT(mode), NUM(uid), NUM(gid), NUM(size_bytes), NUM(mtime_ns), PATH(dir),
};
static const struct img_table table = IMG_TABLE(ghost, fields);
#undef T

const struct img_kind img_ghost_kind = {.table = &table, .order = IMG_REPLACED};
