// SPDX-License-Identifier: GPL-2.0-only
/* A VE as something that moves; contracts in include/verst.h. */
#include "include/verst.h"
#include "ve/ve.h"

void verst_ve_free(struct verst_ve *ve)
{
	free(ve->name);
	free(ve->conf);
	free(ve->template_name);
	free(ve->template_digest);
	free(ve->upper);
	*ve = (struct verst_ve){0};
}
