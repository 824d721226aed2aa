// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/fs.pb-c.h"

#define T struct fs_obj
static const struct img_field fields[] = {
	NUM(id), PATH(root), PATH(cwd), OCT(umask), NUM(cwd_nameless),
};
static const struct img_table table = IMG_TABLE(fs, fields);
#undef T

const struct img_kind img_fs_kind = {.table = &table, .order = IMG_BY_ID};
