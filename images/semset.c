// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/semset.pb-c.h"

#define T struct sem_undo
static const struct img_field undo_fields[] = {NUM(pid), NUM(nr), NUM(adjust)};
static const struct img_table undo_table = IMG_TABLE(sem_undo, undo_fields);
#undef T

#define T struct semset_obj
static const struct img_field fields[] = {
	NUM(id),
	STRUCT(perm, img_ipc_owner_table),
	NUMS(values, 32000), /* SEMMSL */
	LIST(undos, undo_table, IMG_MAX_COUNT),
	NUM(used),
};
static const struct img_table table = IMG_TABLE(semset, fields);
#undef T

const struct img_kind img_semset_kind = {.table = &table, .order = IMG_BY_ID};
