// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/ipcns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int ipcns_enter(struct ipcns_scope *scope, pid_t pid, struct err *err)
{
	_fd_ int old = open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC), there = -1;
	char path[32];

	*scope = (struct ipcns_scope){-1};
	if (old < 0)
		return err_sys(err, "own ipc namespace");
	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", pid);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (there < 0)
		return err_sys(err, "%s", path);
	if (setns(there, CLONE_NEWIPC))
		return err_sys(err, "entering the ipc namespace");
	scope->old_fd = fd_take(&old);
	return 0;
}

void ipcns_leave(struct ipcns_scope *scope)
{
	_fd_ int old = fd_take(&scope->old_fd);

	if (old >= 0 && setns(old, CLONE_NEWIPC))
		abort();
}

/* ipc/ipc_sysctl.c: what is opened is the namespace's of who opens it. */
static void path_of(const char *name, char ret[static 64])
{
	snprintf(ret, 64, "/proc/sys/kernel/%s", name);
}

int ipcns_set(const char *name, const char *value, struct err *err)
{
	char path[64];

	path_of(name, path);
	return io_write_file(AT_FDCWD, path, value, err);
}

int ipcns_setting(const char *name, char **ret, struct err *err)
{
	struct buf text;
	char path[64];

	path_of(name, path);
	if (io_read_file(AT_FDCWD, path, 4096, &text, err))
		return -1;
	text.at[strcspn((char *)text.at, "\n")] = 0;
	*ret = (char *)text.at;
	return 0;
}

int ipcns_next_id(const char *kind, uint32_t id, struct err *err)
{
	char name[32], value[16];

	snprintf(name, sizeof(name), "%s_next_id", kind);
	snprintf(value, sizeof(value), "%u", id);
	return ipcns_set(name, value, err);
}

/* Of this thread alone: the C library would have all threads follow. */
static int set_effective(uid_t uid, gid_t gid)
{
	/* with the effective uid 0 either way goes */
	return syscall(SYS_setresgid, -1, gid, -1) || syscall(SYS_setresuid, -1, uid, -1) ? -1 : 0;
}

int ipcns_maker_become(struct ipcns_maker *maker, uid_t uid, gid_t gid, struct err *err)
{
	*maker = (struct ipcns_maker){geteuid(), getegid(), true};
	if (set_effective(uid, gid)) {
		err_sys(err, "becoming user %u:%u", uid, gid);
		ipcns_maker_leave(maker);
		return -1;
	}
	return 0;
}

void ipcns_maker_leave(struct ipcns_maker *maker)
{
	if (!maker->entered)
		return;
	/* the user first: it brings back the capability to be another group */
	if (syscall(SYS_setresuid, -1, maker->uid, -1) || syscall(SYS_setresgid, -1, maker->gid, -1))
		abort();
	/* a change of the user makes a process undumpable (kernel/cred.c), and its /proc hard to read */
	prctl(PR_SET_DUMPABLE, 1);
	maker->entered = false;
}
