// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks on files, as the fdinfo of a descriptor tells of those it has a part in. (/proc/locks would tell of
 * all at once, but whoever reads it waits for a grace period of RCU: percpu_down_write in fs/locks.c, some 8
 * ms.)
 */
#include "cpt/file.h"
#include "facts/fdinfo.h"

static enum file_lock_kind kind_of(const struct fdinfo_lock *l)
{
	return !strcmp(l->kind, "FLOCK")    ? FILE_LOCK_FLOCK
	       : !strcmp(l->kind, "POSIX")  ? FILE_LOCK_POSIX
	       : !strcmp(l->kind, "OFDLCK") ? FILE_LOCK_OFD
					    : 0;
}

int cpt_lock_check(struct cpt *c, const struct cpt_fd *fd, const char *fdinfo, struct err *err)
{
	fdinfo_locks locks;
	char where[64];

	if (fdinfo_locks_parse(fdinfo, &locks, err))
		return -1;
	vec_each(l, &locks) {
		if (!kind_of(l))
			findings_add(c->findings, cpt_fdopen_where(fd, where), NULL, "%s on %s", l->kind,
				     fd->link);
	}
	vec_free(&locks);
	return 0;
}

/* Two descriptors of one open file, even in two tables, tell of the same locks. */
static bool is_known(const struct file_obj *f, const struct file_lock_obj *lock)
{
	vec_each(l, &f->locks)
		if (l->kind == lock->kind && l->start == lock->start && l->end == lock->end &&
		    l->table == lock->table)
			return true;
	return false;
}

int cpt_lock_collect(struct cpt *c, file_id id, files_id table, const char *fdinfo, struct err *err)
{
	struct file_obj *f = &c->m.files.at[id - 1];
	fdinfo_locks locks;
	int ret = 0;

	if (fdinfo_locks_parse(fdinfo, &locks, err))
		return -1;
	vec_each(l, &locks) {
		struct file_lock_obj lock = {
			.kind = kind_of(l), .write = l->write, .start = l->start, .end = l->end};

		if (!lock.kind) {
			ret = err_set(err, ERR_CHECKPOINT, "a %s was taken just now", l->kind);
			break;
		}
		lock.table = lock.kind == FILE_LOCK_POSIX ? table : 0;
		if (!is_known(f, &lock))
			vec_push(&f->locks, lock);
	}
	vec_free(&locks);
	return ret;
}
