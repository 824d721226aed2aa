// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/msgq.pb-c.h"

#define T struct msgq_message
static const struct img_field message_fields[] = {NUM(type), BYTES(text, IMG_MAX_DATA)};
static const struct img_table message_table = IMG_TABLE(msgq_message, message_fields);
#undef T

#define T struct msgq_obj
static const struct img_field fields[] = {
	NUM(id),
	STRUCT(perm, img_ipc_owner_table),
	NUM(qbytes),
	LIST(messages, message_table, IMG_MAX_COUNT),
};
static const struct img_table table = IMG_TABLE(msgq, fields);
#undef T

const struct img_kind img_msgq_kind = {.table = &table, .order = IMG_BY_ID};
