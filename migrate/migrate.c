// SPDX-License-Identifier: GPL-2.0-only
/* The public interface of the migration, on top of its parts. */
#include "migrate/agent.h"
#include "migrate/peer.h"
#include "migrate/recover.h"
#include "migrate/source.h"

const struct engine engine_libverst = {
	.describe = verst_ve_describe,
	.check_ve = verst_check_ve,
	.check_node = verst_check_node,
	.shared_files = verst_ve_shared_files,
	.commit_prepare = verst_ve_commit_prepare,
	.room = verst_ve_room,
	.adopt = verst_ve_adopt,
	.forget = verst_ve_forget,
	.drop = verst_ve_drop,
	.unfreeze = verst_ve_unfreeze,
	.dump_open = verst_dump_open,
	.dump_round = verst_dump_round,
	.dump_freeze = verst_dump_freeze,
	.dump_on_frozen = verst_dump_on_frozen,
	.dump_commit_begin = verst_dump_commit_begin,
	.dump_stats = verst_dump_stats,
	.dump_resume = verst_dump_resume,
	.dump_kill = verst_dump_kill,
	.dump_abort = verst_dump_abort,
	.restore_open = verst_restore_open,
	.restore_run = verst_restore_run,
	.restore_root_fd = verst_restore_root_fd,
	.restore_stats = verst_restore_stats,
	.restore_commit = verst_restore_commit,
	.restore_abort = verst_restore_abort,
	.journal_read = verst_journal_read,
	.journal_write = verst_journal_write,
	.journal_step = verst_journal_step,
	.journal_remove = verst_journal_remove,
	.journal_settle = verst_journal_settle,
	.journal_resolve = verst_journal_resolve,
	.journal_forget = verst_journal_forget,
};

static int ssh_open(void *arg, const struct verst_migrate_opts *opts, int timeout_ms, struct pump **ret,
		    struct err *err)
{
	return peer_open(opts, timeout_ms, ret, err);
}

static int ssh_ask(void *arg, const struct verst_migrate_opts *opts, const char *migration, unsigned ve,
		   int timeout_ms, bool *ret_committed, struct err *err)
{
	return peer_ask(opts, migration, ve, timeout_ms, ret_committed, err);
}

static int ssh_copy(void *arg, const struct rsync_job *job, uint64_t *ret_bytes, struct err *err)
{
	return rsync_run(job, ret_bytes, err);
}

const struct source_means source_ssh = {&engine_libverst, ssh_open, ssh_ask, ssh_copy, NULL};

int verst_migrate(struct verst *v, const char *id_or_name, const struct verst_migrate_opts *opts,
		  void (*progress)(void *arg, const struct verst_migrate_progress *p), void *arg,
		  struct verst_migrate_stats *ret_stats, struct verst_findings *ret_findings, struct err *err)
{
	return source_migrate(&source_ssh, v, id_or_name, opts, progress, arg, ret_stats, ret_findings, err);
}

int verst_agent(struct verst *v, int in_fd, int out_fd, struct err *err)
{
	return agent_guarded(&engine_libverst, v, in_fd, out_fd, err);
}

int verst_recover(struct verst *v, unsigned id, enum verst_recover_force force, char **ret_what,
		  struct err *err)
{
	return recover_ve(&source_ssh, v, id, force, ret_what, err);
}
