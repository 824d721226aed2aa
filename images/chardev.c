// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/chardev.pb-c.h"

#define T struct chardev_obj
static const struct img_field fields[] = {
	NUM(id),
	PATH(path),
	NUM(major),
	NUM(minor),
};
static const struct img_table table = IMG_TABLE(chardev, fields);
#undef T

const struct img_kind img_chardev_kind = {.table = &table, .order = IMG_BY_ID};
