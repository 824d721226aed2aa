/* SPDX-License-Identifier: GPL-2.0-only */
/* The v2 cgroups that the VE made below its own. Paths begin at the VE's own, which is "/". */
#ifndef VERST_MODEL_CGROUP_H
#define VERST_MODEL_CGROUP_H

#include "model/base.h"

#define CGROUPS_MAX	 16384
#define CGROUP_DEPTH_MAX 64
#define CGROUP_VALUE_MAX 4095
#define CGROUP_FOREIGN	 UINT32_MAX /* as uid or gid: one of the node, which the VE has no number for */

/* A file of a cgroup that is not as a new one: its value, its owner or its mode. */
struct cgroup_file {
	char *name;
	char *value;		 /* without the newline at its end; NULL: as in a new cgroup */
	uint32_t uid, gid, mode; /* as the VE sees them */
};

struct cgroup_xattr {
	char *name; /* "user.*": no others can be set from inside */
	struct bytes value;
};

/* In ascending order of their paths, by strcmp: so parents come before their children. */
struct cgroup_obj {
	uint32_t id;
	char *path;
	uint32_t uid, gid, mode; /* of the directory; files that are not listed have the same owner */
	VEC(struct cgroup_file) files;
	VEC(struct cgroup_xattr) xattrs;
};

/* A file that takes back what it shows. */
struct cgroup_control {
	const char *name;    /* or a pattern as of fnmatch(3) */
	const char *initial; /* in a new cgroup */
	bool carried;	     /* else another value than the initial one cannot be carried */
};

/* NULL: nothing that is set is told by a file of this name. */
const struct cgroup_control *cgroup_control_of(const char *name);

/* Is the value that of a new cgroup? */
bool cgroup_is_initial(const struct cgroup_control *control, const char *value);

/* Does the VE's root own this file of the VE's own cgroup? All others there are the node's. */
bool cgroup_is_delegated(const char *name);

#endif
