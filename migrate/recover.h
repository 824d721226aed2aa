/* SPDX-License-Identifier: GPL-2.0-only */
/* Ends what a died migration left, by its journal; include/verst.h has the contract. */
#ifndef VERST_MIGRATE_RECOVER_H
#define VERST_MIGRATE_RECOVER_H

#include "migrate/source.h"

int recover_ve(const struct source_means *means, struct verst *v, unsigned id, enum verst_recover_force force,
	       char **ret_what, struct err *err);

#endif
