// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>

#include "include/verst.h"

void verst_findings_free(struct verst_findings *f)
{
	for (unsigned long i = 0; i < f->nr; i++) {
		free(f->at[i].where);
		free(f->at[i].what);
		free(f->at[i].hint);
	}
	free(f->at);
	*f = (struct verst_findings){0};
}
