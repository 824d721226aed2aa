// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/peer.h"

#include <poll.h>
#include <string.h>

#include "migrate/facts.h"

#define CONNECT_MS   15000
#define ASK_PAUSE_MS 1000

int peer_target(const struct verst_migrate_opts *opts, struct ssh_target *ret, struct err *err)
{
	if (ssh_target_parse(opts->target, ret, err))
		return -1;
	ret->key_path = mem_strdup(opts->key_path);
	ret->known_hosts = mem_strdup(opts->known_hosts);
	return 0;
}

static int start_agent(const struct ssh_target *t, const struct verst_migrate_opts *opts, int timeout_ms,
		       struct ssh **ret, struct err *err)
{
	const char *words[4] = {opts->remote_verst ? opts->remote_verst : "verst"};
	size_t nr = 1;
	struct ssh *s;

	if (opts->remote_root) {
		words[nr++] = "--root";
		words[nr++] = opts->remote_root;
	}
	words[nr++] = "agent";
	if (ssh_connect(t, timeout_ms, &s, err))
		return -1;
	if (ssh_exec(s, words, nr, timeout_ms, err)) {
		ssh_close(s);
		return -1;
	}
	*ret = s;
	return 0;
}

int peer_open(const struct verst_migrate_opts *opts, int timeout_ms, struct pump **ret, struct err *err)
{
	struct ssh_target t;
	struct pump *p;
	struct ssh *s;
	int failed;

	if (peer_target(opts, &t, err))
		return -1;
	failed = start_agent(&t, opts, timeout_ms, &s, err);
	ssh_target_free(&t);
	if (failed)
		return -1;
	pump_start(transport_ssh(s), &p);
	if (peer_greet(p, err)) {
		pump_stop(p);
		return -1;
	}
	*ret = p;
	return 0;
}

int peer_send(struct pump *p, enum frame_type type, struct buf *body, struct err *err)
{
	int ret = pump_send(p, type, body->at, body->len_bytes, err);

	buf_free(body);
	return ret;
}

int peer_await(struct pump *p, enum frame_type type, int timeout_ms, struct pump_frame *ret, struct err *err)
{
	struct pump_frame f;
	struct err theirs;
	int failed;

	do {
		if (pump_recv(p, timeout_ms, &f, err))
			return -1;
		if (f.type == type) {
			*ret = f;
			return 0;
		}
		if (f.type == FRAME_SYNCED)
			free(f.body);
	} while (f.type == FRAME_SYNCED);
	if (f.type == FRAME_ERROR) {
		failed = msg_get_error(&(struct frame){f.type, f.body, f.len_bytes}, &theirs, err);
		if (!failed)
			err_set(err, theirs.code, "there: %.900s", theirs.msg);
	} else {
		err_set(err, ERR_PROTOCOL, "the far side said %s instead of %s", frame_name(f.type),
			frame_name(type));
	}
	free(f.body);
	return -1;
}

int peer_greet(struct pump *p, struct err *err)
{
	struct msg_hello ours, theirs;
	struct pump_frame f;
	struct buf b = {0};
	int ret;

	facts_hello(&ours);
	msg_put_hello(&b, &ours);
	ret = peer_send(p, FRAME_HELLO, &b, err);
	if (!ret)
		ret = peer_await(p, FRAME_HELLO, PEER_ANSWER_MS, &f, err);
	if (!ret) {
		ret = msg_get_hello(&(struct frame){f.type, f.body, f.len_bytes}, &theirs, err);
		free(f.body);
	}
	if (!ret) {
		ret = facts_compare_hello(&ours, &theirs, err);
		msg_free_hello(&theirs);
	}
	msg_free_hello(&ours);
	return ret;
}

int peer_heartbeat(struct pump *p, struct err *err)
{
	struct buf b = {0};

	msg_put_number(&b, 0);
	return peer_send(p, FRAME_SYNC, &b, err);
}

int peer_sync(struct pump *p, int timeout_ms, struct err *err)
{
	uint64_t cookie = (uint64_t)io_now_ns(), got = 0;
	struct buf b = {0};

	msg_put_number(&b, cookie);
	if (peer_send(p, FRAME_SYNC, &b, err))
		return -1;
	/* earlier heartbeats are answered first */
	while (got != cookie) {
		struct pump_frame f;
		int failed;

		if (peer_await(p, FRAME_SYNCED, timeout_ms, &f, err))
			return -1;
		failed = msg_get_number(&(struct frame){f.type, f.body, f.len_bytes}, &got, err);
		free(f.body);
		if (failed)
			return -1;
	}
	return 0;
}

static int ask_once(const struct verst_migrate_opts *opts, const char *migration, unsigned ve, int timeout_ms,
		    bool *ret_committed, struct err *err)
{
	struct pump_frame f;
	struct buf b = {0};
	struct pump *p;
	uint64_t answer = 0;
	int failed;

	if (peer_open(opts, timeout_ms, &p, err))
		return -1;
	msg_put_id_of(&b, migration, ve);
	failed = peer_send(p, FRAME_ASK, &b, err);
	if (!failed)
		failed = peer_await(p, FRAME_ANSWER, PEER_ANSWER_MS, &f, err);
	if (!failed) {
		failed = msg_get_number(&(struct frame){f.type, f.body, f.len_bytes}, &answer, err);
		free(f.body);
	}
	if (!failed && answer > 1)
		failed = err_set(err, ERR_PROTOCOL, "the answer is %llu", (unsigned long long)answer);
	pump_stop(p);
	*ret_committed = answer == 1;
	return failed;
}

int peer_ask(const struct verst_migrate_opts *opts, const char *migration, unsigned ve, int timeout_ms,
	     bool *ret_committed, struct err *err)
{
	int64_t until_ns = io_now_ns() + timeout_ms * 1000000LL;

	for (;;) {
		int left_ms = (int)((until_ns - io_now_ns()) / 1000000);

		if (!ask_once(opts, migration, ve, MAX(1000, MIN(left_ms, CONNECT_MS)), ret_committed, err))
			return 0;
		log_info("what became of VE %u: %s", ve, err->msg);
		if (io_now_ns() + ASK_PAUSE_MS * 1000000LL >= until_ns)
			return err_code(err, ERR_DOUBT);
		poll(NULL, 0, ASK_PAUSE_MS);
	}
}
