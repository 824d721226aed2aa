// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/regs.pb-c.h"

#define T struct regset_obj
static const struct img_field set_fields[] = {HEX(note), BYTES(content, 65536)};
static const struct img_table set_table = IMG_TABLE(regset, set_fields);
#undef T

#define T struct regs_obj
static const struct img_field fields[] = {GENERAL(general, nr_general), LIST(sets, set_table, 64)};
const struct img_table img_regs_table = IMG_TABLE(regs, fields);
#undef T
