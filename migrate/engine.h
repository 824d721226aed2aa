/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the migration asks of the rest of libverst, as a table: engine_libverst in use, a small imitation in
 * the tests of the protocol. Contracts: include/verst.h.
 */
#ifndef VERST_MIGRATE_ENGINE_H
#define VERST_MIGRATE_ENGINE_H

#include "include/verst.h"
#include "lib/lib.h"

struct engine {
	int (*describe)(struct verst *v, const char *id_or_name, struct verst_ve *ret, struct err *err);
	int (*check_ve)(struct verst *v, const char *id_or_name, struct verst_findings *ret, struct err *err);
	int (*check_node)(struct verst *v, struct verst_findings *ret, struct err *err);
	int (*shared_files)(struct verst *v, unsigned id, void (*fn)(void *arg, const char *path), void *arg,
			    struct err *err);
	int (*commit_prepare)(struct verst *v, unsigned id, struct err *err);
	int (*room)(struct verst *v, const struct verst_ve *ve, uint64_t files_bytes,
		    struct verst_findings *ret, struct err *err);
	int (*adopt)(struct verst *v, unsigned id, const char *conf, char **ret_upper, struct err *err);
	int (*forget)(struct verst *v, unsigned id, struct err *err);
	int (*drop)(struct verst *v, unsigned id, bool keep, struct err *err);
	int (*unfreeze)(struct verst *v, unsigned id, struct err *err);

	int (*dump_open)(struct verst *v, const char *id_or_name, int out_fd,
			 const struct verst_dump_opts *opts, struct verst_dump **ret,
			 struct verst_findings *ret_findings, struct err *err);
	int (*dump_round)(struct verst_dump *d, struct verst_round *ret, struct err *err);
	int (*dump_freeze)(struct verst_dump *d, struct verst_round *ret, struct err *err);
	void (*dump_on_frozen)(struct verst_dump *d, int (*fn)(void *arg, struct err *err), void *arg);
	int (*dump_commit_begin)(struct verst_dump *d, struct err *err);
	void (*dump_stats)(const struct verst_dump *d, struct verst_dump_stats *ret);
	int (*dump_resume)(struct verst_dump *d, struct err *err);
	int (*dump_kill)(struct verst_dump *d, struct err *err);
	void (*dump_abort)(struct verst_dump *d);

	int (*restore_open)(struct verst *v, int in_fd, const struct verst_restore_opts *opts,
			    struct verst_restore **ret, struct err *err);
	int (*restore_run)(struct verst_restore *r, struct err *err);
	void (*restore_root_fd)(const struct verst_restore *r, int *ret_fd, unsigned *ret_uid_base);
	void (*restore_stats)(const struct verst_restore *r, struct verst_restore_stats *ret);
	int (*restore_commit)(struct verst_restore *r, struct err *err);
	void (*restore_abort)(struct verst_restore *r);

	int (*journal_read)(struct verst *v, unsigned id, struct verst_journal *ret, struct err *err);
	int (*journal_write)(struct verst *v, const struct verst_journal *j, struct err *err);
	int (*journal_step)(struct verst *v, unsigned id, const char *migration,
			    enum verst_journal_state from, enum verst_journal_state to, struct err *err);
	int (*journal_remove)(struct verst *v, unsigned id, const char *migration, struct err *err);
	int (*journal_settle)(struct verst *v, unsigned id, struct err *err);
	int (*journal_resolve)(struct verst *v, unsigned id, const char *migration,
			       enum verst_journal_state *ret, struct err *err);
	int (*journal_forget)(struct verst *v, const char *migration, struct err *err);
};

extern const struct engine engine_libverst;

#endif
