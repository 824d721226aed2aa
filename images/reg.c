// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/reg.pb-c.h"

#define T struct reg_obj
static const struct img_field fields[] = {
	NUM(id), PATH(path), OCT(mode), NUM(size_bytes), NUM(mtime_ns), NUM(ghost),
};
static const struct img_table table = IMG_TABLE(reg, fields);
#undef T

const struct img_kind img_reg_kind = {.table = &table, .order = IMG_REPLACED};
