/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames: what the two sides of a migration exchange, see docs/protocol.md. A frame is a header of 16 bytes
 *and a body:
 *
 *	u32 check   low half of XXH3-64 of all bytes of the frame after this field
 *	u32 length  of the body in bytes
 *	u32 seq     0, 1, 2, ... of this direction
 *	u8  type    enum frame_type
 *	u8  zero[3]
 *
 * The parser trusts nothing: a length is checked against its type's limit before a byte of the body is
 *awaited.
 */
#ifndef VERST_MIGRATE_FRAME_H
#define VERST_MIGRATE_FRAME_H

#include "lib/buf.h"
#include "lib/lib.h"

#define FRAME_HEADER_BYTES   16u
#define FRAME_DATA_MAX_BYTES (256u * 1024)  /* of stream and file contents in one frame */
#define FRAME_BODY_MAX_BYTES (1024u * 1024) /* of any frame */

/* What stands before the first frame of the far side, so that a shell's own chatter is told from the
 * protocol. */
#define FRAME_BANNER "VERST-AGENT\n"

enum frame_type {
	FRAME_HELLO = 1,  /* both: versions */
	FRAME_PREFLIGHT,  /* source: what would come */
	FRAME_FINDINGS,	  /* agent: obstacles, all of them */
	FRAME_PREPARE,	  /* source: make room */
	FRAME_PREPARED,	  /* agent: where the files go */
	FRAME_STREAM,	  /* source: bytes of the image stream */
	FRAME_STREAM_END, /* source: the image stream is whole */
	FRAME_FILE,	  /* source: one change of a file */
	FRAME_SYNC,	  /* source: answer when all before is worked off */
	FRAME_SYNCED,	  /* agent */
	FRAME_READY,	  /* agent: complete and frozen */
	FRAME_COMMIT,	  /* source: it is yours */
	FRAME_DONE,	  /* agent: it runs here */
	FRAME_FORGET,	  /* source: I will not ask again */
	FRAME_ABORT,	  /* source: undo all */
	FRAME_ABORTED,	  /* agent: nothing is left here */
	FRAME_ERROR,	  /* agent: failed; ABORTED follows */
	FRAME_ASK,	  /* source: what became of that migration? */
	FRAME_ANSWER,	  /* agent */
	FRAME_TYPE_END
};

const char *frame_name(unsigned type); /* "HELLO"; "type 77" is for the caller to say: NULL */

/* Appends a whole frame. */
void frame_put(struct buf *out, enum frame_type type, uint32_t seq, const void *body, size_t len_bytes);
/*
 * The same for a body that is written in place: begin reserves the header, the caller appends the body, end
 * fills the header in. `at` is what begin returned.
 */
size_t frame_begin(struct buf *out);
void frame_end(struct buf *out, size_t at, enum frame_type type, uint32_t seq);

struct frame {
	enum frame_type type;
	const uint8_t *body; /* in the parser's memory, until the next call */
	size_t len_bytes;
};

/* A stream of bytes in, frames out. Zeroed memory is a parser at the start; frame_parser_free at the end. */
struct frame_parser {
	struct buf in;
	size_t used_bytes; /* of in, already given out */
	uint32_t seq;
	bool banner; /* expected (and not seen yet) */
};

void frame_parser_free(struct frame_parser *p);
void frame_feed(struct frame_parser *p, const void *bytes, size_t len_bytes);
/* 1: a frame in *ret; 0: more bytes are needed; -1: ERR_PROTOCOL, the stream is unusable from here on. */
int frame_next(struct frame_parser *p, struct frame *ret, struct err *err);
/* At the end of the stream: 0 when it ended between frames. */
int frame_end_of_stream(const struct frame_parser *p, struct err *err);

#endif
