// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/recover.h"

#include <string.h>

#define ASK_MS 15000

/* The way to the target as the journal has kept it. */
static void opts_of(const struct verst_journal *j, char *target, size_t cap, struct verst_migrate_opts *ret)
{
	snprintf(target, cap, strchr(j->host, ':') ? "%s@[%s]:%u" : "%s@%s:%u", j->user ? j->user : "root",
		 j->host, j->port);
	*ret = (struct verst_migrate_opts){.target = target,
					   .key_path = j->key_path,
					   .known_hosts = j->known_hosts,
					   .remote_root = j->remote_root,
					   .remote_verst = j->remote_verst};
}

static int it_is_here(const struct engine *engine, struct verst *v, const struct verst_journal *j,
		      bool forced, char **ret_what, struct err *err)
{
	/* asked again, the target gives the same answer: so the journal goes last. Forced, it must not be
	 * asked again. */
	if (forced && engine->journal_remove(v, j->id, j->migration, err))
		return -1;
	if (engine->unfreeze(v, j->id, err) ||
	    (!forced && engine->journal_remove(v, j->id, j->migration, err)))
		return -1;
	*ret_what = mem_printf("VE %u did not move: it is here", j->id);
	return 0;
}

static int it_is_there(const struct engine *engine, struct verst *v, const struct verst_journal *j,
		       char **ret_what, struct err *err)
{
	if (j->state == VERST_JOURNAL_DOUBT &&
	    engine->journal_step(v, j->id, j->migration, VERST_JOURNAL_DOUBT, VERST_JOURNAL_MOVED, err))
		return -1;
	if (source_drop(engine, v, j->id, j->migration, j->keep, err))
		return -1;
	*ret_what = mem_printf("VE %u has moved to %s: what was left here is removed", j->id,
			       j->host ? j->host : "another node");
	return 0;
}

static int in_doubt(const struct source_means *means, struct verst *v, const struct verst_journal *j,
		    enum verst_recover_force force, char **ret_what, struct err *err)
{
	bool committed = force == VERST_RECOVER_THERE;

	if (force == VERST_RECOVER_ASK) {
		struct verst_migrate_opts opts;
		char target[600];

		if (!j->host)
			return err_set(err, ERR_DOUBT,
				       "the journal of VE %u does not name the node it went to", j->id);
		opts_of(j, target, sizeof(target), &opts);
		if (means->ask(means->arg, &opts, j->migration, j->id, ASK_MS, &committed, err))
			return err_ctx(err, "VE %u", j->id);
	}
	if (fault_point("recover-asked", err))
		return -1;
	if (committed)
		return it_is_there(means->engine, v, j, ret_what, err);
	return it_is_here(means->engine, v, j, force == VERST_RECOVER_HERE, ret_what, err);
}

/* At the target, before the commit: it was never promised to anybody. */
static int half_here(const struct engine *engine, struct verst *v, const struct verst_journal *j,
		     char **ret_what, struct err *err)
{
	enum verst_journal_state state;

	if (engine->journal_resolve(v, j->id, j->migration, &state, err))
		return -1;
	if (state == VERST_JOURNAL_COMMITTED) {
		*ret_what = mem_printf("VE %u was committed just now: it is here", j->id);
		return 0;
	}
	if (engine->forget(v, j->id, err) || engine->journal_remove(v, j->id, j->migration, err))
		return -1;
	*ret_what = mem_printf("VE %u did not come here: what was left of it is removed", j->id);
	return 0;
}

int recover_ve(const struct source_means *means, struct verst *v, unsigned id, enum verst_recover_force force,
	       char **ret_what, struct err *err)
{
	struct verst_journal j;
	int ret = -1;

	if (means->engine->journal_read(v, id, &j, err))
		return -1;
	switch (j.state) {
	case VERST_JOURNAL_NONE:
		/* the journal is written before COMMIT is sent: without one it cannot have moved, and must
		 * not stand still */
		ret = means->engine->unfreeze(v, id, err);
		if (!ret)
			*ret_what = mem_printf("VE %u: nothing to recover", id);
		break;
	case VERST_JOURNAL_DOUBT:
		ret = in_doubt(means, v, &j, force, ret_what, err);
		break;
	case VERST_JOURNAL_MOVED:
		ret = it_is_there(means->engine, v, &j, ret_what, err);
		break;
	case VERST_JOURNAL_RECEIVING:
	case VERST_JOURNAL_ABORTED:
		ret = half_here(means->engine, v, &j, ret_what, err);
		break;
	case VERST_JOURNAL_COMMITTED:
		ret = means->engine->journal_settle(v, id, err);
		if (!ret)
			*ret_what = mem_printf("VE %u has moved here", id);
		break;
	}
	verst_journal_free(&j);
	return ret;
}
