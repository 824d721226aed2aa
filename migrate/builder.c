// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/builder.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

enum decision { UNDECIDED, COMMIT, ABORT };

struct builder {
	const struct engine *engine;
	struct verst *v;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int feed_fd;   /* our end */
	int engine_fd; /* the engine's end */
	int event_fd;
	/* under the lock */
	struct verst_restore *restore;
	bool ran, failed, commit_failed;
	enum decision decision;
	struct err why;
	struct verst_restore_stats stats;
};

static void publish(struct builder *b, bool failed, const struct err *why)
{
	uint64_t one = 1;

	pthread_mutex_lock(&b->lock);
	b->ran = true;
	b->failed = failed;
	b->why = failed ? *why : ERR_INIT;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	/* whoever feeds us gets EPIPE and asks for the cause */
	shutdown(b->engine_fd, SHUT_RD);
	if (write(b->event_fd, &one, sizeof(one)) < 0)
		log_warn("agent: event descriptor");
}

static enum decision await_decision(struct builder *b)
{
	enum decision ret;

	pthread_mutex_lock(&b->lock);
	while (b->decision == UNDECIDED)
		pthread_cond_wait(&b->changed, &b->lock);
	ret = b->decision;
	pthread_mutex_unlock(&b->lock);
	return ret;
}

static int run(struct builder *b, struct verst_restore **ret, struct err *err)
{
	static const struct verst_restore_opts opts = {.private_is_there = true};
	struct verst_restore *r;

	if (fault_point("agent-restore-begin", err) ||
	    b->engine->restore_open(b->v, b->engine_fd, &opts, &r, err))
		return -1;
	*ret = r;
	pthread_mutex_lock(&b->lock);
	b->restore = r;
	pthread_mutex_unlock(&b->lock);
	if (b->engine->restore_run(r, err))
		return -1;
	pthread_mutex_lock(&b->lock);
	b->engine->restore_stats(r, &b->stats);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

static void *builder_main(void *arg)
{
	struct builder *b = arg;
	struct verst_restore *r = NULL;
	struct err err = ERR_INIT, commit_err = ERR_INIT;
	enum decision decision;
	bool failed;

	failed = run(b, &r, &err);
	if (failed && !err.code)
		err_set(&err, ERR_RESTORE, "restore failed");
	publish(b, failed, &err);
	decision = await_decision(b);
	pthread_mutex_lock(&b->lock);
	b->restore = NULL;
	pthread_mutex_unlock(&b->lock);
	if (r && decision == COMMIT)
		b->commit_failed = b->engine->restore_commit(r, &commit_err);
	else if (r && decision == ABORT)
		b->engine->restore_abort(r);
	b->why = commit_err;
	return NULL;
}

int builder_start(const struct engine *engine, struct verst *v, struct builder **ret, struct err *err)
{
	struct builder *b;
	pthread_condattr_t attr;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return err_sys(err, "socketpair");
	b = mem_new(struct builder);
	b->engine = engine;
	b->v = v;
	b->feed_fd = ends[0];
	b->engine_fd = ends[1];
	b->event_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (b->event_fd < 0 || pthread_create(&b->thread, NULL, builder_main, b))
		abort(); /* out of descriptors or threads: as sound as out of memory, see lib/mem.h */
	*ret = b;
	return 0;
}

int builder_feed(struct builder *b, const void *bytes, size_t len_bytes, struct err *err)
{
	const uint8_t *at = bytes;

	while (len_bytes) {
		ssize_t n = send(b->feed_fd, at, len_bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			pthread_mutex_lock(&b->lock);
			while (!b->ran)
				pthread_cond_wait(&b->changed, &b->lock);
			if (b->failed)
				*err = b->why;
			else
				err_set(err, ERR_PROTOCOL, "the stream goes on after its end");
			pthread_mutex_unlock(&b->lock);
			return -1;
		}
		at += n;
		len_bytes -= (size_t)n;
	}
	return 0;
}

void builder_feed_end(struct builder *b)
{
	shutdown(b->feed_fd, SHUT_WR);
}

int builder_event_fd(const struct builder *b)
{
	return b->event_fd;
}

int builder_await_ready(struct builder *b, struct err *err)
{
	int ret;

	pthread_mutex_lock(&b->lock);
	while (!b->ran)
		pthread_cond_wait(&b->changed, &b->lock);
	ret = b->failed ? -1 : 0;
	if (ret)
		*err = b->why;
	pthread_mutex_unlock(&b->lock);
	return ret;
}

int builder_await_root(struct builder *b, int timeout_ms, int *ret_fd, unsigned *ret_uid_base,
		       struct err *err)
{
	int64_t until_ns = io_now_ns() + timeout_ms * 1000000LL;
	int ret = 0;

	*ret_fd = -1;
	for (;;) {
		pthread_mutex_lock(&b->lock);
		if (b->ran && b->failed) {
			*err = b->why;
			ret = -1;
		} else if (b->restore) {
			b->engine->restore_root_fd(b->restore, ret_fd, ret_uid_base);
		}
		pthread_mutex_unlock(&b->lock);
		if (ret || *ret_fd >= 0)
			return ret;
		if (io_now_ns() > until_ns)
			return err_set(err, ERR_PROTOCOL,
				       "changed files came before the VE's root was there");
		/* there is no call to wait for it: it comes once, milliseconds after the first record */
		poll(NULL, 0, 1);
	}
}

void builder_stats(const struct builder *b, struct verst_restore_stats *ret)
{
	*ret = b->stats;
}

static int end(struct builder *b, enum decision decision, struct err *ret_why)
{
	int ret;

	pthread_mutex_lock(&b->lock);
	b->decision = decision;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	if (decision == ABORT)
		shutdown(b->feed_fd, SHUT_RDWR); /* an engine that waits for more sees the end */
	pthread_join(b->thread, NULL);
	*ret_why = b->why;
	ret = b->commit_failed ? -1 : 0;
	close(b->feed_fd);
	close(b->engine_fd);
	close(b->event_fd);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return ret;
}

int builder_commit(struct builder *b, struct err *err)
{
	struct err why;

	if (!end(b, COMMIT, &why))
		return 0;
	*err = why;
	return -1;
}

void builder_abort(struct builder *b)
{
	struct err ignored;

	if (b)
		end(b, ABORT, &ignored);
}
