// SPDX-License-Identifier: GPL-2.0-only
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/cleanup.h"

int io_read_full(int fd, void *p, size_t len_bytes, struct err *err)
{
	uint8_t *at = p;

	while (len_bytes) {
		ssize_t n = read(fd, at, len_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			return err_set(err, ERR_SYSTEM, "unexpected end of the stream, %zu bytes missing",
				       len_bytes);
		at += n;
		len_bytes -= (size_t)n;
	}
	return 0;
}

int io_write_full(int fd, const void *p, size_t len_bytes, struct err *err)
{
	const uint8_t *at = p;

	while (len_bytes) {
		ssize_t n = write(fd, at, len_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write");
		at += n;
		len_bytes -= (size_t)n;
	}
	return 0;
}

int io_read_file(int dirfd, const char *path, size_t max_bytes, struct buf *ret, struct err *err)
{
	struct buf b = {0};
	_fd_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "%s", path);
	for (;;) {
		uint8_t *room = buf_reserve(&b, 4096);
		ssize_t n = read(fd, room, b.cap_bytes - b.len_bytes - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_sys(err, "%s", path);
			buf_free(&b);
			return -1;
		}
		if (n == 0)
			break;
		b.len_bytes += (size_t)n;
		if (b.len_bytes > max_bytes) {
			buf_free(&b);
			return err_set(err, ERR_VALUE, "%s: longer than %zu bytes", path, max_bytes);
		}
	}
	b.at[b.len_bytes] = 0;
	*ret = b;
	return 0;
}

int io_write_file(int dirfd, const char *path, const char *text, struct err *err)
{
	size_t len = strlen(text);
	_fd_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_sys(err, "%s", path);
	n = write(fd, text, len);
	if (n < 0)
		return err_sys(err, "%s: write '%s'", path, text);
	if ((size_t)n != len)
		return err_set(err, ERR_SYSTEM, "%s: write '%s' was cut", path, text);
	return 0;
}

int io_replace_file(int dirfd, const char *path, const void *p, size_t len_bytes, mode_t mode,
		    struct err *err)
{
	char tmp[PATH_MAX], dir[PATH_MAX];
	_fd_ int fd = -1;
	_fd_ int parent = -1;
	char *slash;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.new", path) >= sizeof(tmp))
		return err_set(err, ERR_VALUE, "%s: path too long", path);
	unlinkat(dirfd, tmp, 0);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return err_sys(err, "%s", tmp);
	if (io_write_full(fd, p, len_bytes, err))
		goto failed;
	if (fsync(fd) || renameat(dirfd, tmp, dirfd, path)) {
		err_sys(err, "%s", path);
		goto failed;
	}
	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	parent = openat(dirfd, slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent >= 0)
		fsync(parent);
	return 0;
failed:
	unlinkat(dirfd, tmp, 0);
	return -1;
}

int io_mkdir_p(const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];

	if ((size_t)snprintf(part, sizeof(part), "%s", path) >= sizeof(part))
		return err_set(err, ERR_VALUE, "%s: path too long", path);
	for (char *p = part + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		if (mkdir(part, mode) && errno != EEXIST)
			return err_sys(err, "mkdir %s", part);
		*p = c;
		if (!c)
			return 0;
	}
}

static int remove_below(int dir, dev_t dev, struct err *err)
{
	_dir_ DIR *d = fdopendir(dir);
	struct dirent *e;

	if (!d) {
		close(dir);
		return err_sys(err, "fdopendir");
	}
	while ((e = readdir(d))) {
		struct stat st;
		int sub;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			return err_sys(err, "%s", e->d_name);
		if (!S_ISDIR(st.st_mode)) {
			if (unlinkat(dirfd(d), e->d_name, 0))
				return err_sys(err, "%s", e->d_name);
			continue;
		}
		if (st.st_dev != dev)
			return err_set(err, ERR_SYSTEM, "%s: something is mounted here", e->d_name);
		sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0)
			return err_sys(err, "%s", e->d_name);
		if (remove_below(sub, dev, err))
			return err_ctx(err, "%s", e->d_name);
		if (unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR))
			return err_sys(err, "%s", e->d_name);
	}
	return 0;
}

int io_remove_tree(int dirfd, const char *path, struct err *err)
{
	struct stat st;
	int dir;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : err_sys(err, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dirfd, path, 0) ? err_sys(err, "%s", path) : 0;
	dir = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "%s", path);
	if (remove_below(dir, st.st_dev, err))
		return err_ctx(err, "%s", path);
	return unlinkat(dirfd, path, AT_REMOVEDIR) ? err_sys(err, "%s", path) : 0;
}

int64_t io_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}
