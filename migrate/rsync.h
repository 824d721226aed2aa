/* SPDX-License-Identifier: GPL-2.0-only */
/* The bulk of the files, by rsync, whose connection goes through `verst __rsh`: the same keys and host check
 * as ours. */
#ifndef VERST_MIGRATE_RSYNC_H
#define VERST_MIGRATE_RSYNC_H

#include "lib/buf.h"
#include "migrate/ssh.h"

/* Environment of `verst __rsh`. */
#define RSYNC_ENV_TARGET      "VERST_RSH_TARGET"
#define RSYNC_ENV_KEY	      "VERST_RSH_KEY"
#define RSYNC_ENV_KNOWN_HOSTS "VERST_RSH_KNOWN_HOSTS"

struct rsync_job {
	const char *from;			     /* directory here: its content goes ... */
	const char *to;				     /* ... into this one there */
	const char *target, *key_path, *known_hosts; /* as in struct verst_migrate_opts */
	uint64_t bytes_per_s;			     /* 0: no limit */
	const struct buf *excludes;		     /* NUL-terminated paths, one after the other */
	/* Several times a second; fails: rsync is ended. */
	int (*tick)(void *arg, uint64_t bytes, unsigned percent, uint64_t bytes_per_s, struct err *err);
	void *arg;
};

/* Adds a path (relative to `from`) to the excludes. */
void rsync_exclude(struct buf *excludes, const char *path);
int rsync_run(const struct rsync_job *job, uint64_t *ret_bytes, struct err *err);
/* One piece of --info=progress2: "  1,234,567  45%   12.34MB/s    0:00:01". False if it is something else. */
bool rsync_parse_progress(const char *text, uint64_t *ret_bytes, unsigned *ret_percent,
			  uint64_t *ret_bytes_per_s);

#endif
