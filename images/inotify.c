// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/inotify.pb-c.h"

#define T struct inotify_watch
static const struct img_field watch_fields[] = {RANGE(wd, 1, INOTIFY_WD_MAX), HEX(mask), NUM(reg)};
static const struct img_table watch_table = IMG_TABLE(inotify_watch, watch_fields);
#undef T

#define T struct inotify_obj
static const struct img_field fields[] = {NUM(id), LIST(watches, watch_table, IMG_MAX_COUNT)};
static const struct img_table table = IMG_TABLE(inotify, fields);
#undef T

const struct img_kind img_inotify_kind = {.table = &table, .order = IMG_BY_ID};
