// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/file.pb-c.h"

#define T struct file_lock_obj
static const struct img_field lock_fields[] = {
	RANGE(kind, FILE_LOCK_FLOCK, FILE_LOCK_OFD), NUM(write), NUM(start), NUM(end), NUM(table),
};
static const struct img_table lock_table = IMG_TABLE(file_lock, lock_fields);
#undef T

#define T struct file_obj
static const struct img_field fields[] = {
	NUM(id),	 RANGE(kind, FILE_REG, FILE_KINDS - 1),
	NUM(of),	 OCT(flags),
	NUM(pos),	 NUM(owner_pid),
	NUM(owner_type), NUM(owner_signal),
	NUM(tty_master), LIST(locks, lock_table, IMG_MAX_COUNT),
};
static const struct img_table table = IMG_TABLE(file, fields);
#undef T

const struct img_kind img_file_kind = {.table = &table, .order = IMG_BY_ID};
