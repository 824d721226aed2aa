// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/pidfd.pb-c.h"

#define T struct pidfd_obj
static const struct img_field fields[] = {NUM(id), NUM(pid), HEX(exit_code)};
static const struct img_table table = IMG_TABLE(pidfd, fields);
#undef T

const struct img_kind img_pidfd_kind = {.table = &table, .order = IMG_BY_ID};
