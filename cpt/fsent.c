// SPDX-License-Identifier: GPL-2.0-only
/* The files of tmpfs mounts. They go straight into the image, a piece at a time. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "cpt/cpt.h"
#include "model/mount.h"

#define PIECE_BYTES (1u << 20)
#define XATTR_BYTES (64u << 10)

struct linked {
	ino_t ino;
	char *path;
};

struct walk {
	struct cpt *c;
	const struct mount_obj *mount;
	dev_t dev;
	uint8_t *piece;
	VEC(struct linked) links; /* files with several names that were written */
};

static int read_xattrs(const char *path, struct fsent_obj *ent, struct err *err)
{
	_free_ char *names = mem_alloc(XATTR_BYTES);
	ssize_t len = llistxattr(path, names, XATTR_BYTES);

	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : err_sys(err, "%s: attributes", ent->path);
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		_free_ uint8_t *value = mem_alloc(XATTR_BYTES);
		ssize_t value_len = lgetxattr(path, name, value, XATTR_BYTES);
		struct fsent_xattr *x;

		if (value_len < 0)
			return err_sys(err, "%s: attribute %s", ent->path, name);
		x = vec_add(&ent->xattrs);
		x->name = mem_strdup(name);
		x->value = bytes_dup(value, (size_t)value_len);
	}
	return 0;
}

/* Data only, holes stay holes: each piece says where it belongs. The first record of a file is written by the
 * caller. */
static int write_content(struct walk *w, int fd, struct fsent_obj *ent, struct err *err)
{
	off_t at = 0, end = (off_t)ent->size_bytes;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
		off_t hole = lseek(fd, at, SEEK_HOLE);

		while (at < hole) {
			ssize_t n = pread(fd, w->piece, MIN((size_t)(hole - at), PIECE_BYTES), at);

			if (n <= 0)
				return n ? err_sys(err, "%s", ent->path) : 0;
			ent->offset = (uint64_t)at;
			ent->content = (struct bytes){w->piece, (size_t)n};
			if (img_put_fsent(w->c->w, ent, err))
				return -1;
			at += n;
		}
	}
	ent->content = (struct bytes){0};
	return at < 0 && errno != ENXIO ? err_sys(err, "%s", ent->path) : 0;
}

static int write_file(struct walk *w, int dir, const char *name, struct fsent_obj *ent, struct err *err)
{
	_fd_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	/* the pieces that follow the first record need not tell all of it again */
	struct fsent_obj piece = {
		.mount = ent->mount, .path = ent->path, .mode = ent->mode, .size_bytes = ent->size_bytes};

	if (fd < 0)
		return err_sys(err, "%s", ent->path);
	piece.uid = ent->uid;
	piece.gid = ent->gid;
	piece.mtime_ns = ent->mtime_ns;
	return img_put_fsent(w->c->w, ent, err) || write_content(w, fd, &piece, err) ? -1 : 0;
}

static int write_one(struct walk *w, int dir, const char *name, const char *path, const struct stat *st,
		     struct err *err);

static int write_dir(struct walk *w, int dir_fd, const char *path, struct err *err)
{
	_dir_ DIR *d = fdopendir(dir_fd);
	struct dirent *e;

	if (!d) {
		close(dir_fd);
		return err_sys(err, "%s", path);
	}
	while ((e = readdir(d))) {
		_free_ char *sub = NULL;
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			return err_sys(err, "%s/%s", path, e->d_name);
		/* what is mounted there is not ours; sockets are made by binding, devices by the boot */
		if (st.st_dev != w->dev || S_ISSOCK(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			continue;
		sub = *path ? mem_printf("%s/%s", path, e->d_name) : mem_strdup(e->d_name);
		if (write_one(w, dirfd(d), e->d_name, sub, &st, err))
			return -1;
	}
	return 0;
}

static const char *earlier_name(const struct walk *w, const struct stat *st)
{
	vec_each(l, &w->links)
		if (l->ino == st->st_ino)
			return l->path;
	return NULL;
}

static int write_one(struct walk *w, int dir, const char *name, const char *path, const struct stat *st,
		     struct err *err)
{
	unsigned base = w->c->run.uid_base;
	struct fsent_obj ent = {
		.mount = w->mount->id,
		.path = (char *)path,
		.mode = st->st_mode,
		.uid = st->st_uid >= base && st->st_uid < base + 65536 ? st->st_uid - base : 65534,
		.gid = st->st_gid >= base && st->st_gid < base + 65536 ? st->st_gid - base : 65534,
		.mtime_ns = st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec,
	};
	char link[4096], by_fd[4200];
	int ret, sub;

	snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d/%s", dir, name);
	if (S_ISREG(st->st_mode)) {
		ent.size_bytes = (uint64_t)st->st_size;
		ent.hardlink = (char *)earlier_name(w, st);
		if (st->st_nlink > 1 && !ent.hardlink)
			vec_push(&w->links, ((struct linked){st->st_ino, mem_strdup(path)}));
	} else if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);

		if (n < 0)
			return err_sys(err, "%s", path);
		link[n] = 0;
		ent.symlink = link;
	}
	ret = read_xattrs(by_fd, &ent, err);
	if (!ret && S_ISREG(st->st_mode) && !ent.hardlink)
		ret = write_file(w, dir, name, &ent, err);
	else if (!ret)
		ret = img_put_fsent(w->c->w, &ent, err);
	if (!ret && S_ISDIR(st->st_mode)) {
		sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		ret = sub < 0 ? err_sys(err, "%s", path) : write_dir(w, sub, path, err);
		/* once more: what is made in a directory changes its time */
		if (!ret)
			ret = img_put_fsent(w->c->w, &ent, err);
	}
	ent.path = ent.symlink = ent.hardlink = NULL;
	model_free_fsent(&ent);
	return ret;
}

static int write_mount(struct cpt *c, const struct mount_obj *m, struct err *err)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, c->run.root_fd, m->mountpoint, &how, sizeof(how));
	struct walk w = {.c = c, .mount = m};
	struct stat st;
	int ret;

	if (fd < 0 || fstat(fd, &st))
		return err_sys(err, "mount %s", m->mountpoint);
	w.dev = st.st_dev;
	w.piece = mem_alloc(PIECE_BYTES);
	ret = write_one(&w, fd, ".", "", &st, err);
	close(fd);
	vec_each(l, &w.links)
		free(l->path);
	vec_free(&w.links);
	free(w.piece);
	return ret ? err_ctx(err, "mount %s", m->mountpoint) : 0;
}

int cpt_fsent_write(struct cpt *c, const struct mount_obj *m, struct err *err)
{
	/* what a bound one shows is written with the mount it is bound from */
	if (strcmp(m->fstype, "tmpfs") || strcmp(m->root, "/") || mount_is_bound(c->m.mounts.at, m))
		return 0;
	return write_mount(c, m, err);
}
