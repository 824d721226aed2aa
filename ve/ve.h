/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VE as the node knows it: its paths, its config, whether it runs, and how it is brought up.
 */
#ifndef VERST_VE_VE_H
#define VERST_VE_VE_H

#include <limits.h>
#include <sys/types.h>

#include "lib/lib.h"

#define VE_ID_MIN   101
#define VE_ID_MAX   2147483644u
#define VE_NAME_MAX 63

/* Where this node keeps things. Filled by ve_node_init; all paths are absolute, without a slash at the end.
 */
struct ve_node {
	char root[PATH_MAX]; /* "" or DIR of --root */
	char etc[PATH_MAX];  /* ROOT/etc/verst */
	char lib[PATH_MAX];  /* ROOT/var/lib/verst */
	char run[PATH_MAX];  /* ROOT/run/verst */
	char cgroup[64]; /* name of the node's directory in each cgroup hierarchy: "verst" or "verst-1a2b3c4d"
			  */
};

int ve_node_init(struct ve_node *node, const char *root, struct err *err);

/* One config file: KEY="value" lines in order. Unknown keys are kept as they are; so are comments and empty
 * lines, as keys. */
struct ve_conf_line {
	char *key;
	char *value;
};

struct ve_conf {
	VEC(struct ve_conf_line) lines;
};

const char *ve_conf_get(const struct ve_conf *conf, const char *key); /* NULL if not set */
void ve_conf_set(struct ve_conf *conf, const char *key, const char *value);
void ve_conf_unset(struct ve_conf *conf, const char *key);
int ve_conf_parse(struct ve_conf *ret, const char *text, size_t len_bytes, struct err *err);
char *ve_conf_print(const struct ve_conf *conf); /* the caller frees */
void ve_conf_free(struct ve_conf *conf);

struct ve {
	struct ve_node *node; /* borrowed */
	unsigned id;
	struct ve_conf conf;
	int lock_fd; /* held by commands that change the VE, else -1 */
};

/* By id or name. `lock`: take the VE's lock (ERR_LOCKED names the holder). Free with ve_close. */
int ve_open(struct ve_node *node, const char *id_or_name, bool lock, struct ve *ret, struct err *err);
/* A VE that is to be made (create, restore): the id must be free; takes the lock; conf is copied. */
int ve_new(struct ve_node *node, unsigned id, const struct ve_conf *conf, struct ve *ret, struct err *err);
void ve_close(struct ve *ve);
int ve_save(const struct ve *ve, struct err *err); /* writes ID.conf */

void ve_path_private(const struct ve *ve,
		     char ret[static PATH_MAX]); /* LIB/private/ID: upper/ and work/ in it */
void ve_path_root(const struct ve *ve,
		  char ret[static PATH_MAX]);			  /* LIB/root/ID: where the root is mounted */
void ve_path_run(const struct ve *ve, char ret[static PATH_MAX]); /* RUN/ID */

/* The running VE in our hands: everything an engine needs to reach into it. Free with ve_run_close. */
struct ve_run {
	pid_t init_pid; /* of the host's pid namespace */
	int init_pidfd;
	int root_fd; /* O_PATH of /proc/INIT/root: the VE's own root, in its own mount namespace */
	int netns_fd;
	int userns_fd;
	int cgroup_fd;	   /* directory of the VE in the v2 hierarchy */
	unsigned uid_base; /* uid 0 of the VE is this uid on the host; 65536 of them */
	pid_t supervisor_pid;
	unsigned console_major,
		console_minor; /* device of the VE's /dev/console and /dev/tty1 (a pty of the host) */
	char venet_host[16];   /* name of the host's end of the venet, "" if the VE has no address */
	int64_t monotonic_offset_ns,
		boottime_offset_ns; /* of the VE's time namespace against the host's clocks */
	int boot_fd; /* from ve_boot until ve_boot_go, else -1: while no lease is held, the VE ends when this
			closes */
};

int ve_run_open(const struct ve *ve, struct ve_run *ret, struct err *err); /* ERR_NOT_RUNNING */
void ve_run_close(struct ve_run *run);
int ve_is_running(const struct ve *ve); /* 1, 0 */

/*
 * Bringing up. All of it: mounts the root, makes cgroups, forks the supervisor, which makes the namespaces
 * and init. init then waits in the kernel, before anything of the VE has run: start    ve_boot, ve_boot_go
 * (exec of the VE's init program) restore  ve_boot with `locked`, then the engine takes init over by ptrace
 * and never lets it return to its code. `locked` also keeps the venet down on the host's side: no route, no
 * proxy ARP, until ve_net_announce. What was made is pushed to `undo` (and belongs to the supervisor once
 * ve_boot_go or the lease's commit was said).
 */
struct ve_boot_opts {
	bool locked;
	int64_t monotonic_offset_ns; /* for the new time namespace */
	int64_t boottime_offset_ns;
};

int ve_boot(struct ve *ve, const struct ve_boot_opts *opts, struct undo *undo, struct ve_run *ret,
	    struct err *err);
int ve_boot_go(struct ve *ve, struct ve_run *run, struct err *err);

/* Host side of the network: route, proxy ARP, gratuitous ARP on every interface that has the address's
 * subnet. */
int ve_net_announce(const struct ve *ve, const struct ve_run *run, struct err *err);
/* The reverse: this node no longer answers for the addresses (the VE has moved). */
int ve_net_withdraw(const struct ve *ve, const struct ve_run *run, struct err *err);

/*
 * A lease tells the supervisor what to do when its holder dies (the returned socket closes without
 * ve_lease_end). VE_LEASE_RESTORE  kill every task of the VE, remove what ve_boot made (and, if `remove`,
 * config and private area) VE_LEASE_COMMIT   the VE stays frozen; the supervisor runs `verst recover ID` with
 * back-off until it is resolved If ve_journal_committed (ve/journal.h) when the holder of a RESTORE lease
 * dies, the VE is thawed and announced instead. ve_boot asks ve_journal_may_boot first (incoming: `locked`).
 */
enum ve_lease { VE_LEASE_RESTORE, VE_LEASE_COMMIT };
int ve_lease_take(const struct ve *ve, enum ve_lease kind, bool remove, int *ret_fd, struct err *err);
int ve_lease_end(int lease_fd, struct err *err);

/* Kills all tasks and removes what ve_boot made: by cgroup.kill, through the supervisor; waits until all is
 * gone. */
int ve_kill(const struct ve *ve, struct err *err);

/* The cgroup v2 freezer. Freezing waits until every task is frozen (timeout: ERR_SYSTEM, and thawed again).
 */
int ve_freeze(const struct ve_run *run, int timeout_ms, struct err *err);
int ve_thaw(const struct ve_run *run, struct err *err);

#endif
