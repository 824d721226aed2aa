// SPDX-License-Identifier: GPL-2.0-only
/* Mounts that the VE made itself: by its own init, so that they are its own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "model/mount.h"
#include "rst/owner.h"
#include "rst/rst.h"

static const struct {
	const char *name;
	unsigned long flag;
} mount_flags[] = {
	{"ro", MS_RDONLY},	   {"nosuid", MS_NOSUID},    {"nodev", MS_NODEV},
	{"noexec", MS_NOEXEC},	   {"noatime", MS_NOATIME},  {"nodiratime", MS_NODIRATIME},
	{"relatime", MS_RELATIME}, {"sync", MS_SYNCHRONOUS},
};

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, len) && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

/* Of a tmpfs's own options those that limit it; owner and mode come with its root's record. */
static void tmpfs_options(const char *options, char *ret, size_t ret_bytes)
{
	static const char *const kept[] = {"size=", "nr_inodes=", "nr_blocks=", "huge="};
	size_t len = 0;

	*ret = 0;
	for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		for (size_t i = 0; i < ARRAY_LEN(kept); i++)
			if (!strncmp(p, kept[i], strlen(kept[i])))
				len += (size_t)snprintf(ret + len, len < ret_bytes ? ret_bytes - len : 0,
							"%s%.*s", len ? "," : "", (int)strcspn(p, ","), p);
}

static int open_in_root(const struct rst *r, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, r->run.root_fd, path, &how, sizeof(how));
}

/* A directory below `dir`, or a file as the last of a path. The VE's root owns it until its record says more.
 */
static int make_node(const struct rst *r, int dir, const char *name, bool is_dir, struct err *err)
{
	_rst_owner_ struct rst_owner owner = RST_OWNER_NONE;
	_fd_ int fd = -1;

	if (rst_owner_become(r, 0, 0, &owner, err))
		return -1;
	if (is_dir)
		return mkdirat(dir, name, 0755) ? err_sys(err, "making %s", name) : 0;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? err_sys(err, "making %s", name) : 0;
}

/* Where it is mounted may lie in a tmpfs that has no files yet. */
static int make_mountpoint(const struct rst *r, const char *path, bool is_dir, struct err *err)
{
	_free_ char *prefix = mem_strdup(path);

	for (char *end = prefix; end;) {
		_fd_ int there = -1, dir = -1;
		char *name;

		end = strchr(end + 1, '/');
		if (end)
			*end = 0;
		there = open_in_root(r, prefix, O_PATH);
		if (there < 0 && errno != ENOENT)
			return err_sys(err, "%s", prefix);
		if (there < 0) {
			name = strrchr(prefix, '/');
			*name = 0;
			dir = open_in_root(r, *prefix ? prefix : "/", O_PATH | O_DIRECTORY);
			if (dir < 0)
				return err_sys(err, "%s", prefix);
			if (make_node(r, dir, name + 1, end || is_dir, err))
				return -1;
			*name = '/';
		}
		if (end)
			*end = '/';
	}
	return 0;
}

static void put_call(struct remote_batch *b, const char *what, const char *source, const char *target,
		     const char *type, unsigned long set, const char *options)
{
	const char *texts[] = {source, target, type, options};
	struct remote_arg args[4];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		args[i] =
			texts[i] ? ra_data(remote_batch_data(b, texts[i], strlen(texts[i]) + 1)) : ra_num(0);
	remote_call(b, what, 0, SYS_mount, args[0], args[1], args[2], ra_num(set), args[3]);
}

static int run_in_init(const struct rst *r, struct remote_batch *b, struct err *err)
{
	int ret = remote_batch_run(r->tasks.at[0].r, b, err);

	remote_batch_free(b);
	return ret;
}

static int bind(const struct rst *r, const struct mount_obj *m, unsigned long set, struct err *err)
{
	_free_ char *source = mount_bind_source(r->m.mounts.at, m);
	_fd_ int fd = source ? open_in_root(r, source, O_PATH) : -1;
	struct remote_batch *b;
	struct stat st;

	if (!source)
		return err_set(err, ERR_IMAGE, "what it is bound from cannot be seen");
	if (fd < 0 || fstat(fd, &st))
		return err_sys(err, "%s", source);
	if (make_mountpoint(r, m->mountpoint, S_ISDIR(st.st_mode), err))
		return -1;
	b = remote_batch_new();
	put_call(b, "bind", source, m->mountpoint, NULL, MS_BIND, NULL);
	/* a bind has the flags of what it is bound from until they are set */
	put_call(b, "flags of the bind", NULL, m->mountpoint, NULL, MS_REMOUNT | MS_BIND | set, NULL);
	return run_in_init(r, b, err);
}

static int mount_tmpfs(const struct rst *r, const struct mount_obj *m, unsigned long set, struct err *err)
{
	struct remote_batch *b;
	char options[256];

	if (make_mountpoint(r, m->mountpoint, true, err))
		return -1;
	tmpfs_options(m->super_options, options, sizeof(options));
	b = remote_batch_new();
	put_call(b, "mount", m->source, m->mountpoint, "tmpfs", set, options);
	return run_in_init(r, b, err);
}

int rst_mount_apply(struct rst *r, const struct mount_obj *m, struct err *err)
{
	unsigned long set = 0;
	int ret;

	if (m->made_by_boot)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(mount_flags); i++) {
		if (has_option(m->options, mount_flags[i].name))
			set |= mount_flags[i].flag;
	}
	if (mount_is_bound(r->m.mounts.at, m))
		ret = bind(r, m, set, err);
	else if (!strcmp(m->fstype, "tmpfs"))
		ret = mount_tmpfs(r, m, set, err);
	else
		ret = err_set(err, ERR_IMAGE, "type %s is not carried", m->fstype);
	return ret ? err_ctx(err, "mount %s", m->mountpoint) : 0;
}
