// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/sighand.pb-c.h"

#define T struct sigaction_obj
static const struct img_field action_fields[] = {HEX(handler), HEX(flags), HEX(restorer), HEX(mask)};
static const struct img_table action_table = IMG_TABLE(sigaction, action_fields);
#undef T

#define T struct sighand_obj
static const struct img_field fields[] = {NUM(id), ARRAY(actions, action_table)};
static const struct img_table table = IMG_TABLE(sighand, fields);
#undef T

const struct img_kind img_sighand_kind = {.table = &table, .order = IMG_BY_ID};
