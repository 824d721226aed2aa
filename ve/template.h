/* SPDX-License-Identifier: GPL-2.0-only */
/* LIB/template/NAME: root/ (the tree VEs are laid over) and manifest (KEY="value"). */
#ifndef VERST_VE_TEMPLATE_H
#define VERST_VE_TEMPLATE_H

#include "include/verst.h"
#include "ve/ve.h"

struct ve_template {
	char root[PATH_MAX];
	struct ve_conf manifest; /* NAME KIND INIT ARCH DIGEST ... */
};

int template_check_name(const char *name, struct err *err);
int template_open(const struct ve_node *node, const char *name, struct ve_template *ret, struct err *err);
void template_close(struct ve_template *t);

/* Fingerprint in hex of all names, types, modes, owners, contents, links and xattrs below a directory; times
 * do not count. */
int template_digest(const char *root, char ret[static 33], struct err *err);

/* Fill an empty directory. */
int template_fill_busybox(const char *root, struct err *err);
int template_fill_debian(const char *root, const struct verst_template_opts *opts, struct err *err);

#endif
