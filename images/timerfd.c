// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/timerfd.pb-c.h"

#define T struct timerfd_obj
static const struct img_field fields[] = {
	NUM(id), NUM(clock), HEX(settime_flags), NUM(left_ns), NUM(interval_ns), NUM(absolute_ns), NUM(ticks),
};
static const struct img_table table = IMG_TABLE(timerfd, fields);
#undef T

const struct img_kind img_timerfd_kind = {.table = &table, .order = IMG_BY_ID};
