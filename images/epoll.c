// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/epoll.pb-c.h"

#define T struct epoll_target
static const struct img_field target_fields[] = {NUM(fd), NUM(file), HEX(events), HEX(data)};
static const struct img_table target_table = IMG_TABLE(epoll_target, target_fields);
#undef T

#define T struct epoll_obj
static const struct img_field fields[] = {NUM(id), LIST(targets, target_table, IMG_MAX_COUNT)};
static const struct img_table table = IMG_TABLE(epoll, fields);
#undef T

const struct img_kind img_epoll_kind = {.table = &table, .order = IMG_BY_ID};
