// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "kernel/cgroup.h"
#include "ve/ctl.h"
#include "ve/info.h"
#include "ve/journal.h"
#include "ve/launch.h"
#include "ve/node.h"
#include "ve/supervisor.h"
#include "ve/wire.h"

#define ANSWER_TIMEOUT_MS   10000
#define KILL_TIMEOUT_MS	    30000
#define CLEAN_UP_TIMEOUT_MS 10000

static const struct ve_run no_run = {
	.init_pidfd = -1, .root_fd = -1, .netns_fd = -1, .userns_fd = -1, .cgroup_fd = -1, .boot_fd = -1};

static int open_proc(pid_t pid, const char *name, int flags, int *ret_fd, struct err *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	*ret_fd = open(path, flags | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, "%s", path) : 0;
}

static int open_all(const struct ve *ve, struct ve_run *run, struct err *err)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", ve->id);
	if (open_proc(run->init_pid, "root", O_PATH | O_DIRECTORY, &run->root_fd, err) ||
	    open_proc(run->init_pid, "ns/net", O_RDONLY, &run->netns_fd, err) ||
	    open_proc(run->init_pid, "ns/user", O_RDONLY, &run->userns_fd, err))
		return -1;
	return cgroup_open_v2(ve->node->cgroup, name, &run->cgroup_fd, err);
}

/* Of the namespace that init is in now: a restore may have moved it into another than it was born in. */
static int read_offsets(struct ve_run *run, struct err *err)
{
	long long s[2], ns[2];
	char path[48];
	struct buf text;
	int found;

	snprintf(path, sizeof(path), "/proc/%d/timens_offsets", run->init_pid);
	if (io_read_file(AT_FDCWD, path, 256, &text, err))
		return -1;
	found = sscanf((char *)text.at, "monotonic %lld %lld boottime %lld %lld", &s[0], &ns[0], &s[1],
		       &ns[1]);
	buf_free(&text);
	if (found != 4)
		return err_set(err, ERR_SYSTEM, "%s: unexpected text", path);
	run->monotonic_offset_ns = s[0] * 1000000000 + ns[0];
	run->boottime_offset_ns = s[1] * 1000000000 + ns[1];
	return 0;
}

int ve_run_open(const struct ve *ve, struct ve_run *ret, struct err *err)
{
	struct ve_run run = no_run;
	struct ve_info info;

	if (ve_info_read(ve, &info, err))
		return -1;
	run.init_pid = info.init.pid;
	run.uid_base = info.uid_base;
	run.supervisor_pid = info.supervisor.pid;
	run.console_major = info.console_major;
	run.console_minor = info.console_minor;
	strcpy(run.venet_host, info.venet_host);
	run.init_pidfd = ve_info_alive(&info.init) ? ve_info_pidfd(&info.init) : -1;
	ve_info_close(&info);
	if (run.init_pidfd < 0)
		return err_set(err, ERR_NOT_RUNNING, "VE %u is not running", ve->id);
	if (read_offsets(&run, err)) {
		close(run.init_pidfd);
		return -1;
	}
	if (open_all(ve, &run, err)) {
		ve_run_close(&run);
		return -1;
	}
	*ret = run;
	return 0;
}

void ve_run_close(struct ve_run *run)
{
	cleanup_fd(&run->init_pidfd);
	cleanup_fd(&run->root_fd);
	cleanup_fd(&run->netns_fd);
	cleanup_fd(&run->userns_fd);
	cleanup_fd(&run->cgroup_fd);
	cleanup_fd(&run->boot_fd);
	*run = no_run;
}

int ve_is_running(const struct ve *ve)
{
	struct err ignored = ERR_INIT;
	struct ve_info info;
	int alive;

	if (ve_info_read(ve, &info, &ignored))
		return 0;
	alive = ve_info_alive(&info.init);
	ve_info_close(&info);
	return alive;
}

/* What a supervisor left that died; one that is just ending its VE is waited for. */
static int clean_up(struct ve *ve, bool running_too, struct err *err)
{
	int64_t until_ns = io_now_ns() + CLEAN_UP_TIMEOUT_MS * 1000000LL;

	for (;;) {
		err_clear(err);
		if (!launch_clean_up_orphan(ve, err))
			return 0;
		if (err->code != ERR_RUNNING || (!running_too && ve_is_running(ve)) || io_now_ns() > until_ns)
			return -1;
		poll(NULL, 0, 10);
	}
}

static void undo_boot(void *arg)
{
	struct err err = ERR_INIT;

	if (ve_kill(arg, &err))
		log_warn("%s", err.msg);
}

int ve_boot(struct ve *ve, const struct ve_boot_opts *opts, struct undo *undo, struct ve_run *ret,
	    struct err *err)
{
	_fd_ int fd = -1;

	if (ve_journal_may_boot(ve->node, ve->id, opts->locked, err))
		return -1;
	if (ve_is_running(ve))
		return err_set(err, ERR_RUNNING, "VE %u is running", ve->id);
	if (clean_up(ve, false, err))
		return -1;
	if (supervisor_start(ve, opts, &fd, err)) {
		struct err ignored = ERR_INIT;

		/* It undid its work, unless it was killed. */
		clean_up(ve, true, &ignored);
		return -1;
	}
	if (ve_run_open(ve, ret, err))
		return -1;
	ret->boot_fd = fd_take(&fd);
	undo_push(undo, "the VE's tasks, mounts, cgroups and network", undo_boot, ve);
	return 0;
}

int ve_boot_go(struct ve *ve, struct ve_run *run, struct err *err)
{
	int r = wire_call(run->boot_fd, WIRE_GO, 0, ANSWER_TIMEOUT_MS, err);

	if (!r)
		close(fd_take(&run->boot_fd));
	return r;
}

int ve_ctl_connect(const struct ve *ve, int *ret_fd, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char path[PATH_MAX];
	_fd_ int dir = -1;
	_fd_ int fd = -1;

	ve_path_run(ve, path);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set(err, ERR_NOT_RUNNING, "VE %u is not running", ve->id);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/ctl", dir);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return err_set(err, ERR_NOT_RUNNING, "VE %u is not running", ve->id);
		return err_sys(err, "supervisor of VE %u", ve->id);
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

int ve_lease_take(const struct ve *ve, enum ve_lease kind, bool remove, int *ret_fd, struct err *err)
{
	uint32_t flags = (kind == VE_LEASE_COMMIT ? WIRE_LEASE_COMMIT : 0) | (remove ? WIRE_LEASE_REMOVE : 0);
	_fd_ int fd = -1;

	if (ve_ctl_connect(ve, &fd, err) || wire_call(fd, WIRE_LEASE, flags, ANSWER_TIMEOUT_MS, err))
		return -1;
	*ret_fd = fd_take(&fd);
	return 0;
}

int ve_lease_end(int lease_fd, struct err *err)
{
	int r = wire_call(lease_fd, WIRE_LEASE_END, 0, ANSWER_TIMEOUT_MS, err);

	close(lease_fd);
	return r;
}

/* After its answer the supervisor ends; so does the connection. */
static int kill_through(int fd, struct err *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (wire_call(fd, WIRE_KILL, 0, KILL_TIMEOUT_MS, err))
		return -1;
	poll(&p, 1, 1000);
	return 0;
}

int ve_kill(const struct ve *ve, struct err *err)
{
	struct ve copy = *ve;
	struct err why = ERR_INIT;
	_fd_ int fd = -1;

	if (!ve_ctl_connect(ve, &fd, &why) && !kill_through(fd, &why))
		return 0;
	/* Without its supervisor we do its work. */
	if (!clean_up(&copy, true, err))
		return 0;
	return err_set(err, ERR_STOP, "VE %u cannot be ended: %s", ve->id, why.msg);
}

int ve_freeze(const struct ve_run *run, int timeout_ms, struct err *err)
{
	return cgroup_freeze(run->cgroup_fd, timeout_ms, err);
}

int ve_thaw(const struct ve_run *run, struct err *err)
{
	return cgroup_thaw(run->cgroup_fd, err);
}
