// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/netns.pb-c.h"

#define ADDR_MAX_BYTES 32 /* MAX_ADDR_LEN */

#define T struct link_obj
static const struct img_field link_fields[] = {
	TEXT(name, 15), TEXT(kind, 31), NUM(index), NUM(mtu), HEX(flags), BYTES(mac, ADDR_MAX_BYTES),
};
static const struct img_table link_table = IMG_TABLE(link, link_fields);
#undef T

#define T struct addr_obj
static const struct img_field addr_fields[] = {
	TEXT(link, 15),
	NUM(family),
	NUM(prefix_len),
	NUM(scope),
	HEX(flags),
	BYTES(local, ADDR_MAX_BYTES),
	BYTES(peer, ADDR_MAX_BYTES),
	BYTES(broadcast, ADDR_MAX_BYTES),
	TEXT_OR_NULL(label, 15),
};
static const struct img_table addr_table = IMG_TABLE(addr, addr_fields);
#undef T

#define T struct route_obj
static const struct img_field route_fields[] = {
	NUM(family),
	NUM(table),
	NUM(type),
	NUM(scope),
	NUM(protocol),
	NUM(priority),
	HEX(flags),
	NUM(dst_len),
	NUM(src_len),
	NUM(tos),
	NUM(mtu),
	BYTES(dst, ADDR_MAX_BYTES),
	BYTES(gateway, ADDR_MAX_BYTES),
	BYTES(prefsrc, ADDR_MAX_BYTES),
	TEXT(link, 15),
};
static const struct img_table route_table = IMG_TABLE(route, route_fields);
#undef T

#define T struct sysctl_obj
static const struct img_field sysctl_fields[] = {RELATIVE(name), TEXT(value, 4095)};
static const struct img_table sysctl_table = IMG_TABLE(sysctl, sysctl_fields);
#undef T

#define T struct netns_obj
static const struct img_field fields[] = {
	LIST(links, link_table, 4096),
	LIST(addrs, addr_table, 65536),
	LIST(routes, route_table, IMG_MAX_COUNT),
	LIST(sysctls, sysctl_table, 4096),
};
static const struct img_table table = IMG_TABLE(netns, fields);
#undef T

const struct img_kind img_netns_kind = {.table = &table, .order = IMG_ONE};
