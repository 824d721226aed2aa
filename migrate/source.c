// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/source.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>

#include "migrate/facts.h"
#include "migrate/peer.h"
#include "migrate/recover.h"

#define CONNECT_MS 15000
#define BUILD_MS   60000
#define COMMIT_MS  30000
#define ABORT_MS   30000
#define DOUBT_MS   30000

static void leave_phase(struct source *s)
{
	if (s->phase_begin_ns)
		s->stats.phase_ns[s->phase] += io_now_ns() - s->phase_begin_ns;
}

void source_enter(struct source *s, enum verst_migrate_phase phase)
{
	leave_phase(s);
	s->phase = phase;
	s->phase_begin_ns = io_now_ns();
	if (s->progress)
		s->progress(s->progress_arg,
			    &(struct verst_migrate_progress){.phase = phase, .begins = true});
}

/* --- preflight --- */

/* An earlier one that died between the VE's going on and the removal of its journal: that is made up for
 * first. */
static int end_earlier(struct source *s, struct err *err)
{
	struct verst_journal j;
	_free_ char *what = NULL;
	bool unfinished;

	if (s->engine->journal_read(s->v, s->ve.id, &j, err))
		return -1;
	unfinished = j.state == VERST_JOURNAL_DOUBT || j.state == VERST_JOURNAL_MOVED;
	verst_journal_free(&j);
	return unfinished ? recover_ve(s->means, s->v, s->ve.id, VERST_RECOVER_ASK, &what, err) : 0;
}

static int gather(struct source *s, const char *id_or_name, struct msg_preflight *m, struct findings *found,
		  struct err *err)
{
	struct verst_findings here = {0};
	struct filetree tree;

	if (s->engine->describe(s->v, id_or_name, &s->ve, err) || end_earlier(s, err))
		return -1;
	if (!s->ve.running)
		return err_set(err, ERR_NOT_RUNNING, "VE %u does not run: there is nothing to move live",
			       s->ve.id);
	s->upper_fd = open(s->ve.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->upper_fd < 0)
		return err_sys(err, "%s", s->ve.upper);
	if (s->engine->check_ve(s->v, id_or_name, &here, err))
		return -1;
	facts_take_findings(found, &here);
	if (filetree_look(s->upper_fd, &tree, err))
		return -1;
	m->ve = s->ve;
	m->files_bytes = tree.bytes;
	m->memory_bytes = s->ve.memory_bytes;
	filetree_free(&tree);
	facts_cpu(&m->cpu);
	return facts_features(s->engine, s->v, &m->features, err);
}

static int ask_far(struct source *s, const struct msg_preflight *m, struct findings *found, struct err *err)
{
	struct findings there = {0};
	struct pump_frame f;
	struct buf b = {0};
	int ret;

	msg_put_preflight(&b, m);
	if (peer_send(s->pump, FRAME_PREFLIGHT, &b, err) ||
	    peer_await(s->pump, FRAME_FINDINGS, PEER_ANSWER_MS, &f, err))
		return -1;
	ret = msg_get_findings(&(struct frame){f.type, f.body, f.len_bytes}, &there, err);
	free(f.body);
	vec_each(it, &there.list) {
		char where[300];

		snprintf(where, sizeof(where), "there: %.250s", it->where);
		findings_add(found, where, it->hint, "%s", it->what);
	}
	findings_free(&there);
	return ret;
}

static void give_findings(struct findings *from, struct verst_findings *ret)
{
	struct verst_findings out = {mem_realloc_array(NULL, from->list.nr, sizeof(*out.at)), 0};

	vec_each(it, &from->list)
		out.at[out.nr++] = (struct verst_finding){ptr_take(&it->where), ptr_take(&it->what),
							  ptr_take(&it->hint)};
	findings_free(from);
	*ret = out;
}

static int preflight(struct source *s, const char *id_or_name, struct verst_findings *ret_findings,
		     struct err *err)
{
	struct msg_preflight m = {0};
	struct findings found = {0};
	int ret;

	ret = gather(s, id_or_name, &m, &found, err);
	if (!ret) {
		source_enter(s, VERST_MIGRATE_CONNECT);
		ret = s->means->open(s->means->arg, s->opts, CONNECT_MS, &s->pump, err);
	}
	if (!ret)
		ret = fault_point("migrate-hello", err);
	if (!ret) {
		source_enter(s, VERST_MIGRATE_PREFLIGHT);
		ret = ask_far(s, &m, &found, err);
	}
	if (!ret)
		ret = fault_point("migrate-preflight", err);
	if (!ret && found.list.nr)
		ret = err_set(err, ERR_OBSTACLES, "VE %u cannot move to %s as it is", s->ve.id,
			      s->opts->target);
	m.ve = (struct verst_ve){0}; /* s->ve owns it */
	msg_free_preflight(&m);
	give_findings(&found, ret_findings);
	return ret;
}

static int prepare(struct source *s, struct err *err)
{
	uint8_t id[MSG_ID_BYTES];
	struct pump_frame f;
	struct buf b = {0};
	int ret;

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return err_sys(err, "random bytes");
	for (size_t i = 0; i < sizeof(id); i++)
		sprintf(s->migration + 2 * i, "%02x", id[i]);
	msg_put_id_of(&b, s->migration, s->ve.id);
	if (peer_send(s->pump, FRAME_PREPARE, &b, err) ||
	    peer_await(s->pump, FRAME_PREPARED, PEER_ANSWER_MS, &f, err))
		return -1;
	ret = msg_get_text(&(struct frame){f.type, f.body, f.len_bytes}, &s->far_upper, err);
	free(f.body);
	if (!ret && (s->far_upper[0] != '/' || strlen(s->far_upper) < 2))
		return err_set(err, ERR_PROTOCOL, "PREPARED: '%.100s' is no directory for the files",
			       s->far_upper);
	return ret;
}

/* --- frozen --- */

static int on_frozen(void *arg, struct err *err)
{
	struct source *s = arg;

	/* everything must have arrived before the objects that name files: they follow in the stream when
	 * this returns */
	if (fault_point("migrate-frozen", err) || (source_files_timeless(s) && source_files_shared(s, err)) ||
	    source_files_catch_up(s, err))
		return -1;
	return pump_flush(s->pump, err);
}

static int write_journal(struct source *s, enum verst_journal_state state, struct err *err)
{
	struct verst_journal j = {.id = s->ve.id, .state = state, .keep = s->opts->keep};
	struct ssh_target t = {0};
	int ret;

	if (peer_target(s->opts, &t, err))
		return -1;
	memcpy(j.migration, s->migration, sizeof(j.migration));
	j.user = t.user;
	j.host = t.host;
	j.port = t.port;
	j.key_path = t.key_path;
	j.known_hosts = t.known_hosts;
	j.remote_root = (char *)s->opts->remote_root;
	j.remote_verst = (char *)s->opts->remote_verst;
	ret = s->engine->journal_write(s->v, &j, err);
	ssh_target_free(&t);
	return ret;
}

/* Before, a signal that ends us is safe: the VE runs on. In here it would leave the outcome to be asked for.
 */
static void hold_signals(struct source *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, &s->old_signals);
	s->signals_held = true;
}

/* From here on the VE stands still even if this process dies, and the journal says whom to ask. */
static int prepare_commit(struct source *s, struct err *err)
{
	hold_signals(s);
	if (s->engine->dump_commit_begin(s->dump, err) || fault_point("migrate-commit-begin", err))
		return -1;
	s->in_doubt = true;
	return write_journal(s, VERST_JOURNAL_DOUBT, err);
}

static int freeze(struct source *s, struct err *err)
{
	struct pump_frame f;
	struct verst_round last;
	struct buf none = {0};

	/* what was written since the last round's pass goes while the VE still runs, as well as what is
	 * mapped shared */
	if (source_files_shared(s, err) || source_files_catch_up(s, err))
		return -1;
	pump_limit(s->pump, 0);
	source_enter(s, VERST_MIGRATE_FREEZE);
	s->frozen_at_ns = io_now_ns();
	s->engine->dump_on_frozen(s->dump, on_frozen, s);
	if (s->engine->dump_freeze(s->dump, &last, err) || pump_stream_end(s->pump, err))
		return -1;
	source_enter(s, VERST_MIGRATE_BUILD);
	/* what our side of the commit takes (a lease, a journal on disk) is done while the far side builds */
	if (peer_send(s->pump, FRAME_STREAM_END, &none, err) || prepare_commit(s, err) ||
	    peer_await(s->pump, FRAME_READY, BUILD_MS, &f, err))
		return -1;
	free(f.body);
	return fault_point("migrate-ready", err);
}

/* --- commit --- */

static int take_done(struct source *s, struct err *err)
{
	struct pump_frame f;
	struct msg_done done;
	int failed;

	if (peer_await(s->pump, FRAME_DONE, COMMIT_MS, &f, err))
		return -1;
	failed = msg_get_done(&(struct frame){f.type, f.body, f.len_bytes}, &done, err);
	free(f.body);
	if (failed)
		return -1;
	s->stats.thaw_ns = (int64_t)done.thaw_ns;
	snprintf(s->stats.warning, sizeof(s->stats.warning), "%s", done.warning);
	free(done.warning);
	return 0;
}

/* COMMIT went out and no DONE came. 0: it is there; -1: it is here and runs on (the engine's handle is gone),
 * or ERR_DOUBT. */
static int resolve(struct source *s, struct err *err)
{
	struct err ask_err = ERR_INIT, ignored = ERR_INIT;
	int doubt_ms = s->opts->doubt_ms ? (int)s->opts->doubt_ms : DOUBT_MS;
	bool committed;

	pump_stop(ptr_take(&s->pump));
	if (s->means->ask(s->means->arg, s->opts, s->migration, s->ve.id, doubt_ms, &committed, &ask_err)) {
		/* neither freed nor ended: the VE stays frozen when this process ends, and its supervisor
		 * goes on asking */
		s->dump = NULL;
		return err_set(err, ERR_DOUBT,
			       "VE %u stands still: whether it runs on %s is not known (%.300s); it is asked "
			       "again until it "
			       "answers, see verst-recover(8)",
			       s->ve.id, s->opts->target, ask_err.msg);
	}
	if (committed) {
		err_clear(err);
		return 0;
	}
	s->in_doubt = false;
	if (s->engine->dump_resume(ptr_take(&s->dump), &ignored))
		log_warn("%s", ignored.msg);
	if (s->engine->journal_remove(s->v, s->ve.id, s->migration, &ignored))
		log_warn("%s", ignored.msg);
	return err_ctx(err, "the far side did not take it, VE %u runs on here", s->ve.id);
}

static int commit(struct source *s, struct err *err)
{
	struct buf b = {0};

	source_enter(s, VERST_MIGRATE_COMMIT);
	if (fault_point("migrate-before-commit", err))
		return -1;
	msg_put_id(&b, s->migration);
	if (peer_send(s->pump, FRAME_COMMIT, &b, err))
		return -1; /* the link was broken before: it never went out */
	if (pump_flush(s->pump, err) || fault_point("migrate-commit-sent", err) || take_done(s, err)) {
		if (resolve(s, err))
			return -1;
	}
	s->stats.frozen_ns = io_now_ns() - s->frozen_at_ns;
	return 0;
}

int source_drop(const struct engine *engine, struct verst *v, unsigned id, const char *migration, bool keep,
		struct err *err)
{
	if (engine->drop(v, id, keep, err))
		return -1;
	return engine->journal_remove(v, id, migration, err);
}

/* It lives there. What fails from here on leaves remains here, never two VEs: the journal says so. */
static int drop(struct source *s, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct buf b = {0};

	source_enter(s, VERST_MIGRATE_DROP);
	if (s->engine->journal_step(s->v, s->ve.id, s->migration, VERST_JOURNAL_DOUBT, VERST_JOURNAL_MOVED,
				    err) ||
	    fault_point("migrate-before-drop", err))
		return -1;
	msg_put_id(&b, s->migration);
	if (s->pump && (peer_send(s->pump, FRAME_FORGET, &b, &ignored) || pump_flush(s->pump, &ignored)))
		log_debug("%s", ignored.msg);
	buf_free(&b);
	if (s->engine->dump_kill(ptr_take(&s->dump), err))
		return -1;
	return source_drop(s->engine, s->v, s->ve.id, s->migration, s->opts->keep, err);
}

/* --- all of it --- */

/* The VE first: each millisecond here is its clients'. Then the far side, so that nothing is left there. */
static void give_up(struct source *s, const struct err *why)
{
	struct err ignored = ERR_INIT;
	struct pump_frame f;
	struct buf b = {0};

	if (s->dump && s->in_doubt) {
		if (s->engine->dump_resume(ptr_take(&s->dump), &ignored))
			log_warn("%s", ignored.msg);
		if (s->engine->journal_remove(s->v, s->ve.id, s->migration, &ignored))
			log_warn("%s", ignored.msg);
	} else if (s->dump) {
		s->engine->dump_abort(ptr_take(&s->dump));
	}
	if (!s->pump)
		return;
	msg_put_text(&b, why->msg);
	if (!peer_send(s->pump, FRAME_ABORT, &b, &ignored)) {
		/* an ERROR (the answer to our ABORT, or what ended it all) comes before */
		while (!pump_recv(s->pump, ABORT_MS, &f, &ignored)) {
			bool last = f.type == FRAME_ABORTED;

			free(f.body);
			if (last)
				break;
		}
	}
}

/* Our side often only notices that nobody takes what it sends; what really happened the far side has said. */
static void far_cause(struct source *s, struct err *err)
{
	struct err theirs = ERR_INIT, ignored = ERR_INIT;
	struct pump_frame f;

	if (!s->pump || !pump_refused(s->pump)) {
		if (s->pump && err->sys_errno == EPIPE)
			pump_broken(s->pump, err);
		return;
	}
	while (!pump_recv(s->pump, 0, &f, &ignored)) {
		if (f.type == FRAME_ERROR &&
		    !msg_get_error(&(struct frame){f.type, f.body, f.len_bytes}, &theirs, &ignored))
			err_set(err, theirs.code, "there: %.900s", theirs.msg);
		free(f.body);
		if (f.type == FRAME_ERROR)
			return;
	}
}

static int steps(struct source *s, const char *id_or_name, struct verst_findings *ret_findings,
		 struct err *err)
{
	if (preflight(s, id_or_name, ret_findings, err))
		return -1;
	if (s->opts->dry_run)
		return 0;
	if (prepare(s, err) || source_files_copy(s, err))
		return -1;
	verst_findings_free(ret_findings);
	*ret_findings = (struct verst_findings){0};
	return source_memory(s, ret_findings, err) || freeze(s, err) || commit(s, err) ? -1 : 0;
}

int source_migrate(const struct source_means *means, struct verst *v, const char *id_or_name,
		   const struct verst_migrate_opts *opts,
		   void (*progress)(void *arg, const struct verst_migrate_progress *p), void *arg,
		   struct verst_migrate_stats *ret_stats, struct verst_findings *ret_findings,
		   struct err *err)
{
	struct source s = {.means = means,
			   .engine = means->engine,
			   .v = v,
			   .opts = opts,
			   .upper_fd = -1,
			   .begin_ns = io_now_ns(),
			   .progress = progress,
			   .progress_arg = arg};
	int ret;

	*ret_findings = (struct verst_findings){0};
	ret = steps(&s, id_or_name, ret_findings, err);
	if (ret)
		far_cause(&s, err);
	if (ret && err->code != ERR_DOUBT)
		give_up(&s, err);
	else if (!ret && !opts->dry_run && drop(&s, err))
		ret = err_ctx(
			err,
			"VE %u runs on %s now, but what is left here could not be removed (verst recover %u)",
			s.ve.id, opts->target, s.ve.id);
	leave_phase(&s);
	s.stats.stream_bytes = s.pump ? pump_sent_bytes(s.pump) : 0;
	s.stats.total_ns = io_now_ns() - s.begin_ns;
	*ret_stats = s.stats;
	pump_stop(s.pump);
	filesend_end(&s.files);
	verst_ve_free(&s.ve);
	free(s.far_upper);
	if (s.upper_fd >= 0)
		close(s.upper_fd);
	if (s.signals_held)
		pthread_sigmask(SIG_SETMASK, &s.old_signals, NULL);
	return ret;
}
