// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/signalfd.pb-c.h"

#define T struct signalfd_obj
static const struct img_field fields[] = {
	NUM(id),
	HEX(mask),
};
static const struct img_table table = IMG_TABLE(signalfd, fields);
#undef T

const struct img_kind img_signalfd_kind = {.table = &table, .order = IMG_BY_ID};
