// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/mount.pb-c.h"

#define T struct mount_obj
static const struct img_field fields[] = {
	NUM(id),
	NUM(parent),
	PATH(mountpoint),
	TEXT(root, IMG_MAX_PATH),
	TEXT(fstype, 63),
	TEXT(source, IMG_MAX_PATH),
	TEXT(options, 4095),
	TEXT(super_options, 65536),
	NUM(dev_major),
	NUM(dev_minor),
	NUM(shared_group),
	NUM(master_group),
	NUM(made_by_boot),
};
static const struct img_table table = IMG_TABLE(mount, fields);
#undef T

const struct img_kind img_mount_kind = {.table = &table, .order = IMG_BY_ID};
