// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/ve.pb-c.h"

#define T struct ve_obj
static const struct img_field fields[] = {
	NUM(id),
	TEXT(conf, 65536),
	TEXT(template_name, 255),
	TEXT(template_digest, 255),
	TEXT(hostname, 64),
	TEXT(domainname, 64),
	TEXT(kernel_release, 64),
	NUM(page_bytes),
	NUM(monotonic_ns),
	NUM(boottime_ns),
};
static const struct img_table table = IMG_TABLE(ve, fields);
#undef T

const struct img_kind img_ve_kind = {.table = &table, .order = IMG_ONE};
