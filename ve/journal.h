/* SPDX-License-Identifier: GPL-2.0-only */
/* What of a migration must survive a crash; the contract is in include/verst.h. Here: what the VE's life asks
 * of it. */
#ifndef VERST_VE_JOURNAL_H
#define VERST_VE_JOURNAL_H

#include "include/verst.h"
#include "ve/ve.h"

/*
 * May this VE be brought up here? ERR_DOUBT when a migration has (perhaps) made it another node's, and,
 * except for the migration itself (`incoming`), when it is only half here.
 */
int ve_journal_may_boot(const struct ve_node *node, unsigned id, bool incoming, struct err *err);
/* Was the VE committed to this node? For the supervisor, when the restoring process is gone. */
bool ve_journal_committed(const struct ve_node *node, unsigned id);

/* The same as the verst_journal functions, for those who have no handle. */
int ve_journal_read(const struct ve_node *node, unsigned id, struct verst_journal *ret, struct err *err);
int ve_journal_write(const struct ve_node *node, const struct verst_journal *j, struct err *err);
int ve_journal_step(const struct ve_node *node, unsigned id, const char *migration,
		    enum verst_journal_state from, enum verst_journal_state to, struct err *err);
int ve_journal_remove(const struct ve_node *node, unsigned id, const char *migration, struct err *err);
size_t ve_journal_list(const struct ve_node *node, unsigned *ret_ids, size_t max);
int ve_journal_settle(const struct ve_node *node, unsigned id, struct err *err);
int ve_journal_resolve(const struct ve_node *node, unsigned id, const char *migration,
		       enum verst_journal_state *ret, struct err *err);
int ve_journal_forget(const struct ve_node *node, const char *migration, struct err *err);

#endif
