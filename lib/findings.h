/* SPDX-License-Identifier: GPL-2.0-only */
/* A list of what was found wrong (or noteworthy), each with its place and, where there is one, the way out.
 */
#ifndef VERST_LIB_FINDINGS_H
#define VERST_LIB_FINDINGS_H

#include "lib/vec.h"

struct finding {
	char *where, *what, *hint; /* hint may be NULL */
};

/* The same layout as struct verst_findings of include/verst.h, plus the room behind it. */
typedef VEC(struct finding) findings_vec;

struct findings {
	findings_vec list;
};

void findings_add(struct findings *f, const char *where, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void findings_free(struct findings *f);

#endif
