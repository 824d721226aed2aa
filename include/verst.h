/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libverst: what the command line and the migration agent stand on. Handles are opaque, streams are file
 * descriptors, errors are values (lib/err.h: code is the command's exit code, msg is for the admin). Not
 * thread-safe per handle; the handles of one engine (dump, restore) must be used by the thread that opened
 * them, because ptrace demands it.
 */
#ifndef VERST_H
#define VERST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

/* --- the node --- */
struct verst;							       /* this node: where state lies */
int verst_open(const char *root, struct verst **ret, struct err *err); /* root: NULL or --root DIR */
void verst_close(struct verst *v);

/* --- a VE's life. "ve" is an id or a name --- */
struct verst_create_opts {
	const char *template_name;
	const char *name, *hostname; /* NULL: none */
	const char *const *ips;	     /* A.B.C.D */
	size_t nr_ips;
};
/* id 0: the lowest free one. ERR_EXISTS, ERR_NO_TEMPLATE, ERR_BAD_IP, ERR_IP_IN_USE, ERR_NAME; nothing is
 * left then. */
int verst_create(struct verst *v, unsigned id, const struct verst_create_opts *opts, unsigned *ret_id,
		 struct err *err);
/* Returns when its init program runs. ERR_RUNNING. If the caller dies in here, nothing is left. */
int verst_start(struct verst *v, const char *ve, struct err *err);
/* Asks its init, waits STOP_TIMEOUT seconds (of the config, else 120), then ends it by force. fast: by force
 * at once. */
int verst_stop(struct verst *v, const char *ve, bool fast, struct err *err);
/* Removes private area and config. ERR_RUNNING. */
int verst_destroy(struct verst *v, const char *ve, struct err *err);

struct verst_status {
	unsigned id;
	bool exists, mounted, running, frozen, onboot;
	char *name, *hostname, *ip, *template_name, *description; /* "" if not set */
	int init_pid;						  /* on the host; 0 when not running */
	unsigned nr_tasks;					  /* threads */
	int64_t uptime_s;
};
void verst_status_free(struct verst_status *s);
/* An id without a VE is no error here: exists is false. */
int verst_status(struct verst *v, const char *ve, struct verst_status *ret, struct err *err);
/* All VEs of the node, by ascending id. Free each, then the array. */
int verst_list(struct verst *v, struct verst_status **ret, size_t *ret_nr, struct err *err);

/* One change of a VE's config. IP_ADDRESS can be added to and removed from (value "all"); other keys are set.
 */
struct verst_change {
	enum { VERST_SET, VERST_ADD, VERST_REMOVE } how;
	const char *key, *value;
};
/* In this order, all or none; what a running VE can take it takes at once; save: also into its config. */
int verst_set(struct verst *v, const char *ve, const struct verst_change *changes, size_t nr, bool save,
	      struct err *err);

/* --- a command in a running VE --- */
struct verst_exec;

struct verst_exec_opts {
	const char *const *argv; /* NULL-terminated; NULL: root's login shell */
	bool pty;		 /* a terminal of the VE's own; else three pipes */
	const char *term;	 /* value of TERM, or NULL */
	unsigned short rows, cols;
};
/*
 * Starts it: in all namespaces and cgroups of the VE, as its root. What it leaves running belongs to the VE,
 * also when the caller dies.
 */
int verst_exec_start(struct verst *v, const char *ve, const struct verst_exec_opts *opts,
		     struct verst_exec **ret, struct err *err);
/* Our ends: what to write into, what to read from. With a pty the first two are the same and the third is -1.
 */
void verst_exec_fds(const struct verst_exec *e, int ret_fds[3]);
void verst_exec_close_in(struct verst_exec *e);
int verst_exec_pidfd(const struct verst_exec *e); /* readable when it has ended */
/* Waits for its end; the code is its exit status, or 128 + signal. Frees. */
int verst_exec_wait(struct verst_exec *e, int *ret_code, struct err *err);

/*
 * The VE's console. A socket: reading gives first what is kept of it, then what comes; writing types. Closing
 * it lets go.
 */
int verst_console(struct verst *v, const char *ve, int *ret_fd, struct err *err);

/* --- templates --- */
struct verst_template {
	char *name, *kind, *init, *arch,
		*digest; /* kind: "busybox", "debian"; init: "busybox", "sysvinit", "systemd" */
};
void verst_template_free(struct verst_template *t);
int verst_template_list(struct verst *v, struct verst_template **ret, size_t *ret_nr, struct err *err);

struct verst_template_opts {
	const char *name;     /* NULL: the kind */
	const char *suite;    /* debian: "bookworm" if NULL */
	const char *init;     /* debian: "sysvinit" (if NULL) or "systemd" */
	const char *packages; /* debian: a,b,c or NULL */
	const char *mirror;   /* debian: NULL: those of this machine */
	bool force;	      /* replace one of that name, unless a VE uses it */
	int log_fd;	      /* output of the tools that are run, or -1 */
};
/* kind: "busybox" or "debian". ERR_EXISTS, ERR_TEMPLATE; nothing is left on failure. */
int verst_template_build(struct verst *v, const char *kind, const struct verst_template_opts *opts,
			 struct err *err);
int verst_template_remove(struct verst *v, const char *name, struct err *err);

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
	uint64_t dirty_pages; /* found written at the end of the round: what the next one must send */
};

struct verst_dump_stats {
	int64_t frozen_ns;				   /* from the freeze until the thaw, or until now */
	int64_t freeze_ns, collect_ns, pages_ns, write_ns; /* parts of it */
	uint64_t stream_bytes;
	unsigned tasks, threads, files, sockets;
};

/*
 * The dump of one running VE into out_fd. Steps in order; each may fail, after which only verst_dump_abort is
 * left. open    takes the VE's lock, checks for obstacles (ERR_OBSTACLES, list in *ret_findings), starts
 * dirty tracking round   optional, any number: sends what is dirty while the VE runs freeze  stops the VE,
 * locks its network, sends the rest and the objects, END. The VE stays stopped. then    verst_dump_resume:
 * thaw and unlock; or verst_dump_kill: the VE is ended here, without a FIN or RST commit_begin (migration):
 * from here on the VE stays frozen even if this process dies, until _resume or _kill verst_dump_abort at any
 * time: the VE runs on, nothing is left. Frees the handle, as do _resume and _kill.
 */
int verst_dump_open(struct verst *v, const char *id_or_name, int out_fd, const struct verst_dump_opts *opts,
		    struct verst_dump **ret, struct verst_findings *ret_findings, struct err *err);
int verst_dump_round(struct verst_dump *d, struct verst_round *ret, struct err *err);
int verst_dump_freeze(struct verst_dump *d, struct verst_round *ret, struct err *err);
/*
 * Called inside of verst_dump_freeze, when the VE stands still, after a TREE record and before any object
 * that names a file and END: sends the files that changed (migration).
 */
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
	bool private_is_there; /* migration: config and private area were made before; else they must be on
				  this node */
};

struct verst_restore_stats {
	uint64_t stream_bytes, pages;
	int64_t ready_ns; /* from the record that begins the frozen part to ready */
};

/*
 * A VE from a stream. run reads until END, builds everything as it arrives, and returns with the VE complete,
 * frozen and its network locked. commit thaws it and announces its addresses: from then on it runs here.
 * abort (or death of this process before the commit): nothing of it remains. Both free the handle.
 */
int verst_restore_open(struct verst *v, int in_fd, const struct verst_restore_opts *opts,
		       struct verst_restore **ret, struct err *err);
int verst_restore_run(struct verst_restore *r, struct err *err);
/*
 * The VE's root as one mount, nothing mounted over parts of it: an O_PATH descriptor (the engine's, not to be
 * closed), and the host's uid that is uid 0 in the VE. Valid, from any thread, once the first TREE record was
 * worked off; before that *ret_fd is -1. Never blocks. Changed files of a migration are applied through it.
 */
void verst_restore_root_fd(const struct verst_restore *r, int *ret_fd, unsigned *ret_uid_base);
void verst_restore_stats(const struct verst_restore *r, struct verst_restore_stats *ret);
int verst_restore_commit(struct verst_restore *r, struct err *err);
void verst_restore_abort(struct verst_restore *r);
/* Reads the image only; the steps in order, one per finding (where = step, what = waits for). */
int verst_restore_plan(struct verst *v, int in_fd, struct verst_findings *ret, struct err *err);

/* --- images --- */
/* Calls `line` for every record: one line of text or of JSON, without a newline. */
int verst_image_show(int in_fd, bool json, void (*line)(const char *text, void *arg), void *arg,
		     struct err *err);
/* Whole and sound, or ERR_IMAGE naming record and offset. */
int verst_image_verify(int in_fd, struct err *err);

/* --- migration --- */
struct verst_migrate_opts {
	const char *target;	  /* [USER@]NODE[:PORT] */
	const char *key_path;	  /* NULL: ssh-agent, then ~/.ssh/id_* */
	const char *known_hosts;  /* NULL: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts */
	const char *remote_root;  /* --root there, NULL: none */
	const char *remote_verst; /* program there, NULL: verst of its PATH */
	unsigned max_downtime_ms; /* rounds go on until the forecast is below; 0: 100 */
	unsigned max_rounds;	  /* 0: 30 */
	uint64_t bytes_per_s;	  /* while the VE runs; 0: no limit */
	bool compress;
	bool keep;	   /* leave config (.migrated) and private area here */
	bool dry_run;	   /* up to the preflight */
	unsigned doubt_ms; /* how long to ask after a broken commit before giving up with ERR_DOUBT; 0: 30000
			    */
};

enum verst_migrate_phase {
	VERST_MIGRATE_CONNECT,
	VERST_MIGRATE_PREFLIGHT,
	VERST_MIGRATE_FILES,
	VERST_MIGRATE_MEMORY,
	VERST_MIGRATE_FREEZE, /* the VE stands still from here ... */
	VERST_MIGRATE_BUILD,
	VERST_MIGRATE_COMMIT, /* ... until the end of this one */
	VERST_MIGRATE_DROP,
	VERST_MIGRATE_NR_PHASES
};

/* What goes on: at the begin of each phase, and in between. */
struct verst_migrate_progress {
	enum verst_migrate_phase phase;
	bool begins;
	/* FILES */
	uint64_t file_bytes;
	unsigned file_percent;
	/* FILES and MEMORY */
	uint64_t bytes_per_s;
	/* MEMORY, after each round */
	struct verst_round round;
	uint64_t dirty_bytes_per_s;
	uint64_t forecast_ms;
};

struct verst_migrate_stats {
	int64_t phase_ns[VERST_MIGRATE_NR_PHASES];
	int64_t total_ns, frozen_ns; /* frozen: from the freeze until the far side said that it runs */
	int64_t thaw_ns;	     /* part of it: there, from COMMIT to running */
	uint64_t file_bytes, changed_files, changed_bytes, stream_bytes;
	unsigned rounds;
	char warning[512]; /* of the far side, "" */
};

/*
 * Moves a running VE. ERR_OBSTACLES: nothing was done, why is in *ret_findings (of a dry run too). Any other
 * error but ERR_DOUBT: the VE runs on here and nothing is left there. ERR_DOUBT: it stands still here until
 * verst_recover has asked the other node. The caller ignores SIGPIPE. In the commit signals are held back.
 */
int verst_migrate(struct verst *v, const char *id_or_name, const struct verst_migrate_opts *opts,
		  void (*progress)(void *arg, const struct verst_migrate_progress *p), void *arg,
		  struct verst_migrate_stats *ret_stats, struct verst_findings *ret_findings,
		  struct err *err);
/* The far side: speaks the protocol on the two descriptors until the other hangs up. Forks; the caller
 * ignores SIGPIPE. */
int verst_agent(struct verst *v, int in_fd, int out_fd, struct err *err);
/* For rsync: runs the words there, with the standard streams of this process. Target and keys as in opts.
 * *ret_status: its code. */
int verst_rsh(const struct verst_migrate_opts *opts, const char *const *words, unsigned nr_words,
	      int *ret_status, struct err *err);

/* By hand, when the other node is known to be lost for ever, or known to have the VE. Wrong, it gives two VEs
 * or none. */
enum verst_recover_force { VERST_RECOVER_ASK, VERST_RECOVER_HERE, VERST_RECOVER_THERE };
/*
 * Ends what a died migration left of this VE, at source or target; *ret_what says in words how (the caller
 * frees). ERR_DOUBT: the other node does not answer; nothing was changed.
 */
int verst_recover(struct verst *v, unsigned id, enum verst_recover_force force, char **ret_what,
		  struct err *err);

/* --- for the migration: a VE as something that moves (ve/adopt.c) --- */
struct verst_ve {
	unsigned id;
	char *name;	       /* "" if it has none */
	char *conf;	       /* text of its config */
	char *template_name;   /* "" if it has none */
	char *template_digest; /* hex, of what is in it; "" without a template */
	char *upper;	       /* its own files: directory of the private area, ids as the VE sees them */
	bool running;
	uint64_t memory_bytes; /* what its tasks have resident */
};
int verst_ve_describe(struct verst *v, const char *id_or_name, struct verst_ve *ret, struct err *err);
void verst_ve_free(struct verst_ve *ve);
/*
 * Files that tasks of the running VE have mapped shared and writable, as paths of its root without the
 * leading slash: writes to them need not show in their times. Calls fn for each; the same path may come more
 * than once.
 */
int verst_ve_shared_files(struct verst *v, unsigned id, void (*fn)(void *arg, const char *path), void *arg,
			  struct err *err);
/* While it still runs: what verst_dump_commit_begin will need is made ready, so that it takes no time then.
 */
int verst_ve_commit_prepare(struct verst *v, unsigned id, struct err *err);
/*
 * Could such a VE come here, with so many bytes of files? Gives every reason why not: id, name, addresses,
 * template, space on disk. The strings are from outside.
 */
int verst_ve_room(struct verst *v, const struct verst_ve *ve, uint64_t files_bytes,
		  struct verst_findings *ret, struct err *err);
/* Makes config and an empty private area for it. ERR_EXISTS. ret_upper is the caller's to free. */
int verst_ve_adopt(struct verst *v, unsigned id, const char *conf, char **ret_upper, struct err *err);
/* Undoes that: kills what runs of it (no FIN, no RST leaves the node), removes config and private area.
 * Missing parts are fine. */
int verst_ve_forget(struct verst *v, unsigned id, struct err *err);
/* The same for a VE that has moved away; keep: private area and config stay, the config as ID.conf.migrated.
 */
int verst_ve_drop(struct verst *v, unsigned id, bool keep, struct err *err);
/* A VE that a died migration left frozen (verst_dump_commit_begin) runs on. Not running: fine. */
int verst_ve_unfreeze(struct verst *v, unsigned id, struct err *err);

/* --- for the migration: what must survive a crash (ve/journal.c; LIB/journal/ID) --- */
enum verst_journal_state {
	VERST_JOURNAL_NONE,
	VERST_JOURNAL_RECEIVING, /* target: being built, or complete and frozen */
	VERST_JOURNAL_COMMITTED, /* target: it lives here */
	VERST_JOURNAL_ABORTED,	 /* target: it will never live here */
	VERST_JOURNAL_DOUBT,	 /* source: COMMIT was said, the answer is not known */
	VERST_JOURNAL_MOVED,	 /* source: it lives there; what is left here is to be removed */
};
struct verst_journal {
	unsigned id;
	enum verst_journal_state state;
	char migration[33]; /* 128 random bits in hex */
	char *user, *host;  /* the source's way to the target; NULL at the target */
	unsigned port;
	char *key_path, *known_hosts, *remote_root, *remote_verst; /* NULL: default */
	bool keep;
	long long time_s; /* of the last change, since 1970 */
};
void verst_journal_free(struct verst_journal *j);
/* No journal: ret->state is VERST_JOURNAL_NONE. */
int verst_journal_read(struct verst *v, unsigned id, struct verst_journal *ret, struct err *err);
/* Durable when it returns. ERR_LOCKED if another migration's is there, unless that was committed: it is
 * settled then. */
int verst_journal_write(struct verst *v, const struct verst_journal *j, struct err *err);
/* From one state to another, at once or not at all: ERR_PROTOCOL if it is not this migration's in that state.
 */
int verst_journal_step(struct verst *v, unsigned id, const char *migration, enum verst_journal_state from,
		       enum verst_journal_state to, struct err *err);
/* If it is this migration's. */
int verst_journal_remove(struct verst *v, unsigned id, const char *migration, struct err *err);
/* The ids that have one, at most `max`; returns how many there are. */
size_t verst_journal_list(struct verst *v, unsigned *ret_ids, size_t max);
/* COMMITTED becomes a remembered outcome (LIB/journal/committed/MIGRATION), which no longer belongs to the
 * id. */
int verst_journal_settle(struct verst *v, unsigned id, struct err *err);
/*
 * The source asks what became of it. COMMITTED, or else it is made ABORTED for ever: a COMMIT that is still
 * on its way will be refused.
 */
int verst_journal_resolve(struct verst *v, unsigned id, const char *migration, enum verst_journal_state *ret,
			  struct err *err);
int verst_journal_forget(struct verst *v, const char *migration,
			 struct err *err); /* of a remembered outcome */

#endif
