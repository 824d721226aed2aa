/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libverst: what the command line and the migration agent stand on. Handles are opaque, streams are file descriptors,
 * errors are values (lib/err.h: code is the command's exit code, msg is for the admin). Not thread-safe per handle; the
 * handles of one engine (dump, restore) must be used by the thread that opened them, because ptrace demands it.
 */
#ifndef VERST_H
#define VERST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

/* --- the node --- */
struct verst; /* this node: where state lies */
int verst_open(const char *root, struct verst **ret, struct err *err); /* root: NULL or --root DIR */
void verst_close(struct verst *v);

/* --- texts that a call gives back: a list of findings, in the order found --- */
struct verst_finding {
	char *where; /* "task 42 (redis-server) fd 7", "mount /mnt/nfs", "node" */
	char *what;  /* "io_uring with 3 requests in flight" */
	char *hint;  /* "wait for them to end", or NULL */
};
struct verst_findings {
	struct verst_finding *at;
	unsigned long nr;
};
void verst_findings_free(struct verst_findings *f);

/* --- dump --- */
struct verst_dump;

struct verst_dump_opts {
	bool leave_running; /* checkpoint: the VE goes on after the image is whole */
	bool compress;	    /* lz4 */
	int max_rounds;	    /* of pre-copy while the VE runs; 0: none, all pages while it is frozen */
};

/* What one round, or the frozen part, did. Times in ns, pages of the node's page size. */
struct verst_round {
	unsigned number;	/* from 1; the frozen one is the last */
	uint64_t scanned_pages; /* looked at */
	uint64_t sent_pages;	/* with bytes */
	uint64_t zero_pages;	/* without */
	uint64_t stream_bytes;	/* written to the stream in this round */
	int64_t elapsed_ns;
	uint64_t dirty_pages;	/* found written at the end of the round: what the next one must send */
};

struct verst_dump_stats {
	int64_t frozen_ns;	/* from the freeze until the thaw, or until now */
	int64_t freeze_ns, collect_ns, pages_ns, write_ns; /* parts of it */
	uint64_t stream_bytes;
	unsigned tasks, threads, files, sockets;
};

/*
 * The dump of one running VE into out_fd. Steps in order; each may fail, after which only verst_dump_abort is left.
 *   open    takes the VE's lock, checks for obstacles (ERR_OBSTACLES, list in *ret_findings), starts dirty tracking
 *   round   optional, any number: sends what is dirty while the VE runs
 *   freeze  stops the VE, locks its network, sends the rest and the objects, END. The VE stays stopped.
 *   then    verst_dump_resume: thaw and unlock; or verst_dump_kill: the VE is ended here, without a FIN or RST
 *   commit_begin (migration): from here on the VE stays frozen even if this process dies, until _resume or _kill
 * verst_dump_abort at any time: the VE runs on, nothing is left. Frees the handle, as do _resume and _kill.
 */
int verst_dump_open(struct verst *v, const char *id_or_name, int out_fd, const struct verst_dump_opts *opts,
		    struct verst_dump **ret, struct verst_findings *ret_findings, struct err *err);
int verst_dump_round(struct verst_dump *d, struct verst_round *ret, struct err *err);
int verst_dump_freeze(struct verst_dump *d, struct verst_round *ret, struct err *err);
/* Called inside of verst_dump_freeze, when the VE stands still and its objects are known, before END: files (migration). */
void verst_dump_on_frozen(struct verst_dump *d, int (*fn)(void *arg, struct err *err), void *arg);
int verst_dump_commit_begin(struct verst_dump *d, struct err *err);
void verst_dump_stats(const struct verst_dump *d, struct verst_dump_stats *ret);
int verst_dump_resume(struct verst_dump *d, struct err *err);
int verst_dump_kill(struct verst_dump *d, struct err *err);
void verst_dump_abort(struct verst_dump *d);

/* Obstacles of a dump, without one. */
int verst_check_ve(struct verst *v, const char *id_or_name, struct verst_findings *ret, struct err *err);
/* What this kernel offers: where = feature, what = "works: ..." or "missing: ... so ...". */
int verst_check_node(struct verst *v, struct verst_findings *ret, struct err *err);

/* --- restore --- */
struct verst_restore;

struct verst_restore_opts {
	unsigned as_id;	       /* 0: the id in the image */
	bool private_is_there; /* migration: config and private area were made before; else they must be on this node */
};

struct verst_restore_stats {
	uint64_t stream_bytes, pages;
	int64_t ready_ns; /* from the record that begins the frozen part to ready */
};

/*
 * A VE from a stream. run reads until END, builds everything as it arrives, and returns with the VE complete, frozen and its
 * network locked. commit thaws it and announces its addresses: from then on it runs here. abort (or death of this
 * process before the commit): nothing of it remains. Both free the handle.
 */
int verst_restore_open(struct verst *v, int in_fd, const struct verst_restore_opts *opts, struct verst_restore **ret,
		       struct err *err);
int verst_restore_run(struct verst_restore *r, struct err *err);
void verst_restore_stats(const struct verst_restore *r, struct verst_restore_stats *ret);
int verst_restore_commit(struct verst_restore *r, struct err *err);
void verst_restore_abort(struct verst_restore *r);
/* Reads the image only; the steps in order, one per finding (where = step, what = waits for). */
int verst_restore_plan(struct verst *v, int in_fd, struct verst_findings *ret, struct err *err);

/* --- images --- */
/* Calls `line` for every record: one line of text or of JSON, without a newline. */
int verst_image_show(int in_fd, bool json, void (*line)(const char *text, void *arg), void *arg, struct err *err);
/* Whole and sound, or ERR_IMAGE naming record and offset. */
int verst_image_verify(int in_fd, struct err *err);

#endif
