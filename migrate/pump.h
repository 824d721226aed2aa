/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The source's end of the link: a thread that owns the transport, turns what the engine writes to a pipe and
 * what the session sends into frames, and hands received frames over. The engine's thread (bound by ptrace)
 * only sees a descriptor; libssh2 is touched by the pump's thread alone.
 *
 * Order: whatever was written to the stream's pipe before a pump_send goes out before that frame. What is
 * written after pump_flush returned goes out after it.
 */
#ifndef VERST_MIGRATE_PUMP_H
#define VERST_MIGRATE_PUMP_H

#include "migrate/frame.h"

struct ssh;

/* Where the frames go. All calls come from the pump's thread. read and write as of a non-blocking descriptor.
 */
struct transport {
	void *arg;
	ssize_t (*read)(void *arg, void *p, size_t len_bytes);
	ssize_t (*write)(void *arg, const void *p, size_t len_bytes);
	int (*fd)(void *arg);
	short (*events)(void *arg, bool want_write); /* what to poll for */
	char *(*why)(void *arg, bool ended); /* after the end or an error: what is known of the cause, or
						NULL. Caller frees */
	void (*close)(void *arg);
};

struct transport transport_ssh(struct ssh *s); /* owns s */
struct transport transport_fd(int fd);	       /* owns the socket */

struct pump;

/* A frame that was received; the owner frees body. */
struct pump_frame {
	enum frame_type type;
	uint8_t *body;
	size_t len_bytes;
};

void pump_start(struct transport t, struct pump **ret);
/*
 * Waits while more than 8 MiB are queued. Fails once the link is broken or the far side has sent ERROR (but
 * ABORT still goes out then).
 */
int pump_send(struct pump *p, enum frame_type type, const void *body, size_t len_bytes, struct err *err);
/* Until all that was sent is in the transport's hands. */
int pump_flush(struct pump *p, struct err *err);
/* The next frame. ERR_CONNECT when the link is broken or nothing came in time. */
int pump_recv(struct pump *p, int timeout_ms, struct pump_frame *ret, struct err *err);

/* Opens the stream: what is written to *ret_fd becomes STREAM frames. Closed by pump_stream_end, which also
 * waits until all of it is in the transport's hands. When the link breaks, writing gives EPIPE. */
int pump_stream_begin(struct pump *p, int *ret_fd, struct err *err);
int pump_stream_end(struct pump *p, struct err *err);
void pump_limit(struct pump *p, uint64_t bytes_per_s); /* 0: none */
uint64_t pump_sent_bytes(struct pump *p);
bool pump_broken(struct pump *p, struct err *ret_why); /* also fills ret_why if so */
/* The far side has sent ERROR: it is in what pump_recv gives. The stream is cut at that moment. */
bool pump_refused(struct pump *p);
void pump_stop(struct pump *p); /* closes the transport at once; NULL is fine */

#endif
