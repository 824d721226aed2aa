// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/fsent.pb-c.h"

#define T struct fsent_xattr
static const struct img_field xattr_fields[] = {TEXT(name, 255), BYTES(value, 65536)};
static const struct img_table xattr_table = IMG_TABLE(fsent_xattr, xattr_fields);
#undef T

#define T struct fsent_obj
static const struct img_field fields[] = {
	NUM(mount),
	RELATIVE(path),
	OCT(mode),
	NUM(uid),
	NUM(gid),
	NUM(major),
	NUM(minor),
	NUM(mtime_ns),
	TEXT_OR_NULL(symlink, IMG_MAX_PATH),
	RELATIVE_OR_NULL(hardlink),
	NUM(size_bytes),
	NUM(offset),
	BYTES(content, IMG_MAX_DATA),
	LIST(xattrs, xattr_table, 4096),
};
static const struct img_table table = IMG_TABLE(fsent, fields);
#undef T

/* A file is made as it arrives. */
static int check(const void *obj, struct err *err)
{
	return model_validate_fsent(obj, err);
}

const struct img_kind img_fsent_kind = {.table = &table, .order = IMG_APPENDED, .check = check};
