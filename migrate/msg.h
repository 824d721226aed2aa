/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bodies of the frames, see docs/protocol.md. A get function fails with ERR_PROTOCOL on anything that its put
 * function would not have written; limits are part of the protocol.
 */
#ifndef VERST_MIGRATE_MSG_H
#define VERST_MIGRATE_MSG_H

#include "include/verst.h"
#include "lib/findings.h"
#include "migrate/frame.h"

#define MSG_PROTOCOL 1u
#define MSG_ID_BYTES 16u /* of a migration id */
#define MSG_TEXT_MAX 4096u
#define MSG_LIST_MAX 4096u

typedef VEC(char *) msg_list;

struct msg_hello {
	uint32_t protocol_min, protocol_max;
	char *version; /* of the program, for people */
	char *arch;
	char *kernel; /* release, for people */
	char *node;   /* its name, for people */
	uint32_t page_bytes;
};

struct msg_preflight {
	struct verst_ve ve; /* upper and running are not sent */
	uint64_t files_bytes, memory_bytes;
	msg_list cpu;	   /* what the CPU offers programs */
	msg_list features; /* of the kernel, that the restore of this VE needs */
};

struct msg_ready {
	uint64_t pages, ready_ns;
};

struct msg_done {
	uint64_t thaw_ns; /* from COMMIT's arrival until the VE ran */
	char *warning;	  /* "" if all is well */
};

void msg_list_free(msg_list *l);

void msg_put_hello(struct buf *out, const struct msg_hello *m);
int msg_get_hello(const struct frame *f, struct msg_hello *ret, struct err *err);
void msg_free_hello(struct msg_hello *m);

void msg_put_preflight(struct buf *out, const struct msg_preflight *m);
int msg_get_preflight(const struct frame *f, struct msg_preflight *ret, struct err *err);
void msg_free_preflight(struct msg_preflight *m);

void msg_put_findings(struct buf *out, const struct findings *m);
int msg_get_findings(const struct frame *f, struct findings *ret, struct err *err); /* adds to *ret */

void msg_put_text(struct buf *out, const char *text); /* PREPARED (upper), ABORT (why) */
int msg_get_text(const struct frame *f, char **ret, struct err *err);

/* PREPARE, COMMIT, FORGET, ASK: the migration id; PREPARE and ASK with the VE's id. hex is 33 bytes. */
void msg_put_id(struct buf *out, const char *hex);
int msg_get_id(const struct frame *f, char *ret_hex, struct err *err);
void msg_put_id_of(struct buf *out, const char *hex, uint32_t ve);
int msg_get_id_of(const struct frame *f, char *ret_hex, uint32_t *ret_ve, struct err *err);

void msg_put_number(struct buf *out, uint64_t n); /* SYNC, SYNCED, ANSWER */
int msg_get_number(const struct frame *f, uint64_t *ret, struct err *err);

void msg_put_ready(struct buf *out, const struct msg_ready *m);
int msg_get_ready(const struct frame *f, struct msg_ready *ret, struct err *err);
void msg_put_done(struct buf *out, const struct msg_done *m);
int msg_get_done(const struct frame *f, struct msg_done *ret, struct err *err);
void msg_put_error(struct buf *out, const struct err *m);
int msg_get_error(const struct frame *f, struct err *ret, struct err *err);

#endif
