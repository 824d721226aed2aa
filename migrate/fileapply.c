// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/fileapply.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "migrate/fileattr.h"
#include "migrate/fileop.h"

#define PATH_MAX_BYTES 4095u
#define FILE_MAX_BYTES (1ull << 50)

/* The directory that holds the last name of a path. */
struct place {
	int dir_fd;
	const char *name; /* in the path's memory */
};

static void place_close(const struct place *p)
{
	if (p->dir_fd >= 0)
		close(p->dir_fd);
}

#define _place_ _cleanup_(place_close)

void fileapply_begin(struct fileapply *a, int root_fd, unsigned uid_base)
{
	*a = (struct fileapply){.root_fd = root_fd, .uid_base = uid_base, .open_fd = -1};
	/* so that the change of ids below does not cost this thread its capabilities; without the right to,
	 * it does, and then what the VE's root may not do to its files fails */
	prctl(PR_SET_SECUREBITS, prctl(PR_GET_SECUREBITS) | SECBIT_NO_SETUID_FIXUP);
}

static void close_file(struct fileapply *a)
{
	if (a->open_fd >= 0)
		close(fd_take(&a->open_fd));
	free(ptr_take(&a->open_path));
}

void fileapply_end(struct fileapply *a)
{
	close_file(a);
}

/* --- paths --- */

static bool path_valid(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (!len || len > NAME_MAX || (len == 1 && path[0] == '.') ||
		    (len == 2 && !strncmp(path, "..", 2)))
			return false;
		path += len;
		if (*path == '/' && !*++path)
			return false;
	}
	return true;
}

static int open_below(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));
}

static int place_of(const struct fileapply *a, const char *path, struct place *ret, struct err *err)
{
	const char *slash = strrchr(path, '/');
	_free_ char *dir = slash ? mem_printf("%.*s", (int)(slash - path), path) : mem_strdup("");

	ret->dir_fd = open_below(a->root_fd, dir, O_RDONLY | O_DIRECTORY);
	if (ret->dir_fd < 0)
		return err_sys(err, "/%s", dir);
	ret->name = slash ? slash + 1 : path;
	return 0;
}

/* A path off the wire; the root itself only where it makes sense. */
static char *get_path(struct cur *c, bool may_be_root, struct err *err)
{
	char *path = cur_str(c, PATH_MAX_BYTES);

	if (path && path_valid(path) && (*path || may_be_root))
		return path;
	free(path);
	err_set(err, ERR_PROTOCOL, "FILE: bad path");
	return NULL;
}

static int whole(const struct cur *c, struct err *err)
{
	return cur_done(c) ? 0 : err_set(err, ERR_PROTOCOL, "FILE: malformed operation");
}

/* --- operations --- */

static int op_remove(struct fileapply *a, struct cur *c, struct err *err)
{
	_free_ char *path = get_path(c, false, err);
	_place_ struct place at = {-1, NULL};

	if (!path || whole(c, err))
		return -1;
	if (place_of(a, path, &at, err)) {
		/* its directory is not there: neither is it */
		if (err->sys_errno != ENOENT && err->sys_errno != ENOTDIR)
			return -1;
		err_clear(err);
		return 0;
	}
	return io_remove_tree(at.dir_fd, at.name, err);
}

static int op_dir(struct fileapply *a, struct cur *c, struct err *err)
{
	_free_ char *path = get_path(c, true, err);
	_place_ struct place at = {-1, NULL};
	bool replace = cur_u8(c);
	struct stat st;

	if (!path || whole(c, err))
		return -1;
	if (!*path)
		return 0; /* the root is there */
	if (place_of(a, path, &at, err))
		return -1;
	if (!replace && !fstatat(at.dir_fd, at.name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode))
		return 0;
	if (io_remove_tree(at.dir_fd, at.name, err))
		return -1;
	return mkdirat(at.dir_fd, at.name, 0700) ? err_sys(err, "mkdir") : 0;
}

static int make_node(const struct place *at, uint32_t mode, dev_t dev, const char *target, struct err *err)
{
	switch (mode) {
	case S_IFLNK:
		return symlinkat(target, at->dir_fd, at->name) ? err_sys(err, "symlink") : 0;
	case S_IFIFO:
	case S_IFSOCK:
		return mknodat(at->dir_fd, at->name, mode | 0600, 0) ? err_sys(err, "mknod") : 0;
	case S_IFCHR:
	case S_IFBLK:
		/* a whiteout is the overlay's own affair; through the merged view it would be a device 0:0 */
		if (!dev)
			break;
		return mknodat(at->dir_fd, at->name, mode | 0600, dev) ? err_sys(err, "mknod") : 0;
	}
	return err_set(err, ERR_PROTOCOL, "FILE: bad type of a node");
}

static int op_node(struct fileapply *a, struct cur *c, struct err *err)
{
	_free_ char *path = get_path(c, false, err), *target = NULL;
	_place_ struct place at = {-1, NULL};
	uint32_t mode = cur_u32(c), major_nr = cur_u32(c), minor_nr = 0;

	minor_nr = cur_u32(c);
	target = cur_str(c, PATH_MAX_BYTES);
	if (!path || whole(c, err) || place_of(a, path, &at, err) || io_remove_tree(at.dir_fd, at.name, err))
		return -1;
	return make_node(&at, mode, makedev(major_nr, minor_nr), target, err);
}

static int op_link(struct fileapply *a, struct cur *c, struct err *err)
{
	_free_ char *path = get_path(c, false, err);
	_free_ char *of = path ? get_path(c, false, err) : NULL;
	_place_ struct place at = {-1, NULL};
	_place_ struct place from = {-1, NULL};
	struct stat st;

	if (!path || !of || whole(c, err) || place_of(a, path, &at, err) || place_of(a, of, &from, err))
		return -1;
	/* it vanished at the source before it was read: the source sees its count of links change and sends
	 * this name again */
	if (fstatat(from.dir_fd, from.name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return 0;
	if (!strcmp(path, of))
		return err_set(err, ERR_PROTOCOL, "FILE: a link to itself");
	if (io_remove_tree(at.dir_fd, at.name, err))
		return -1;
	return linkat(from.dir_fd, from.name, at.dir_fd, at.name, 0) ? err_sys(err, "link") : 0;
}

/*
 * Emptied by a hole, not by its length: truncation also takes away what a private mapping has written to its
 * own copies (mm/truncate.c unmaps with even_cows), and the memory of the VE that is being built here may be
 * there already.
 */
static int make_empty(int fd, off_t size, struct err *err)
{
	if (!size || !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size))
		return 0;
	return ftruncate(fd, 0) ? err_sys(err, "make empty") : 0;
}

static int open_regular(const struct place *at, uint8_t how, int *ret_fd, struct err *err)
{
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	struct stat st;

	if (how != FILEOP_OPEN_NEW && !fstatat(at->dir_fd, at->name, &st, AT_SYMLINK_NOFOLLOW) &&
	    S_ISREG(st.st_mode)) {
		*ret_fd = openat(at->dir_fd, at->name, flags);
		if (*ret_fd < 0)
			return err_sys(err, "open");
		return how == FILEOP_OPEN_EMPTY ? make_empty(*ret_fd, st.st_size, err) : 0;
	}
	if (how == FILEOP_OPEN_KEEP)
		return err_set(err, ERR_PROTOCOL, "FILE: what is to be changed is not there");
	if (io_remove_tree(at->dir_fd, at->name, err))
		return -1;
	*ret_fd = openat(at->dir_fd, at->name, flags | O_CREAT | O_EXCL, 0600);
	return *ret_fd < 0 ? err_sys(err, "create") : 0;
}

static int op_open(struct fileapply *a, struct cur *c, struct err *err)
{
	_free_ char *path = get_path(c, false, err);
	_place_ struct place at = {-1, NULL};
	uint8_t how = cur_u8(c);
	uint64_t size = cur_u64(c);

	if (!path || whole(c, err))
		return -1;
	if (how < FILEOP_OPEN_NEW || how > FILEOP_OPEN_KEEP || size > FILE_MAX_BYTES)
		return err_set(err, ERR_PROTOCOL, "FILE: malformed operation");
	if (place_of(a, path, &at, err) || open_regular(&at, how, &a->open_fd, err))
		return err_ctx(err, "/%s", path);
	a->open_path = ptr_take(&path);
	return ftruncate(a->open_fd, (off_t)size) ? err_sys(err, "/%s: set its length", a->open_path) : 0;
}

static int op_data(struct fileapply *a, struct cur *c, struct err *err)
{
	uint64_t offset = cur_u64(c);
	size_t len = c->left_bytes;
	const uint8_t *p = cur_take(c, len);

	if (a->open_fd < 0 || !p || offset > FILE_MAX_BYTES)
		return err_set(err, ERR_PROTOCOL, "FILE: malformed operation");
	while (len) {
		ssize_t n = pwrite(a->open_fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "/%s: write", a->open_path);
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_zeros(struct fileapply *a, uint64_t offset, uint64_t len, struct err *err)
{
	static const uint8_t zeros[4096];

	while (len) {
		ssize_t n =
			pwrite(a->open_fd, zeros, (size_t)MIN(len, (uint64_t)sizeof(zeros)), (off_t)offset);

		if (n < 0)
			return err_sys(err, "/%s: write", a->open_path);
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int op_hole(struct fileapply *a, struct cur *c, struct err *err)
{
	uint64_t offset = cur_u64(c), len = cur_u64(c);
	struct stat st;

	if (whole(c, err))
		return -1;
	if (a->open_fd < 0 || fstat(a->open_fd, &st) || offset > (uint64_t)st.st_size ||
	    len > (uint64_t)st.st_size - offset)
		return err_set(err, ERR_PROTOCOL, "FILE: malformed operation");
	if (!len ||
	    !fallocate(a->open_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len))
		return 0;
	return write_zeros(a, offset, len, err);
}

static int op_attr(struct fileapply *a, struct cur *c, struct err *err)
{
	_free_ char *path = get_path(c, true, err);
	_place_ struct place at = {-1, NULL};
	struct fileattr attr;
	int ret;

	if (!path || fileattr_get(c, &attr, err))
		return -1;
	ret = whole(c, err);
	if (!ret && *path)
		ret = place_of(a, path, &at, err);
	if (!ret && !*path) {
		at.dir_fd = open_below(a->root_fd, "", O_RDONLY | O_DIRECTORY);
		at.name = ".";
		ret = at.dir_fd < 0 ? err_sys(err, "/") : 0;
	}
	if (!ret && fileattr_apply(&attr, at.dir_fd, at.name, a->uid_base, err))
		ret = err_ctx(err, "/%s", path);
	fileattr_free(&attr);
	return ret;
}

int fileapply_op(struct fileapply *a, const void *body, size_t len_bytes, struct err *err)
{
	struct cur c = cur_of(body, len_bytes);
	uint8_t op = cur_u8(&c);
	int ret;

	if (op != FILEOP_DATA && op != FILEOP_HOLE)
		close_file(a);
	/* an id-mapped layer refuses new files of ids that it does not map */
	setfsgid(a->uid_base);
	setfsuid(a->uid_base);
	switch (op) {
	case FILEOP_REMOVE:
		ret = op_remove(a, &c, err);
		break;
	case FILEOP_DIR:
		ret = op_dir(a, &c, err);
		break;
	case FILEOP_NODE:
		ret = op_node(a, &c, err);
		break;
	case FILEOP_LINK:
		ret = op_link(a, &c, err);
		break;
	case FILEOP_OPEN:
		ret = op_open(a, &c, err);
		break;
	case FILEOP_DATA:
		ret = op_data(a, &c, err);
		break;
	case FILEOP_HOLE:
		ret = op_hole(a, &c, err);
		break;
	case FILEOP_ATTR:
		ret = op_attr(a, &c, err);
		break;
	default:
		ret = err_set(err, ERR_PROTOCOL, "FILE: unknown operation %u", op);
	}
	setfsuid(0);
	setfsgid(0);
	return ret;
}
