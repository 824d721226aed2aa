// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/eventfd.pb-c.h"

#define T struct eventfd_obj
static const struct img_field fields[] = {
	NUM(id),
	NUM(count),
	NUM(semaphore),
};
static const struct img_table table = IMG_TABLE(eventfd, fields);
#undef T

const struct img_kind img_eventfd_kind = {.table = &table, .order = IMG_BY_ID};
