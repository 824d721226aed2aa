/* SPDX-License-Identifier: GPL-2.0-only */
/* The node's files, as ve/ sees them. */
#ifndef VERST_VE_NODE_H
#define VERST_VE_NODE_H

#include "include/verst.h"
#include "ve/ve.h"

/* include/verst.h's opaque handle of the node. */
struct verst {
	struct ve_node node;
};

/* DIR/fmt. Directories of a node leave at least 64 bytes for it (ve_node_init). */
void ve_node_path(char ret[static PATH_MAX], const char *dir, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

int ve_node_read_conf(const char *path, struct ve_conf *ret, struct err *err);
/* The global config, ETC/verst.conf; empty when there is none. */
int ve_node_conf(const struct ve_node *node, struct ve_conf *ret, struct err *err);

/* The id that s begins with, or 0 when there is none in the permitted range; *ret_end is behind its digits.
 */
unsigned ve_node_parse_id(const char *s, char **ret_end);

struct ve_ids {
	unsigned *at;
	size_t nr, cap;
};

/* Ids of all VEs that have a config, in no order. Free with vec_free. */
int ve_node_ids(const struct ve_node *node, struct ve_ids *ret, struct err *err);

#endif
