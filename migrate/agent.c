// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/agent.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "migrate/builder.h"
#include "migrate/facts.h"
#include "migrate/fileapply.h"
#include "migrate/msg.h"

#define IDLE_MS	      120000 /* the source says something at least every few seconds */
#define ROOT_MS	      30000
#define FORGET_MS     10000
#define READY_LOOK_MS 500
#define READ_BYTES    (256 * 1024)

/* What the guard has to know when the worker is gone; shared memory. */
struct agent_mark {
	unsigned journal; /* the VE that has our journal here; 0: none */
	unsigned ve;	  /* the VE of which more is here; 0: nothing, and nothing of that id is ours */
	char migration[33];
};

struct agent {
	const struct engine *engine;
	struct verst *v;
	int in_fd, out_fd;
	enum agent_state state;
	int silent_ms;
	struct frame_parser in;
	uint32_t out_seq;
	struct agent_mark *mark;
	struct builder *builder;
	bool built; /* the engine is done, which it may be before the frame that ends the stream is here */
	struct fileapply files;
	bool files_open;
	struct msg_preflight would; /* what was checked */
	unsigned ve;
	char migration[33];
};

#define BIT(type) (1u << (type))

static const uint32_t expected[AGENT_NR_STATES] = {
	[AGENT_START] = BIT(FRAME_HELLO),
	[AGENT_GREETED] = BIT(FRAME_PREFLIGHT) | BIT(FRAME_ASK) | BIT(FRAME_ABORT) | BIT(FRAME_SYNC),
	[AGENT_CHECKED] = BIT(FRAME_PREPARE) | BIT(FRAME_ABORT) | BIT(FRAME_SYNC),
	[AGENT_FILES] = BIT(FRAME_STREAM) | BIT(FRAME_SYNC) | BIT(FRAME_ABORT),
	[AGENT_STREAMING] = BIT(FRAME_STREAM) | BIT(FRAME_STREAM_END) | BIT(FRAME_FILE) | BIT(FRAME_SYNC) |
			    BIT(FRAME_ABORT),
	[AGENT_BUILDING] = BIT(FRAME_SYNC) | BIT(FRAME_ABORT),
	[AGENT_READY] = BIT(FRAME_COMMIT) | BIT(FRAME_SYNC) | BIT(FRAME_ABORT),
	[AGENT_COMMITTED] = BIT(FRAME_FORGET),
	[AGENT_OVER] = 0,
};

bool agent_expects(enum agent_state state, enum frame_type type)
{
	return state < AGENT_NR_STATES && type < FRAME_TYPE_END && (expected[state] & BIT(type));
}

/* --- sending --- */

static int send_frame(struct agent *a, enum frame_type type, struct buf *body, struct err *err)
{
	struct buf out = {0};
	int ret;

	frame_put(&out, type, a->out_seq++, body->at, body->len_bytes);
	ret = io_write_full(a->out_fd, out.at, out.len_bytes, err);
	buf_free(&out);
	buf_free(body);
	return ret ? err_ctx(err, "answer %s", frame_name(type)) : 0;
}

static int send_number(struct agent *a, enum frame_type type, uint64_t n, struct err *err)
{
	struct buf b = {0};

	msg_put_number(&b, n);
	return send_frame(a, type, &b, err);
}

/* --- frames, in the order in which they come --- */

static int on_hello(struct agent *a, const struct frame *f, struct err *err)
{
	struct msg_hello theirs, ours;
	struct buf b = {0};

	if (msg_get_hello(f, &theirs, err))
		return -1;
	facts_hello(&ours);
	msg_put_hello(&b, &ours);
	a->state = AGENT_GREETED;
	/* both sides compare, each for its own error message; the one that finds the difference ends it */
	if (send_frame(a, FRAME_HELLO, &b, err) || facts_compare_hello(&ours, &theirs, err)) {
		msg_free_hello(&ours);
		msg_free_hello(&theirs);
		return -1;
	}
	log_info("migration from %s (verst %s, %s)", theirs.node, theirs.version, theirs.kernel);
	msg_free_hello(&ours);
	msg_free_hello(&theirs);
	return 0;
}

static int on_preflight(struct agent *a, const struct frame *f, struct err *err)
{
	struct findings found = {0};
	struct msg_preflight m;
	struct buf b = {0};
	int ret;

	if (msg_get_preflight(f, &m, err))
		return -1;
	ret = fault_point("agent-preflight", err);
	if (!ret)
		ret = facts_obstacles(a->engine, a->v, &m, &found, err);
	if (!ret) {
		msg_put_findings(&b, &found);
		if (!found.list.nr) {
			a->state = AGENT_CHECKED;
			a->ve = m.ve.id;
			msg_free_preflight(&a->would);
			a->would = m;
			m = (struct msg_preflight){0};
		}
		ret = send_frame(a, FRAME_FINDINGS, &b, err);
	}
	findings_free(&found);
	msg_free_preflight(&m);
	return ret;
}

/* The journal keeps others from taking the id; only then "nothing of that id is here" can be relied on. */
static int reserve(struct agent *a, struct err *err)
{
	struct verst_journal j = {.id = a->ve, .state = VERST_JOURNAL_RECEIVING};
	struct findings found = {0};
	int ret;

	memcpy(j.migration, a->migration, sizeof(j.migration));
	memcpy(a->mark->migration, a->migration, sizeof(a->migration));
	a->mark->journal = a->ve;
	if (a->engine->journal_write(a->v, &j, err))
		return -1;
	ret = facts_room(a->engine, a->v, &a->would, &found, err);
	if (!ret && found.list.nr)
		ret = err_set(err, ERR_EXISTS, "%s: %s", found.list.at[0].where, found.list.at[0].what);
	findings_free(&found);
	return ret;
}

static int on_prepare(struct agent *a, const struct frame *f, struct err *err)
{
	_free_ char *upper = NULL;
	struct buf b = {0};
	uint32_t ve;

	if (msg_get_id_of(f, a->migration, &ve, err))
		return -1;
	if (ve != a->ve)
		return err_set(err, ERR_PROTOCOL, "PREPARE: VE %u was not checked", ve);
	if (fault_point("agent-prepare", err))
		return -1;
	a->state = AGENT_FILES;
	if (reserve(a, err))
		return -1;
	/* from here on there is a VE to undo, whoever dies */
	a->mark->ve = ve;
	if (a->engine->adopt(a->v, ve, a->would.ve.conf, &upper, err))
		return -1;
	if (fault_point("agent-prepared", err))
		return -1;
	msg_put_text(&b, upper);
	return send_frame(a, FRAME_PREPARED, &b, err);
}

static int on_stream(struct agent *a, const struct frame *f, struct err *err)
{
	if (a->state == AGENT_FILES) {
		if (builder_start(a->engine, a->v, &a->builder, err))
			return -1;
		a->state = AGENT_STREAMING;
	}
	return builder_feed(a->builder, f->body, f->len_bytes, err);
}

static int answer_ready(struct agent *a, struct err *err)
{
	struct verst_restore_stats stats;
	struct buf b = {0};

	if (a->files_open)
		fileapply_end(&a->files);
	a->files_open = false;
	if (fault_point("agent-ready", err))
		return -1;
	a->state = AGENT_READY;
	builder_stats(a->builder, &stats);
	msg_put_ready(&b, &(struct msg_ready){stats.pages, (uint64_t)stats.ready_ns});
	return send_frame(a, FRAME_READY, &b, err);
}

static int on_stream_end(struct agent *a, const struct frame *f, struct err *err)
{
	builder_feed_end(a->builder);
	a->state = AGENT_BUILDING;
	return a->built ? answer_ready(a, err) : 0;
}

/* The engine is done, well or not. */
static int on_built(struct agent *a, struct err *err)
{
	if (builder_await_ready(a->builder, err))
		return -1;
	a->built = true;
	return a->state == AGENT_BUILDING ? answer_ready(a, err) : 0;
}

static int on_file(struct agent *a, const struct frame *f, struct err *err)
{
	unsigned uid_base = 0;
	int root_fd = -1;

	if (!a->files_open) {
		if (builder_await_root(a->builder, ROOT_MS, &root_fd, &uid_base, err))
			return -1;
		fileapply_begin(&a->files, root_fd, uid_base);
		a->files_open = true;
	}
	if (fault_point("agent-file", err))
		return -1;
	return fileapply_op(&a->files, f->body, f->len_bytes, err);
}

static int on_sync(struct agent *a, const struct frame *f, struct err *err)
{
	uint64_t cookie;

	return msg_get_number(f, &cookie, err) ? -1 : send_number(a, FRAME_SYNCED, cookie, err);
}

/*
 * Committed, but it could not be let run, and the engine has removed it. Nobody was told of the commit yet,
 * so that it can be taken back; the source asks, and keeps the VE. (Were it to ask within these few
 * microseconds it would hear that the VE is here: it asks only when the link is broken.)
 */
static int take_back(struct agent *a, struct err *err)
{
	struct err journal_err = ERR_INIT;

	if (!a->engine->journal_step(a->v, a->ve, a->migration, VERST_JOURNAL_COMMITTED,
				     VERST_JOURNAL_ABORTED, &journal_err))
		a->state = AGENT_BUILDING;
	else
		log_warn("%s", journal_err.msg);
	return -1;
}

/* The commit point is the journal's step: before it all is undone, after it nothing. */
static int on_commit(struct agent *a, const struct frame *f, struct err *err)
{
	int64_t begin_ns = io_now_ns();
	struct msg_done done = {.warning = (char *)""};
	struct err thaw_err = ERR_INIT; /* of what cannot fail the commit any more */
	struct buf b = {0};
	char id[33];
	int ret;

	if (msg_get_id(f, id, err))
		return -1;
	if (strcmp(id, a->migration))
		return err_set(err, ERR_PROTOCOL, "COMMIT of another migration");
	if (fault_point("agent-commit", err) ||
	    a->engine->journal_step(a->v, a->ve, a->migration, VERST_JOURNAL_RECEIVING,
				    VERST_JOURNAL_COMMITTED, err))
		return -1;
	a->state = AGENT_COMMITTED;
	fault_point("agent-committed", &thaw_err);
	if (builder_commit(ptr_take(&a->builder), err))
		return take_back(a, err);
	fault_point("agent-thawed", &thaw_err);
	done.thaw_ns = (uint64_t)(io_now_ns() - begin_ns);
	a->mark->ve = a->mark->journal = 0;
	msg_put_done(&b, &done);
	ret = send_frame(a, FRAME_DONE, &b, err);
	/* the VE's own life must not meet this record: from here on it can be stopped, moved on or destroyed
	 */
	if (a->engine->journal_settle(a->v, a->ve, &thaw_err))
		log_warn("%s", thaw_err.msg);
	return ret;
}

static int on_forget(struct agent *a, const struct frame *f, struct err *err)
{
	char id[33];

	if (msg_get_id(f, id, err))
		return -1;
	a->state = AGENT_OVER;
	if (strcmp(id, a->migration))
		return err_set(err, ERR_PROTOCOL, "FORGET of another migration");
	return a->engine->journal_forget(a->v, id, err);
}

static int on_ask(struct agent *a, const struct frame *f, struct err *err)
{
	enum verst_journal_state state;
	char id[33];
	uint32_t ve;

	if (msg_get_id_of(f, id, &ve, err) || a->engine->journal_resolve(a->v, ve, id, &state, err))
		return -1;
	if (state == VERST_JOURNAL_ABORTED) {
		struct verst_journal j;

		/* an agent that still holds it fails now, as its tasks are gone; then the id is free for
		 * another try */
		if (a->engine->journal_read(a->v, ve, &j, err))
			return -1;
		if (j.state == VERST_JOURNAL_ABORTED && !strcmp(j.migration, id) &&
		    (a->engine->forget(a->v, ve, err) || a->engine->journal_remove(a->v, ve, id, err))) {
			verst_journal_free(&j);
			return -1;
		}
		verst_journal_free(&j);
	}
	return send_number(a, FRAME_ANSWER, state == VERST_JOURNAL_COMMITTED, err);
}

static int on_abort(struct agent *a, const struct frame *f, struct err *err)
{
	_free_ char *why = NULL;

	if (msg_get_text(f, &why, err))
		return -1;
	return err_set(err, ERR_REMOTE, "given up by the source: %s", why);
}

static int on_frame(struct agent *a, const struct frame *f, struct err *err)
{
	static int (*const handlers[FRAME_TYPE_END])(struct agent *, const struct frame *, struct err *) = {
		[FRAME_HELLO] = on_hello,   [FRAME_PREFLIGHT] = on_preflight,	[FRAME_PREPARE] = on_prepare,
		[FRAME_STREAM] = on_stream, [FRAME_STREAM_END] = on_stream_end, [FRAME_FILE] = on_file,
		[FRAME_SYNC] = on_sync,	    [FRAME_COMMIT] = on_commit,		[FRAME_FORGET] = on_forget,
		[FRAME_ASK] = on_ask,	    [FRAME_ABORT] = on_abort,
	};

	if (!agent_expects(a->state, f->type))
		return err_set(err, ERR_PROTOCOL, "%s is out of place here", frame_name(f->type));
	return handlers[f->type](a, f, err);
}

/* --- the loop --- */

static int take_frames(struct agent *a, struct err *err)
{
	struct frame f;
	int got;

	while (a->state != AGENT_OVER && (got = frame_next(&a->in, &f, err)) > 0)
		if (on_frame(a, &f, err))
			return -1;
	return a->state == AGENT_OVER || !got ? 0 : -1;
}

/* 1: bytes were read; 0: end; -1. */
static int take_bytes(struct agent *a, struct err *err)
{
	static _Thread_local uint8_t bytes[READ_BYTES];
	ssize_t n;

	do
		n = read(a->in_fd, bytes, sizeof(bytes));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "read");
	if (n == 0)
		return 0;
	frame_feed(&a->in, bytes, (size_t)n);
	return 1;
}

static int idle_ms(const struct agent *a)
{
	return a->state == AGENT_COMMITTED ? FORGET_MS : a->state == AGENT_READY ? READY_LOOK_MS : IDLE_MS;
}

/*
 * Nothing came. In READY the source may have asked over another connection, because this one is dead: the
 * journal has the answer it got, and if that was no, what we hold is to be undone now.
 */
static int on_silence(struct agent *a, struct err *err)
{
	struct verst_journal j;
	bool ours;

	a->silent_ms += idle_ms(a);
	if (a->state != AGENT_READY || a->silent_ms >= IDLE_MS)
		return err_set(err, ERR_CONNECT, "the source has fallen silent");
	if (a->engine->journal_read(a->v, a->ve, &j, err))
		return -1;
	ours = j.state == VERST_JOURNAL_RECEIVING && !strcmp(j.migration, a->migration);
	verst_journal_free(&j);
	return ours ? 0
		    : err_set(err, ERR_REMOTE,
			      "the source asked meanwhile, and was told that the VE is not here");
}

static int serve(struct agent *a, struct err *err)
{
	while (a->state != AGENT_OVER) {
		struct pollfd fds[2] = {{.fd = a->in_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
		int got;

		if (a->builder && !a->built)
			fds[1].fd = builder_event_fd(a->builder);
		got = poll(fds, 2, idle_ms(a));
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0) {
			if (on_silence(a, err))
				return -1;
			continue;
		}
		a->silent_ms = 0;
		if (fds[1].revents) {
			if (on_built(a, err))
				return -1;
			continue;
		}
		got = take_bytes(a, err);
		if (got < 0)
			return -1;
		if (got == 0)
			return frame_end_of_stream(&a->in, err)
				       ? -1
				       : err_set(err, ERR_CONNECT, "the source hung up");
		if (take_frames(a, err))
			return -1;
	}
	return 0;
}

/* Everything that is here of a VE that was not committed. */
static void undo_all(const struct engine *engine, struct verst *v, struct agent_mark *mark)
{
	enum verst_journal_state state = VERST_JOURNAL_ABORTED;
	struct err err = ERR_INIT;

	if (!mark->journal)
		return;
	if (engine->journal_resolve(v, mark->journal, mark->migration, &state, &err))
		log_warn("%s", err.msg);
	else if (state == VERST_JOURNAL_ABORTED &&
		 ((mark->ve && engine->forget(v, mark->ve, &err)) ||
		  engine->journal_remove(v, mark->journal, mark->migration, &err)))
		log_warn("VE %u could not be removed: %s", mark->journal, err.msg);
	/* committed: the journal stays as it is, because the VE's supervisor asks it just now whether to let
	 * the VE run */
	mark->ve = mark->journal = 0;
}

static void say_why(struct agent *a, const struct err *why)
{
	struct err ignored = ERR_INIT;
	struct buf b = {0};

	msg_put_error(&b, why);
	if (send_frame(a, FRAME_ERROR, &b, &ignored))
		return;
	a->state = AGENT_OVER;
}

static int serve_marked(const struct engine *engine, struct verst *v, int in_fd, int out_fd,
			struct agent_mark *mark, struct err *err)
{
	struct agent a = {.engine = engine, .v = v, .in_fd = in_fd, .out_fd = out_fd, .mark = mark};
	struct err ignored = ERR_INIT;
	struct buf none = {0};
	int ret;

	ret = io_write_full(out_fd, FRAME_BANNER, strlen(FRAME_BANNER), err);
	if (!ret)
		ret = serve(&a, err);
	if (ret && a.state == AGENT_COMMITTED) {
		/* the source may ask later; what was decided stands */
		ret = 0;
	} else if (ret) {
		say_why(&a, err);
		if (a.files_open)
			fileapply_end(&a.files);
		builder_abort(a.builder);
		undo_all(engine, v, mark);
		send_frame(&a, FRAME_ABORTED, &none, &ignored);
	}
	frame_parser_free(&a.in);
	msg_free_preflight(&a.would);
	return ret;
}

int agent_serve(const struct engine *engine, struct verst *v, int in_fd, int out_fd, struct err *err)
{
	struct agent_mark mark = {0};

	return serve_marked(engine, v, in_fd, out_fd, &mark, err);
}

int agent_guarded(const struct engine *engine, struct verst *v, int in_fd, int out_fd, struct err *err)
{
	struct agent_mark *mark =
		mmap(NULL, sizeof(*mark), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if (mark == MAP_FAILED)
		return err_sys(err, "shared memory");
	pid = fork();
	if (pid < 0)
		return err_sys(err, "fork");
	if (pid == 0)
		_exit(serve_marked(engine, v, in_fd, out_fd, mark, err) ? err->code : 0);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "wait for the agent");
	undo_all(engine, v, mark);
	munmap(mark, sizeof(*mark));
	if (WIFSIGNALED(status))
		return err_set(err, ERR_SYSTEM, "the agent was killed by signal %d", WTERMSIG(status));
	/* its cause went over the wire, and is told there */
	return WEXITSTATUS(status) ? err_set(err, (enum err_code)WEXITSTATUS(status), "the migration failed")
				   : 0;
}
