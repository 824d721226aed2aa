// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kernel/helper.h"

/* An id-mapped clone of a directory, at a path of the helper's own mount namespace (overlay takes layers by
 * path). */
static int attach_layer(const char *dir, int userns_fd, const char *name, struct err *err)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
	_fd_ int fd = open_tree(AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "%s", dir);
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return err_sys(err, "%s: its filesystem cannot be id-mapped", dir);
	if (mkdir(name, 0755) || move_mount(fd, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH))
		return err_sys(err, "mount %s", dir);
	return 0;
}

/*
 * Overlay acts on its layers with the mounter's ids: uid 0 of the host has no id in an id-mapped layer, so
 * that every copy-up would fail with EOVERFLOW; the VE's root has.
 */
static int become(unsigned uid, struct err *err)
{
	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) || syscall(SYS_setresgid, uid, uid, uid) ||
	    syscall(SYS_setresuid, uid, uid, uid))
		return err_sys(err, "becoming uid %u", uid);
	return 0;
}

static int set_option(int fs, const char *key, const char *value, struct err *err)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0)
		       ? err_sys(err, "overlay option %s=%s", key, value)
		       : 0;
}

/*
 * index and nfs_export: without them fanotify cannot name a file of the overlay by handle, and hard links
 * break on copy-up. redirect_dir: a directory of the template can be renamed.
 */
static int make_overlay(int *ret_fd, struct err *err)
{
	_fd_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return err_sys(err, "overlay");
	if (set_option(fs, "source", "verst", err) || set_option(fs, "lowerdir", "lower", err) ||
	    set_option(fs, "upperdir", "private/upper", err) ||
	    set_option(fs, "workdir", "private/work", err) || set_option(fs, "index", "on", err) ||
	    set_option(fs, "nfs_export", "on", err) || set_option(fs, "redirect_dir", "on", err))
		return -1;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		if (errno == EBUSY)
			return err_set(err, ERR_MOUNT,
				       "the private area is still in use by an earlier mount");
		return err_sys(err, "overlay");
	}
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	if (fd < 0)
		return err_sys(err, "overlay");
	*ret_fd = fd;
	return 0;
}

static int mount_in_helper(void *arg, int *ret_fd, struct err *err)
{
	const struct overlay_opts *opts = arg;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_sys(err, "mount namespace");
	if (mount("verst", opts->scratch, "tmpfs", 0, "size=64k,mode=755") || chdir(opts->scratch))
		return err_sys(err, "%s", opts->scratch);
	/* Relative names: they show in the VE's /proc/mounts, where the node's directories are nobody's
	 * business. */
	if (attach_layer(opts->lower, opts->userns_fd, "lower", err) ||
	    attach_layer(opts->private_dir, opts->userns_fd, "private", err) || become(opts->uid_base, err))
		return -1;
	return make_overlay(ret_fd, err);
}

int overlay_mount(const struct overlay_opts *opts, int *ret_fd, struct err *err)
{
	if (!helper_run(mount_in_helper, (void *)(uintptr_t)opts, ret_fd, err))
		return 0;
	if (err->code == ERR_SYSTEM)
		err_code(err, ERR_MOUNT);
	return err_ctx(err, "root filesystem");
}
