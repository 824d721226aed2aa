// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/shm.pb-c.h"

#define T struct shm_obj
static const struct img_field fields[] = {
	NUM(id),	 RANGE(kind, SHM_ANON, SHM_SYSV),
	NUM(size_bytes), TEXT(name, 255),
	HEX(seals),	 OCT(mode),
	NUM(uid),	 NUM(gid),
	NUM(hugetlb),	 NUM(ipc_id),
	HEX(key),	 NUM(cuid),
	NUM(cgid),	 NUM(dest),
	NUM(locked),	 NUM(gone),
};
static const struct img_table table = IMG_TABLE(shm, fields);
#undef T

const struct img_kind img_shm_kind = {.table = &table, .order = IMG_REPLACED};
