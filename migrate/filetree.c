// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/filetree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "lib/buf.h"
#include "migrate/filesend.h"

/* Times are stamped with the tick's clock (4 ms at 250 Hz, 10 ms at 100); what is younger than this may
 * change unseen. */
#define RECENT_NS 20000000LL
#define DEPTH_MAX 512

static int64_t ns_of(struct timespec ts)
{
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void add(struct filetree *t, const char *path, const struct stat *st, int64_t now_ns)
{
	*vec_add(&t->at) = (struct filetree_entry){
		.path = mem_strdup(path),
		.ino = st->st_ino,
		.rdev = st->st_rdev,
		.size_bytes = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
		.mtime_ns = ns_of(st->st_mtim),
		.ctime_ns = ns_of(st->st_ctim),
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.nlink = (uint32_t)st->st_nlink,
		.recent = ns_of(st->st_ctim) > now_ns - RECENT_NS,
	};
	t->bytes += (uint64_t)st->st_blocks * 512;
}

static int look_below(int dir, char path[static PATH_MAX], size_t len, int depth, int64_t now_ns,
		      struct filetree *t, struct err *err)
{
	_dir_ DIR *d = fdopendir(dir);
	struct dirent *e;
	struct stat st;

	if (!d) {
		close(dir);
		return err_sys(err, "%s", path);
	}
	if (depth > DEPTH_MAX)
		return err_set(err, ERR_VALUE, "%s: more than %d directories deep", path, DEPTH_MAX);
	while (errno = 0, (e = readdir(d))) {
		size_t name = strlen(e->d_name);
		int sub;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (len + name + 2 > PATH_MAX)
			return err_set(err, ERR_VALUE, "%s: path too long", path);
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
			if (errno == ENOENT)
				continue;
			return err_sys(err, "%s/%s", path, e->d_name);
		}
		snprintf(path + len, PATH_MAX - len, "%s%s", len ? "/" : "", e->d_name);
		add(t, path, &st, now_ns);
		if (S_ISDIR(st.st_mode)) {
			sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
				return err_sys(err, "%s", path);
			if (sub >= 0 && look_below(sub, path, strlen(path), depth + 1, now_ns, t, err))
				return -1;
		}
		path[len] = 0;
	}
	return errno ? err_sys(err, "%s: reading the directory", path) : 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct filetree_entry *)a)->path, ((const struct filetree_entry *)b)->path);
}

int filetree_look(int dir_fd, struct filetree *ret, struct err *err)
{
	char path[PATH_MAX] = "";
	struct filetree t = {0};
	struct timespec now;
	struct stat st;
	int dir = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (dir < 0 || fstat(dir, &st)) {
		err_sys(err, "the VE's private area");
		if (dir >= 0)
			close(dir);
		return -1;
	}
	add(&t, "", &st, ns_of(now));
	if (look_below(dir, path, 0, 0, ns_of(now), &t, err)) {
		filetree_free(&t);
		return -1;
	}
	vec_sort(&t.at, by_path);
	*ret = t;
	return 0;
}

static void entry_free(struct filetree_entry *e)
{
	free(e->path);
	filesend_sums_free(e->sums);
}

void filetree_free(struct filetree *t)
{
	vec_each(e, &t->at)
		entry_free(e);
	vec_free(&t->at);
	t->bytes = 0;
}

struct filetree_entry *filetree_find(const struct filetree *t, const char *path)
{
	struct filetree_entry key = {.path = (char *)path};

	return t->at.nr ? bsearch(&key, t->at.at, t->at.nr, sizeof(key), by_path) : NULL;
}

void filetree_drop(struct filetree *t, const char *path)
{
	struct filetree_entry *e = filetree_find(t, path);

	if (!e)
		return;
	entry_free(e);
	memmove(e, e + 1, (size_t)(t->at.at + t->at.nr - e - 1) * sizeof(*e));
	t->at.nr--;
}

bool filetree_differs(const struct filetree_entry *old, const struct filetree_entry *new_)
{
	return old->recent || old->ino != new_->ino || old->mode != new_->mode ||
	       old->ctime_ns != new_->ctime_ns || old->mtime_ns != new_->mtime_ns ||
	       old->size_bytes != new_->size_bytes || old->uid != new_->uid || old->gid != new_->gid ||
	       old->rdev != new_->rdev;
}
