// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/cgroup.pb-c.h"

#define T struct cgroup_file
static const struct img_field file_fields[] = {
	TEXT(name, 255), TEXT_OR_NULL(value, CGROUP_VALUE_MAX), NUM(uid), NUM(gid), OCT(mode),
};
static const struct img_table file_table = IMG_TABLE(cgroup_file, file_fields);
#undef T

#define T struct cgroup_xattr
static const struct img_field xattr_fields[] = {TEXT(name, 255), BYTES(value, 65536)};
static const struct img_table xattr_table = IMG_TABLE(cgroup_xattr, xattr_fields);
#undef T

#define T struct cgroup_obj
static const struct img_field fields[] = {
	NUM(id),
	PATH(path),
	NUM(uid),
	NUM(gid),
	OCT(mode),
	LIST(files, file_table, 4096),
	LIST(xattrs, xattr_table, 4096),
};
static const struct img_table table = IMG_TABLE(cgroup, fields);
#undef T

const struct img_kind img_cgroup_kind = {.table = &table, .order = IMG_BY_ID};
