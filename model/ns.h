/* SPDX-License-Identifier: GPL-2.0-only */
/* Mounts, files of tmpfs mounts, network devices, addresses and routes. */
#ifndef VERST_MODEL_NS_H
#define VERST_MODEL_NS_H

#include "model/base.h"

struct mount_obj {
	mount_id id, parent;
	char *mountpoint; /* in the VE's root */
	char *root;	  /* of the mount within its filesystem */
	char *fstype, *source, *options, *super_options;
	uint32_t dev_major, dev_minor;
	uint32_t shared_group, master_group;
	bool made_by_boot; /* every VE has it */
};

struct fsent_xattr {
	char *name;
	struct bytes value;
};

/* One file of a tmpfs, or a piece of one: pieces of a large file follow each other. Also used by migrations.
 */
struct fsent_obj {
	mount_id mount;
	char *path; /* below the mount's root, "" for the root itself */
	uint32_t mode, uid, gid;
	uint32_t major, minor;
	int64_t mtime_ns;
	char *symlink;
	char *hardlink; /* an earlier path of the same file */
	uint64_t size_bytes, offset;
	struct bytes content;
	VEC(struct fsent_xattr) xattrs;
};

struct link_obj {
	char *name, *kind;	    /* kind "" for lo, "veth" for the venet */
	uint32_t index, mtu, flags; /* IFF_UP, IFF_NOARP, ... */
	struct bytes mac;
};

struct addr_obj {
	char *link;
	int32_t family;
	uint32_t prefix_len, scope, flags;
	struct bytes local, peer, broadcast;
	char *label;
};

struct route_obj {
	int32_t family;
	uint32_t table, type, scope, protocol, priority, flags, dst_len, src_len, tos, mtu;
	struct bytes dst, gateway, prefsrc;
	char *link;
};

struct sysctl_obj {
	char *name, *value; /* below /proc/sys/net/ */
};

struct netns_obj {
	VEC(struct link_obj) links;
	VEC(struct addr_obj) addrs;
	VEC(struct route_obj) routes;
	VEC(struct sysctl_obj) sysctls;
};

#endif
