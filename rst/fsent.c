// SPDX-License-Identifier: GPL-2.0-only
/* Files of tmpfs mounts, made through the VE's root, never following a link that the image brought. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "rst/owner.h"
#include "rst/rst.h"

static int open_beneath(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* The directory that has the file, and the file's name in it. "" is the mount's root: the name is "." */
static int open_parent(struct rst *r, const struct mount_obj *m, const struct fsent_obj *e, int *ret_dir,
		       const char **ret_name, struct err *err)
{
	_fd_ int root = open_beneath(r->run.root_fd, m->mountpoint, O_PATH | O_DIRECTORY, 0,
				     RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	const char *slash = strrchr(e->path, '/');
	_free_ char *parent = slash ? mem_printf("%.*s", (int)(slash - e->path), e->path) : mem_strdup(".");

	if (root < 0)
		return err_sys(err, "%s", m->mountpoint);
	*ret_dir = open_beneath(root, parent, O_PATH | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (*ret_dir < 0)
		return err_sys(err, "%s/%s", m->mountpoint, parent);
	*ret_name = slash ? slash + 1 : *e->path ? e->path : ".";
	return 0;
}

static int write_piece(int dir, const char *name, const struct fsent_obj *e, bool first, struct err *err)
{
	_fd_ int fd = open_beneath(dir, name, O_WRONLY | (first ? O_CREAT : 0), first ? 0600 : 0,
				   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	size_t done = 0;

	if (fd < 0 || (first && ftruncate(fd, (off_t)e->size_bytes)))
		return err_sys(err, "%s", e->path);
	while (done < e->content.len_bytes) {
		ssize_t n = pwrite(fd, e->content.at + done, e->content.len_bytes - done,
				   (off_t)(e->offset + done));

		if (n <= 0)
			return err_sys(err, "%s", e->path);
		done += (size_t)n;
	}
	return 0;
}

static int link_earlier(struct rst *r, const struct mount_obj *m, const struct fsent_obj *e, int dir,
			const char *name, struct err *err)
{
	struct fsent_obj first = {.path = e->hardlink};
	_fd_ int from = -1;
	const char *from_name;

	if (open_parent(r, m, &first, &from, &from_name, err))
		return -1;
	if (linkat(from, from_name, dir, name, 0) && errno != EEXIST)
		return err_sys(err, "%s: link to %s", e->path, e->hardlink);
	return 0;
}

/* What the boot made is there already (links in /dev). */
static int make_one(int dir, const char *name, const struct fsent_obj *e, struct err *err)
{
	int ret;

	switch (e->mode & S_IFMT) {
	case S_IFREG:
		return write_piece(dir, name, e, true, err);
	case S_IFDIR:
		ret = strcmp(name, ".") ? mkdirat(dir, name, 0700) : 0;
		break;
	case S_IFLNK:
		ret = symlinkat(e->symlink ? e->symlink : "", dir, name);
		break;
	case S_IFIFO:
		ret = mkfifoat(dir, name, 0600);
		break;
	default:
		return err_set(err, ERR_IMAGE, "%s: a file of mode %o is not carried", e->path, e->mode);
	}
	return ret && errno != EEXIST ? err_sys(err, "%s", e->path) : 0;
}

static int set_time(int dir, const char *name, const struct fsent_obj *e, struct err *err)
{
	struct timespec ts = {e->mtime_ns / 1000000000, e->mtime_ns % 1000000000}, times[2] = {ts, ts};

	return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) ? err_sys(err, "%s: time", e->path) : 0;
}

static int set_attributes(struct rst *r, int dir, const char *name, const struct fsent_obj *e,
			  struct err *err)
{
	unsigned base = r->run.uid_base;
	char by_fd[4200];

	if (e->uid >= 65536 || e->gid >= 65536)
		return err_set(err, ERR_IMAGE, "%s: owner %u:%u", e->path, e->uid, e->gid);
	if (fchownat(dir, name, base + e->uid, base + e->gid, AT_SYMLINK_NOFOLLOW))
		return err_sys(err, "%s: owner", e->path);
	snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d/%s", dir, name);
	vec_each(x, &e->xattrs)
		if (lsetxattr(by_fd, x->name, x->value.at, x->value.len_bytes, 0))
			return err_sys(err, "%s: attribute %s", e->path, x->name);
	if (!S_ISLNK(e->mode) && fchmodat(dir, name, e->mode & 07777, 0))
		return err_sys(err, "%s: mode", e->path);
	return set_time(dir, name, e, err);
}

int rst_fsent_apply(struct rst *r, const struct fsent_obj *e, struct err *err)
{
	const struct mount_obj *m = model_mount(&r->m, e->mount);
	_rst_owner_ struct rst_owner owner = RST_OWNER_NONE;
	_fd_ int dir = -1;
	const char *name;

	if (!m || strcmp(m->fstype, "tmpfs"))
		return err_set(err, ERR_IMAGE, "file %s belongs to no tmpfs mount", e->path);
	if (open_parent(r, m, e, &dir, &name, err) || rst_owner_become(r, 0, 0, &owner, err))
		return -1;
	if (e->hardlink)
		return link_earlier(r, m, e, dir, name, err);
	if (e->content.len_bytes)
		return write_piece(dir, name, e, false, err) || set_time(dir, name, e, err) ? -1 : 0;
	return make_one(dir, name, e, err) || set_attributes(r, dir, name, e, err) ? -1 : 0;
}
