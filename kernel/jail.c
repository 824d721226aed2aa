// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* mknod is refused in a user namespace, so the host's nodes are bound. Order of struct jail's dev_fd. */
static const char *const devs[JAIL_NR_DEVS] = {"null", "zero", "full", "random", "urandom", "tty"};

static int clone_tree(const char *path, int *ret_fd, struct err *err)
{
	*ret_fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, "%s", path) : 0;
}

int jail_prepare(struct jail *ret, const char *root, const char *console, struct err *err)
{
	struct jail jail = JAIL_INIT;

	if (clone_tree(root, &jail.root_fd, err) || clone_tree(console, &jail.console_fd, err) ||
	    clone_tree(console, &jail.tty_fd, err))
		goto failed;
	for (int i = 0; i < JAIL_NR_DEVS; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/dev/%s", devs[i]);
		if (clone_tree(path, &jail.dev_fd[i], err))
			goto failed;
	}
	*ret = jail;
	return 0;
failed:
	jail_close(&jail);
	return -1;
}

void jail_close(struct jail *jail)
{
	cleanup_fd(&jail->root_fd);
	cleanup_fd(&jail->console_fd);
	cleanup_fd(&jail->tty_fd);
	for (int i = 0; i < JAIL_NR_DEVS; i++)
		cleanup_fd(&jail->dev_fd[i]);
	*jail = JAIL_INIT;
}

/*
 * The new root is stacked on the old one, then both change places: pivot_root(2), NOTES. The host's mounts
 * stay reachable through *ret_old until detach_old, because the kernel lets a user namespace mount proc and
 * sysfs only where a fully visible one is (mount_too_revealing, fs/namespace.c).
 */
static int change_root(int root_fd, int *ret_old, struct err *err)
{
	_fd_ int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (old < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_sys(err, "private mounts");
	if (move_mount(root_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) || fchdir(root_fd))
		return err_sys(err, "attaching the root");
	if (syscall(SYS_pivot_root, ".", "."))
		return err_sys(err, "pivot_root");
	*ret_old = fd_take(&old);
	return 0;
}

static int detach_old(int old, struct err *err)
{
	if (fchdir(old) || umount2(".", MNT_DETACH) || chdir("/"))
		return err_sys(err, "detaching the host's mounts");
	return 0;
}

static int mount_fs(const char *type, const char *path, unsigned long flags, const char *data,
		    struct err *err)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		return err_sys(err, "%s", path);
	return mount(type, path, type, flags, data) ? err_sys(err, "mount %s on %s", type, path) : 0;
}

static int attach_dev(int fd, const char *path, struct err *err)
{
	_fd_ int file = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);

	if (file < 0)
		return err_sys(err, "%s", path);
	return move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) ? err_sys(err, "bind %s", path)
									   : 0;
}

static int make_dev(const struct jail *jail, struct err *err)
{
	static const char *const links[][2] = {
		{"pts/ptmx", "/dev/ptmx"},	    {"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},  {"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
	};

	if (mount_fs("tmpfs", "/dev", MS_NOSUID, "mode=755,size=1m", err) ||
	    mount_fs("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5",
		     err) ||
	    mount_fs("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", err) ||
	    mount_fs("mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err))
		return -1;
	for (int i = 0; i < JAIL_NR_DEVS; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/dev/%s", devs[i]);
		if (attach_dev(jail->dev_fd[i], path, err))
			return -1;
	}
	if (attach_dev(jail->console_fd, "/dev/console", err) || attach_dev(jail->tty_fd, "/dev/tty1", err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlink(links[i][0], links[i][1]))
			return err_sys(err, "%s", links[i][1]);
	return 0;
}

/* Binds path on itself and makes that read-only or writable. A path this kernel does not have is left out. */
static int bind_self(const char *path, bool writable, struct err *err)
{
	struct mount_attr attr = {
		.attr_set = writable ? 0 : MOUNT_ATTR_RDONLY,
		.attr_clr = writable ? MOUNT_ATTR_RDONLY : 0,
	};

	if (access(path, F_OK))
		return 0;
	if (mount(path, path, NULL, MS_BIND, NULL) || mount_setattr(AT_FDCWD, path, 0, &attr, sizeof(attr)))
		return err_sys(err, "bind %s", path);
	return 0;
}

/*
 * What the user namespace does not protect anyway is hidden too, so that a program in the VE sees at once
 * that it is not there. Of /proc/sys only what is the VE's own (net, ipc, uts) stays writable.
 */
static int make_proc(struct err *err)
{
	static const char *const hidden[] = {"/proc/sysrq-trigger", "/proc/kcore",	   "/proc/keys",
					     "/proc/key-users",	    "/proc/kmsg",	   "/proc/timer_list",
					     "/proc/sched_debug",   "/proc/latency_stats", "/proc/kpagecount",
					     "/proc/kpageflags",    "/proc/kpagecgroup"};
	static const char *const writable[] = {"/proc/sys/net",
					       "/proc/sys/fs/mqueue",
					       "/proc/sys/kernel/hostname",
					       "/proc/sys/kernel/domainname",
					       "/proc/sys/kernel/shmmax",
					       "/proc/sys/kernel/shmall",
					       "/proc/sys/kernel/shmmni",
					       "/proc/sys/kernel/shm_rmid_forced",
					       "/proc/sys/kernel/msgmax",
					       "/proc/sys/kernel/msgmnb",
					       "/proc/sys/kernel/msgmni",
					       "/proc/sys/kernel/sem"};

	if (mount_fs("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err) ||
	    bind_self("/proc/sys", false, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(writable); i++)
		if (bind_self(writable[i], true, err))
			return -1;
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
		if (!access(hidden[i], F_OK) && mount("/dev/null", hidden[i], NULL, MS_BIND, NULL))
			return err_sys(err, "hide %s", hidden[i]);
	return 0;
}

static int make_sys(struct err *err)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount_fs("sysfs", "/sys", flags | MS_RDONLY, NULL, err))
		return -1;
	if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", flags, NULL))
		return err_sys(err, "mount cgroup2");
	return 0;
}

int jail_enter(const struct jail *jail, struct err *err)
{
	_fd_ int old = -1;

	umask(0);
	if (change_root(jail->root_fd, &old, err) || make_dev(jail, err) || make_proc(err) || make_sys(err) ||
	    mount_fs("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755", err) || detach_old(old, err))
		return err_code(err, ERR_BOOT);
	/* What Debian's boot scripts expect of whoever mounted /run. */
	if (mkdir("/run/lock", 01777) || symlink("/dev/shm", "/run/shm"))
		return err_sys(err, "/run");
	umask(022);
	/* Keys of whoever started the VE are none of its business. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	return 0;
}

int jail_drop_caps(struct err *err)
{
	static const int dropped[] = {CAP_SYS_MODULE,	CAP_SYS_RAWIO,	CAP_SYSLOG,	   CAP_MAC_ADMIN,
				      CAP_MAC_OVERRIDE, CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND, CAP_SYS_TIME,
				      CAP_PERFMON,	CAP_BPF};

	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		if (prctl(PR_CAPBSET_DROP, dropped[i], 0, 0, 0) && errno != EINVAL)
			return err_sys(err, "capability %d", dropped[i]);
	return 0;
}
