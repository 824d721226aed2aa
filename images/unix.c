// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/unix.pb-c.h"

#define T struct unix_obj
static const struct img_field fields[] = {
	NUM(id),
	NUM(type),
	RANGE(state, SOCK_ST_CLOSED, SOCK_ST_CONNECTED),
	BYTES(name, 108),
	PATH_OR_NULL(path),
	OCT(mode),
	NUM(uid),
	NUM(gid),
	NUM(owner_uid),
	NUM(owner_gid),
	NUM(accepted),
	NUM(peer),
	NUM(peer_gone),
	NUM(reset),
	NUM(peer_pid),
	NUM(peer_uid),
	NUM(peer_gid),
	NUM(backlog),
	RANGE(shutdown, 0, 3),
	LIST(options, img_sock_option_table, 256),
	LIST(queue, img_sock_packet_table, IMG_MAX_COUNT),
	NUMS(pending, IMG_MAX_COUNT),
};
static const struct img_table table = IMG_TABLE(unix, fields);
#undef T

const struct img_kind img_unix_kind = {.table = &table, .order = IMG_BY_ID};
