// SPDX-License-Identifier: GPL-2.0-only
/*
 * Overlay facts used here (Documentation/filesystems/overlayfs.rst): a character device 0:0 in the upper
 * layer is a whiteout (the name is gone); trusted.overlay.opaque=y on a directory hides the lower one;
 * trusted.overlay.origin marks what was copied up from below.
 */
#include "migrate/filesend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "migrate/filedata.h"
#include "migrate/fileop.h"

struct change {
	struct filetree_entry *now;
	struct filetree_entry *old; /* NULL: not there before */
	bool replace;		    /* a directory that is sent anew ... */
	bool fresh;		    /* ... and what is below one: the far side has nothing of it */
	const char *primary;	    /* the name of the inode that carries the content; NULL: this one does */
};

static bool is_whiteout(const struct filetree_entry *e)
{
	return S_ISCHR(e->mode) && !e->rdev;
}

/* Is `path` below the directory `dir`? */
static bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

int filesend_begin(struct filesend *s, int dir_fd, struct err *err)
{
	s->dir_fd = dir_fd;
	return filetree_look(dir_fd, &s->last, err);
}

void filesend_end(struct filesend *s)
{
	filetree_free(&s->last);
	vec_each(it, &s->forced)
		free(*it);
	vec_free(&s->forced);
}

void filesend_force(struct filesend *s, const char *path)
{
	vec_each(it, &s->forced)
		if (!strcmp(*it, path))
			return;
	vec_push(&s->forced, mem_strdup(path));
}

static bool is_forced(const struct filesend *s, const char *path)
{
	vec_each(it, &s->forced)
		if (!strcmp(*it, path))
			return true;
	return false;
}

/* --- hard links --- */

struct name {
	uint64_t ino;
	struct change *of;
};

static int by_ino(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return strcmp(x->of->now->path, y->of->now->path);
}

/* Of each inode with several names one carries the content: one that the far side has already, else the
 * first. */
static void choose_primaries(struct change *changes, size_t nr)
{
	VEC(struct name) names = {0};

	for (size_t i = 0; i < nr; i++)
		if (S_ISREG(changes[i].now->mode) && changes[i].now->nlink > 1)
			vec_push(&names, ((struct name){changes[i].now->ino, &changes[i]}));
	vec_sort(&names, by_ino);
	for (size_t i = 0, end; i < names.nr; i = end) {
		struct change *primary = names.at[i].of;

		for (end = i; end < names.nr && names.at[end].ino == names.at[i].ino; end++) {
			const struct change *c = names.at[end].of;

			if (c->old && c->old->ino == c->now->ino && !c->fresh &&
			    (!primary->old || primary->fresh))
				primary = names.at[end].of;
		}
		for (size_t k = i; k < end; k++)
			if (names.at[k].of != primary)
				names.at[k].of->primary = primary->now->path;
	}
	vec_free(&names);
}

int filesend_indexed(struct filesend *s, void (*fn)(void *arg, const char *path), void *arg, struct err *err)
{
	VEC(char *) found = {0};
	VEC(struct name) names = {0};
	struct change *all = mem_realloc_array(NULL, s->last.at.nr, sizeof(*all));

	for (size_t i = 0; i < s->last.at.nr; i++) {
		all[i] = (struct change){.now = &s->last.at.at[i]};
		if (S_ISREG(all[i].now->mode) && all[i].now->nlink > 1)
			vec_push(&names, ((struct name){all[i].now->ino, &all[i]}));
	}
	vec_sort(&names, by_ino);
	for (size_t i = 0, end; i < names.nr; i = end) {
		for (end = i; end < names.nr && names.at[end].ino == names.at[i].ino; end++)
			;
		/* more links than names: the one that is not in the tree is the index's */
		for (size_t k = i; k < end && end - i < names.at[i].of->now->nlink; k++)
			if (filedata_has_xattr(s->dir_fd, names.at[k].of->now->path,
					       "trusted.overlay.origin"))
				vec_push(&found, mem_strdup(names.at[k].of->now->path));
	}
	vec_free(&names);
	free(all);
	vec_each(it, &found) {
		fn(arg, *it);
		filetree_drop(&s->last, *it);
		free(*it);
	}
	vec_free(&found);
	return 0;
}

/* --- one change --- */

static int emit(struct filesend *s, struct buf *body, struct err *err)
{
	int ret = s->emit(s->arg, body, err);

	buf_free(body);
	return ret;
}

static void put_head(struct buf *b, enum fileop op, const char *path)
{
	buf_put_u8(b, op);
	buf_put_str(b, path);
}

static int send_remove(struct filesend *s, const char *path, struct err *err)
{
	struct buf b = {0};

	put_head(&b, FILEOP_REMOVE, path);
	s->stats.removed++;
	return emit(s, &b, err);
}

static int send_dir(struct filesend *s, const struct change *c, struct err *err)
{
	struct buf b = {0};

	if (!c->old && filedata_has_xattr(s->dir_fd, c->now->path, "trusted.overlay.redirect"))
		return err_set(err, ERR_CHECKPOINT,
			       "/%s: a renamed directory of the template cannot be followed", c->now->path);
	put_head(&b, FILEOP_DIR, c->now->path);
	buf_put_u8(&b, c->replace);
	return emit(s, &b, err);
}

static int send_node(struct filesend *s, const struct filetree_entry *e, struct err *err)
{
	char target[PATH_MAX] = "";
	struct buf b = {0};

	if (S_ISLNK(e->mode)) {
		ssize_t n = readlinkat(s->dir_fd, e->path, target, sizeof(target) - 1);

		if (n < 0)
			return errno == ENOENT || errno == EINVAL ? 0 : err_sys(err, "/%s", e->path);
		target[n] = 0;
	}
	put_head(&b, FILEOP_NODE, e->path);
	buf_put_u32(&b, e->mode & S_IFMT);
	buf_put_u32(&b, major(e->rdev));
	buf_put_u32(&b, minor(e->rdev));
	buf_put_str(&b, target);
	return emit(s, &b, err) ? -1 : filedata_send_attr(s, e->path, err);
}

static int send_link(struct filesend *s, const struct change *c, struct err *err)
{
	struct buf b = {0};

	/* the far side has this name of this inode */
	if (c->old && c->old->ino == c->now->ino && !c->fresh)
		return 0;
	put_head(&b, FILEOP_LINK, c->now->path);
	buf_put_str(&b, c->primary);
	return emit(s, &b, err);
}

static int send_regular(struct filesend *s, const struct change *c, struct err *err)
{
	bool there = c->old && c->old->ino == c->now->ino && S_ISREG(c->old->mode);
	enum fileop_open how;

	if (c->fresh)
		how = FILEOP_OPEN_NEW;
	else if (there || filedata_has_xattr(s->dir_fd, c->now->path, "trusted.overlay.origin"))
		how = FILEOP_OPEN_EMPTY;
	else
		how = FILEOP_OPEN_NEW;
	if (filedata_send(s, c->now, how, there && !c->fresh ? c->old->sums : NULL, err))
		return -1;
	s->stats.files++;
	return 0;
}

static int send_one(struct filesend *s, const struct change *c, struct err *err)
{
	uint32_t mode = c->now->mode;

	if (is_whiteout(c->now))
		return c->old && is_whiteout(c->old) && !c->fresh ? 0 : send_remove(s, c->now->path, err);
	if (S_ISDIR(mode))
		return send_dir(s, c, err);
	if (!S_ISREG(mode))
		return send_node(s, c->now, err);
	return c->primary ? 0 : send_regular(s, c, err);
}

/* --- all changes --- */

static int send_gone(struct filesend *s, const struct filetree *now, struct err *err)
{
	const char *gone = NULL;

	vec_each(e, &s->last.at) {
		if (filetree_find(now, e->path) || is_whiteout(e) || (gone && below(e->path, gone)))
			continue;
		if (send_remove(s, e->path, err))
			return -1;
		if (S_ISDIR(e->mode))
			gone = e->path;
	}
	return 0;
}

/* Which directories are not the ones they were: made anew by the VE, or hiding the template's since. */
static void find_replaced(const struct filesend *s, struct change *changes, size_t nr)
{
	const char *anew = NULL;

	for (size_t i = 0; i < nr; i++) {
		struct change *c = &changes[i];

		c->fresh = anew && below(c->now->path, anew);
		if (!S_ISDIR(c->now->mode) || !*c->now->path || c->fresh)
			continue;
		if (c->old)
			c->replace = !S_ISDIR(c->old->mode) || c->old->ino != c->now->ino;
		else
			c->replace = filedata_has_xattr(s->dir_fd, c->now->path, "trusted.overlay.opaque");
		if (c->replace)
			anew = c->now->path;
	}
}

static int send_changed(struct filesend *s, struct change *changes, size_t nr, struct err *err)
{
	for (size_t i = 0; i < nr; i++) {
		struct change *c = &changes[i];

		if (!c->fresh && c->old && !filetree_differs(c->old, c->now) && !is_forced(s, c->now->path)) {
			c->now = NULL;
			continue;
		}
		if (send_one(s, c, err))
			return -1;
	}
	/* other names of what is there now; then directories' times, which all of this has changed, from the
	 * bottom up */
	for (size_t i = 0; i < nr; i++)
		if (changes[i].now && changes[i].primary && send_link(s, &changes[i], err))
			return -1;
	for (size_t i = nr; i-- > 0;)
		if (changes[i].now && S_ISDIR(changes[i].now->mode) &&
		    filedata_send_attr(s, changes[i].now->path, err))
			return -1;
	return 0;
}

int filesend_changes(struct filesend *s, struct err *err)
{
	struct change *changes;
	struct filetree now;
	int ret;

	if (filetree_look(s->dir_fd, &now, err))
		return -1;
	changes = mem_realloc_array(NULL, now.at.nr, sizeof(*changes));
	for (size_t i = 0; i < now.at.nr; i++)
		changes[i] = (struct change){.now = &now.at.at[i],
					     .old = filetree_find(&s->last, now.at.at[i].path)};
	find_replaced(s, changes, now.at.nr);
	choose_primaries(changes, now.at.nr);
	ret = send_gone(s, &now, err);
	if (!ret)
		ret = send_changed(s, changes, now.at.nr, err);
	/* what is known of a content that did not change stays known */
	for (size_t i = 0; !ret && i < now.at.nr; i++)
		if (changes[i].old && changes[i].old->ino == now.at.at[i].ino && !now.at.at[i].sums)
			now.at.at[i].sums = ptr_take(&changes[i].old->sums);
	free(changes);
	filetree_free(&s->last);
	s->last = now;
	return ret;
}
