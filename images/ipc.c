// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/ipc.pb-c.h"

#define T struct ipc_owner
static const struct img_field perm_fields[] = {
	HEX(key), OCT(mode), NUM(uid), NUM(gid), NUM(cuid), NUM(cgid),
};
const struct img_table img_ipc_owner_table = IMG_TABLE(ipc_owner, perm_fields);
#undef T

#define T struct ipc_obj
static const struct img_field fields[] = {
	NUM(shmmax), NUM(shmall), NUM(shmmni), RANGE(shm_rmid_forced, 0, 1),
	NUM(msgmax), NUM(msgmnb), NUM(msgmni), NUM(semmsl),
	NUM(semmns), NUM(semopm), NUM(semmni),
};
static const struct img_table table = IMG_TABLE(ipc, fields);
#undef T

const struct img_kind img_ipc_kind = {.table = &table, .order = IMG_ONE};
