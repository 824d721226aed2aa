// SPDX-License-Identifier: GPL-2.0-only
#include "rst/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kernel/netns.h"

void *rst_apart_memory(size_t len_bytes)
{
	void *p = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort(); /* as lib/mem.h */
	return p;
}

void rst_apart_memory_free(void *p, size_t len_bytes)
{
	munmap(p, len_bytes);
}

int rst_apart_become(struct rst_apart *a, uint32_t uid, uint32_t gid, struct err *err)
{
	uint32_t host_uid = a->r->run.uid_base + uid, host_gid = a->r->run.uid_base + gid;

	if (host_uid == a->uid && host_gid == a->gid)
		return 0;
	/* system calls as such: glibc would look for threads, of which it knows those of our parent */
	if (syscall(SYS_setresgid, -1, host_gid, -1) || syscall(SYS_setresuid, -1, host_uid, -1))
		return err_sys(err, "ids of a socket's owner");
	a->uid = host_uid;
	a->gid = host_gid;
	return 0;
}

static int set_apart(struct rst_apart *a, struct err *err)
{
	int bits = prctl(PR_GET_SECUREBITS);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	a->host_root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->host_root_fd < 0)
		return err_sys(err, "/");
	if (setns(a->r->run.netns_fd, CLONE_NEWNET))
		return err_sys(err, "network namespace of the VE");
	/* root's capabilities with the ids of the VE: only those can own files there */
	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP))
		return err_sys(err, "PR_SET_SECUREBITS");
	return rst_apart_become(a, 0, 0, err);
}

/* Like fork, but with shared descriptors, into a cgroup of the VE. Without that where it takes no tasks. */
static pid_t fork_apart(int cgroup_fd)
{
	struct clone_args args = {.flags = CLONE_FILES | CLONE_INTO_CGROUP, .cgroup = (uint64_t)cgroup_fd};
	pid_t pid = -1;

	if (cgroup_fd >= 0)
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid >= 0)
		return pid;
	args = (struct clone_args){.flags = CLONE_FILES};
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

struct outcome {
	int result; /* what fn returned; -1 too if it did not get there */
	struct err err;
};

int rst_apart_run(struct rst *r, int (*fn)(struct rst_apart *a, struct err *err), struct err *err)
{
	struct outcome *shared = rst_apart_memory(sizeof(*shared)), outcome;
	struct err own = ERR_INIT;
	_fd_ int cgroup_fd = -1;
	pid_t pid;

	shared->result = -1;
	if (rst_cgroup_open_any(r, &cgroup_fd, &own))
		log_debug("sockets are made outside of the VE's cgroups: %s", own.msg);
	pid = fork_apart(cgroup_fd);
	if (!pid) {
		struct rst_apart a = {
			.r = r, .host_root_fd = -1, .tmpfs_fd = -1, .uid = UINT32_MAX, .gid = UINT32_MAX};

		if (!set_apart(&a, &shared->err))
			shared->result = fn(&a, &shared->err);
		cleanup_fd(&a.host_root_fd); /* they are our parent's, too */
		cleanup_fd(&a.tmpfs_fd);
		_exit(0);
	}
	if (pid > 0)
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	outcome = *shared;
	rst_apart_memory_free(shared, sizeof(*shared));
	if (pid < 0)
		return err_sys(err, "clone3");
	if (outcome.result && !outcome.err.code)
		return err_set(err, ERR_SYSTEM, "the process that makes the sockets died");
	*err = outcome.result ? outcome.err : *err;
	return outcome.result;
}
