// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define QUEUE_MAX_BYTES	 (8u * 1024 * 1024)
#define OUT_LOW_BYTES	 (512u * 1024) /* below: frames are added */
#define PIPE_BYTES	 (1024 * 1024)
#define INBOX_MAX_FRAMES 1024
#define READ_BYTES	 (64 * 1024)
#define TICK_MS		 1000 /* the transport's keepalive */

struct pump {
	struct transport t;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* any of the fields below */
	int wake_fd;

	struct buf queue; /* whole frames, in order */
	uint32_t seq;
	VEC(struct pump_frame) inbox;
	size_t inbox_first;
	int stream_fd; /* read end of the engine's pipe, -1 */
	int stream_write_fd;
	bool stream_ended; /* its end was read */
	uint64_t bytes_per_s;
	uint64_t sent_bytes;
	size_t out_left_bytes; /* in the pump's hands, not yet in the transport's */
	bool stop, broken, refused;
	struct err why;

	/* the pump's thread alone */
	struct buf out;
	size_t out_done_bytes;
	struct frame_parser parser;
	int64_t budget_at_ns;
	double budget_bytes;
};

static void wake(struct pump *p)
{
	uint64_t one = 1;

	/* a full counter means that it is awake anyway */
	if (write(p->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* Under the lock. */
static int may_send(const struct pump *p, struct err *err)
{
	if (p->broken) {
		*err = p->why;
		return -1;
	}
	return p->refused ? err_set(err, ERR_REMOTE, "the far side has failed") : 0;
}

/* --- the pump's thread --- */

static void set_broken(struct pump *p, const struct err *why)
{
	pthread_mutex_lock(&p->lock);
	if (!p->broken) {
		p->broken = true;
		p->why = *why;
	}
	/* the engine's next write fails instead of waiting for ever */
	if (p->stream_fd >= 0)
		close(fd_take(&p->stream_fd));
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void link_ended(struct pump *p, bool ended)
{
	_free_ char *said = p->t.why(p->t.arg, ended);
	struct err why = ERR_INIT;

	if (!ended)
		err_set(&why, ERR_CONNECT, "the link to the far side broke%s%s", said ? ": " : "",
			said ? said : "");
	else if (said)
		err_set(&why, ERR_CONNECT, "the far side hung up; %s", said);
	else if (!frame_end_of_stream(&p->parser, &why))
		err_set(&why, ERR_CONNECT, "the far side hung up");
	set_broken(p, &why);
}

/* Bytes that the limit lets through now; how long until there are some. */
static size_t budget(struct pump *p, uint64_t rate, int *ret_wait_ms)
{
	int64_t now = io_now_ns();

	*ret_wait_ms = TICK_MS;
	if (!rate)
		return FRAME_DATA_MAX_BYTES;
	p->budget_bytes += (double)(now - p->budget_at_ns) * 1e-9 * (double)rate;
	p->budget_bytes = MIN(p->budget_bytes, (double)rate * 0.05 + 4096);
	p->budget_at_ns = now;
	if (p->budget_bytes >= 4096)
		return (size_t)MIN(p->budget_bytes, (double)FRAME_DATA_MAX_BYTES);
	*ret_wait_ms = 1 + (int)((4096 - p->budget_bytes) * 1e3 / (double)rate);
	return 0;
}

/* One frame of the stream, if there is something. 1: made one; 0: nothing there now; -1: its end. */
static int take_stream(struct pump *p, int fd, size_t most)
{
	size_t at = frame_begin(&p->out);
	ssize_t n;

	do
		n = read(fd, buf_reserve(&p->out, most), most);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		p->out.len_bytes = at;
		return n == 0 ? -1 : 0;
	}
	p->out.len_bytes += (size_t)n;
	frame_end(&p->out, at, FRAME_STREAM, p->seq++);
	p->budget_bytes -= (double)n;
	return 1;
}

/* The queue's frames get their numbers as they leave, because frames of the stream go in between. */
static void take_queue(struct pump *p)
{
	size_t at = 0;

	while (at < p->queue.len_bytes) {
		uint32_t len;
		uint8_t type = p->queue.at[at];

		memcpy(&len, p->queue.at + at + 1, sizeof(len));
		frame_put(&p->out, type, p->seq++, p->queue.at + at + 5, len);
		at += 5 + len;
	}
	buf_clear(&p->queue);
}

static void fill(struct pump *p, int *ret_wait_ms)
{
	bool queued;
	int fd;

	pthread_mutex_lock(&p->lock);
	queued = p->queue.len_bytes > 0;
	fd = p->stream_fd;
	for (;;) {
		/* what is queued waits behind all that is in the pipe already: then no limit holds that up */
		size_t most = budget(p, queued ? 0 : p->bytes_per_s, ret_wait_ms);
		int got;

		if (fd < 0 || !most || (!queued && p->out.len_bytes - p->out_done_bytes >= OUT_LOW_BYTES))
			break;
		got = take_stream(p, fd, most);
		if (got < 0) {
			close(fd_take(&p->stream_fd));
			p->stream_ended = true;
			fd = -1;
		}
		if (got <= 0)
			break;
	}
	if (queued)
		take_queue(p);
	p->out_left_bytes = p->out.len_bytes - p->out_done_bytes;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* 0, or -1 when the link is gone. */
static int drain(struct pump *p)
{
	uint64_t sent = 0;

	while (p->out_done_bytes < p->out.len_bytes) {
		ssize_t n = p->t.write(p->t.arg, p->out.at + p->out_done_bytes,
				       p->out.len_bytes - p->out_done_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return -1;
		if (n <= 0)
			break;
		p->out_done_bytes += (size_t)n;
		sent += (uint64_t)n;
	}
	if (p->out_done_bytes == p->out.len_bytes) {
		buf_clear(&p->out);
		p->out_done_bytes = 0;
	}
	if (sent) {
		pthread_mutex_lock(&p->lock);
		p->sent_bytes += sent;
		p->out_left_bytes = p->out.len_bytes - p->out_done_bytes;
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
	}
	return 0;
}

static int hand_over(struct pump *p, struct err *err)
{
	struct frame f;
	int got;

	while ((got = frame_next(&p->parser, &f, err)) > 0) {
		pthread_mutex_lock(&p->lock);
		if (p->inbox.nr - p->inbox_first >= INBOX_MAX_FRAMES)
			got = err_set(err, ERR_PROTOCOL, "the far side floods us with frames");
		else
			vec_push(&p->inbox,
				 ((struct pump_frame){f.type, mem_dup(f.body, f.len_bytes), f.len_bytes}));
		/* nobody reads what we send: the engine must not wait for that, least of all while the VE is
		 * frozen */
		if (f.type == FRAME_ERROR) {
			p->refused = true;
			if (p->stream_fd >= 0)
				close(fd_take(&p->stream_fd));
		}
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
		if (got < 0)
			return -1;
	}
	return got;
}

/* 0: go on; -1: ended or broken, and it was noted. */
static int take_in(struct pump *p)
{
	static _Thread_local uint8_t bytes[READ_BYTES];
	struct err why = ERR_INIT;

	for (;;) {
		ssize_t n = p->t.read(p->t.arg, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			link_ended(p, n == 0);
			return -1;
		}
		frame_feed(&p->parser, bytes, (size_t)n);
		if (hand_over(p, &why)) {
			set_broken(p, &why);
			return -1;
		}
	}
}

static void await(struct pump *p, int wait_ms)
{
	bool pending = p->out_done_bytes < p->out.len_bytes,
	     more = p->out.len_bytes - p->out_done_bytes < OUT_LOW_BYTES;
	struct pollfd fds[3] = {{.fd = p->t.fd(p->t.arg), .events = p->t.events(p->t.arg, pending)},
				{.fd = p->wake_fd, .events = POLLIN},
				{.fd = -1, .events = POLLIN}};
	uint64_t count;

	pthread_mutex_lock(&p->lock);
	if (more && wait_ms == TICK_MS)
		fds[2].fd = p->stream_fd;
	pthread_mutex_unlock(&p->lock);
	poll(fds, 3, wait_ms);
	if (fds[1].revents && read(p->wake_fd, &count, sizeof(count)) < 0)
		return;
}

static void *pump_main(void *arg)
{
	struct pump *p = arg;
	bool stop = false;

	while (!stop) {
		int wait_ms = TICK_MS;

		if (p->out.len_bytes - p->out_done_bytes < OUT_LOW_BYTES)
			fill(p, &wait_ms);
		if (drain(p)) {
			/* the far side's last words, if there are any, tell more than our failed write */
			if (!take_in(p))
				link_ended(p, false);
			break;
		}
		if (take_in(p))
			break;
		await(p, wait_ms);
		pthread_mutex_lock(&p->lock);
		stop = p->stop;
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* --- the session's thread --- */

void pump_start(struct transport t, struct pump **ret)
{
	struct pump *p = mem_new(struct pump);
	pthread_condattr_t attr;
	sigset_t all, old;

	p->t = t;
	p->stream_fd = p->stream_write_fd = -1;
	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->parser.banner = true;
	p->budget_at_ns = io_now_ns();
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
	/* signals are the session's business */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (p->wake_fd < 0 || pthread_create(&p->thread, NULL, pump_main, p))
		abort(); /* out of descriptors or threads: as sound as out of memory, see lib/mem.h */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	*ret = p;
}

int pump_send(struct pump *p, enum frame_type type, const void *body, size_t len_bytes, struct err *err)
{
	uint32_t len = (uint32_t)len_bytes;
	int ret = 0;

	pthread_mutex_lock(&p->lock);
	while (!p->broken && !p->refused && p->queue.len_bytes > QUEUE_MAX_BYTES)
		pthread_cond_wait(&p->changed, &p->lock);
	if (p->broken || type != FRAME_ABORT)
		ret = may_send(p, err);
	if (!ret) {
		buf_put_u8(&p->queue, (uint8_t)type);
		buf_put(&p->queue, &len, sizeof(len));
		buf_put(&p->queue, body, len_bytes);
	}
	pthread_mutex_unlock(&p->lock);
	wake(p);
	return ret;
}

int pump_flush(struct pump *p, struct err *err)
{
	int ret;

	pthread_mutex_lock(&p->lock);
	while (!p->broken && !p->refused && (p->queue.len_bytes || p->out_left_bytes))
		pthread_cond_wait(&p->changed, &p->lock);
	ret = may_send(p, err);
	pthread_mutex_unlock(&p->lock);
	return ret;
}

int pump_recv(struct pump *p, int timeout_ms, struct pump_frame *ret, struct err *err)
{
	struct timespec until;
	int failed = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000 + (until.tv_nsec + timeout_ms % 1000 * 1000000L) / 1000000000L;
	until.tv_nsec = (until.tv_nsec + timeout_ms % 1000 * 1000000L) % 1000000000L;
	pthread_mutex_lock(&p->lock);
	while (!p->broken && p->inbox_first == p->inbox.nr && !failed)
		failed = pthread_cond_timedwait(&p->changed, &p->lock, &until);
	if (p->inbox_first < p->inbox.nr) {
		*ret = p->inbox.at[p->inbox_first++];
		if (p->inbox_first == p->inbox.nr)
			p->inbox_first = p->inbox.nr = 0;
		failed = 0;
	} else if (p->broken) {
		*err = p->why;
		failed = -1;
	} else {
		failed = err_set(err, ERR_CONNECT, "the far side did not answer within %d s",
				 timeout_ms / 1000);
	}
	pthread_mutex_unlock(&p->lock);
	return failed;
}

int pump_stream_begin(struct pump *p, int *ret_fd, struct err *err)
{
	int ends[2], flags;

	if (pipe2(ends, O_CLOEXEC))
		return err_sys(err, "pipe");
	/* only our end must not block; a smaller pipe (limit of the user) only costs wake-ups */
	flags = fcntl(ends[0], F_GETFL);
	fcntl(ends[0], F_SETFL, flags | O_NONBLOCK);
	fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	pthread_mutex_lock(&p->lock);
	if (may_send(p, err)) {
		pthread_mutex_unlock(&p->lock);
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	p->stream_fd = ends[0];
	p->stream_write_fd = ends[1];
	p->stream_ended = false;
	pthread_mutex_unlock(&p->lock);
	wake(p);
	*ret_fd = ends[1];
	return 0;
}

int pump_stream_end(struct pump *p, struct err *err)
{
	int ret;

	if (p->stream_write_fd >= 0)
		close(fd_take(&p->stream_write_fd));
	wake(p);
	pthread_mutex_lock(&p->lock);
	while (!p->broken && !p->refused && !p->stream_ended)
		pthread_cond_wait(&p->changed, &p->lock);
	ret = may_send(p, err);
	pthread_mutex_unlock(&p->lock);
	return ret ? -1 : pump_flush(p, err);
}

void pump_limit(struct pump *p, uint64_t bytes_per_s)
{
	pthread_mutex_lock(&p->lock);
	p->bytes_per_s = bytes_per_s;
	pthread_mutex_unlock(&p->lock);
	wake(p);
}

uint64_t pump_sent_bytes(struct pump *p)
{
	uint64_t ret;

	pthread_mutex_lock(&p->lock);
	ret = p->sent_bytes;
	pthread_mutex_unlock(&p->lock);
	return ret;
}

bool pump_broken(struct pump *p, struct err *ret_why)
{
	bool ret;

	pthread_mutex_lock(&p->lock);
	ret = p->broken;
	if (ret)
		*ret_why = p->why;
	pthread_mutex_unlock(&p->lock);
	return ret;
}

bool pump_refused(struct pump *p)
{
	bool ret;

	pthread_mutex_lock(&p->lock);
	ret = p->refused;
	pthread_mutex_unlock(&p->lock);
	return ret;
}

void pump_stop(struct pump *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_mutex_unlock(&p->lock);
	wake(p);
	pthread_join(p->thread, NULL);
	p->t.close(p->t.arg);
	for (size_t i = p->inbox_first; i < p->inbox.nr; i++)
		free(p->inbox.at[i].body);
	vec_free(&p->inbox);
	buf_free(&p->queue);
	buf_free(&p->out);
	frame_parser_free(&p->parser);
	if (p->stream_fd >= 0)
		close(p->stream_fd);
	if (p->stream_write_fd >= 0)
		close(p->stream_write_fd);
	close(p->wake_fd);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
