// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/tty.pb-c.h"

#define T struct tty_obj
static const struct img_field fields[] = {
	NUM(id),
	NUM(console),
	NUM(index),
	HEX(iflag),
	HEX(oflag),
	HEX(cflag),
	HEX(lflag),
	NUM(line),
	NUM(ispeed),
	NUM(ospeed),
	BYTES(cc, 255),
	NUM(rows),
	NUM(cols),
	NUM(xpixel),
	NUM(ypixel),
	NUM(slave_locked),
	NUM(packet),
	NUM(exclusive),
	NUM(has_master),
	NUM(has_slave),
	NUM(uid),
	NUM(gid),
	OCT(mode),
	BYTES(to_slave, IMG_MAX_DATA),
	BYTES(to_master, IMG_MAX_DATA),
	NUM(slave_closed),
	NUM(stopped),
};
static const struct img_table table = IMG_TABLE(tty, fields);
#undef T

const struct img_kind img_tty_kind = {.table = &table, .order = IMG_BY_ID};
