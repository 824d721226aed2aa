// SPDX-License-Identifier: GPL-2.0-only
#include "ve/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include "kernel/devices.h"
#include "kernel/helper.h"
#include "kernel/ns.h"
#include "kernel/overlay.h"
#include "ve/init.h"
#include "ve/net.h"
#include "ve/node.h"
#include "ve/open.h"

#define UID_FIRST    100000u
#define NR_UID_SLOTS 60000u

void launch_init(struct launch *l, struct ve *ve, const struct ve_boot_opts *opts)
{
	*l = (struct launch){
		.ve = ve,
		.opts = *opts,
		.info = {.cgroup = CGROUP_INIT},
		.jail = JAIL_INIT,
		.userns_fd = -1,
		.init_pidfd = -1,
		.go_fd = -1,
		.console_fd = -1,
		.slave_fd = -1,
		.listen_fd = -1,
		.lock_fd = -1,
	};
	l->info.monotonic_offset_ns = opts->monotonic_offset_ns;
	l->info.boottime_offset_ns = opts->boottime_offset_ns;
	ve_path_root(ve, l->root);
}

/* --- files of RUN/ID --- */

static void undo_files(void *arg)
{
	static const char *const names[] = {"info", "info.new", "ctl", "supervisor"};
	struct launch *l = arg;
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ve_node_path(path, l->ve->node->run, "%u/%s", l->ve->id, names[i]);
		unlink(path);
	}
}

/* Two supervisors of one VE would undo each other: the lock is held from before anything is made until all is
 * undone. */
static int lock_supervisor(struct launch *l, struct err *err)
{
	char path[PATH_MAX];

	ve_path_run(l->ve, path);
	if (io_mkdir_p(path, 0755, err))
		return -1;
	strcat(path, "/supervisor");
	switch (ve_open_lock_file(path, &l->lock_fd, err)) {
	case 0:
		undo_push(&l->undo, "files in run", undo_files, l);
		return 0;
	case 1:
		return err_set(err, ERR_RUNNING, "VE %u is running, or still being stopped", l->ve->id);
	default:
		return -1;
	}
}

/* A socket's path has 107 characters at most; through /proc the directory may be any. */
static int listen_ctl(struct launch *l, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char path[PATH_MAX];
	_fd_ int dir = -1;
	_fd_ int fd = -1;

	ve_path_run(l->ve, path);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (dir < 0 || fd < 0)
		return err_sys(err, "%s", path);
	unlinkat(dir, "ctl", 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/ctl", dir);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || fchmodat(dir, "ctl", 0600, 0) ||
	    listen(fd, 16))
		return err_sys(err, "%s/ctl", path);
	l->listen_fd = fd_take(&fd);
	return 0;
}

/* --- root --- */

static void undo_root(void *arg)
{
	struct launch *l = arg;

	/* Somebody on the host may have its working directory there: then the mount goes when they leave. */
	if (umount2(l->root, UMOUNT_NOFOLLOW) && umount2(l->root, MNT_DETACH | UMOUNT_NOFOLLOW) &&
	    errno != EINVAL && errno != ENOENT)
		log_warn("umount %s: %m", l->root);
	rmdir(l->root);
}

static int template_dir(const struct launch *l, char ret[static PATH_MAX], struct err *err)
{
	const char *name = ve_conf_get(&l->ve->conf, "OSTEMPLATE");

	if (!name || !*name || strchr(name, '/') || name[0] == '.')
		return err_set(err, ERR_NO_TEMPLATE, "VE %u: OSTEMPLATE names no template", l->ve->id);
	ve_node_path(ret, l->ve->node->lib, "template/%.63s/root", name);
	if (access(ret, F_OK))
		return err_set(err, ERR_NO_TEMPLATE, "there is no template '%s'", name);
	return 0;
}

static int mount_root(struct launch *l, struct err *err)
{
	char lower[PATH_MAX], private_dir[PATH_MAX];
	struct overlay_opts opts = {.lower = lower,
				    .private_dir = private_dir,
				    .userns_fd = l->userns_fd,
				    .uid_base = l->info.uid_base,
				    .scratch = l->root};
	_fd_ int fd = -1;

	ve_path_private(l->ve, private_dir);
	if (access(private_dir, F_OK))
		return err_sys(err, "private area %s", private_dir);
	if (template_dir(l, lower, err) || io_mkdir_p(l->root, 0755, err))
		return -1;
	undo_push(&l->undo, "root", undo_root, l);
	if (overlay_mount(&opts, &fd, err))
		return -1;
	if (move_mount(fd, "", AT_FDCWD, l->root, MOVE_MOUNT_F_EMPTY_PATH))
		return err_sys(err, "mount %s", l->root);
	return 0;
}

/* --- user namespace --- */

static bool uid_base_taken(const struct launch *l, unsigned uid_base)
{
	struct err ignored = ERR_INIT;
	struct ve_ids ids;
	bool taken = false;

	if (ve_node_ids(l->ve->node, &ids, &ignored))
		return false;
	vec_each(id, &ids) {
		struct ve other = {.node = l->ve->node, .id = *id, .lock_fd = -1};
		struct ve_info info;

		if (*id == l->ve->id || ve_info_read(&other, &info, &ignored))
			continue;
		taken |= info.uid_base == uid_base;
		ve_info_close(&info);
	}
	vec_free(&ids);
	return taken;
}

/* By the id, so that a VE has the same at each start, unless one with that is running. */
static int make_user_ns(struct launch *l, struct err *err)
{
	unsigned slot = l->ve->id % NR_UID_SLOTS;

	do
		l->info.uid_base = UID_FIRST + slot * NS_NR_IDS;
	while (uid_base_taken(l, l->info.uid_base) && ((slot = (slot + 1) % NR_UID_SLOTS)));
	return ns_make_user(l->info.uid_base, &l->userns_fd, err);
}

/* --- console --- */

static int open_console(struct launch *l, char *ret_path, size_t path_bytes, struct err *err)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	struct stat st;
	int unlock = 0;

	l->console_fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (l->console_fd < 0 || ioctl(l->console_fd, TIOCSPTLCK, &unlock) ||
	    ptsname_r(l->console_fd, ret_path, path_bytes))
		return err_sys(err, "console");
	l->slave_fd = open(ret_path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (l->slave_fd < 0 || fstat(l->slave_fd, &st) || fchmod(l->slave_fd, 0620) ||
	    fchown(l->slave_fd, l->info.uid_base, l->info.uid_base + 5))
		return err_sys(err, "console %s", ret_path);
	ioctl(l->console_fd, TIOCSWINSZ, &size);
	l->info.console_major = major(st.st_rdev);
	l->info.console_minor = minor(st.st_rdev);
	return 0;
}

/* --- cgroups --- */

static void undo_cgroups(void *arg)
{
	struct launch *l = arg;

	if (l->info.cgroup.name)
		cgroup_remove(&l->info.cgroup);
	cgroup_close(&l->info.cgroup);
}

static int make_cgroups(struct launch *l, struct err *err)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", l->ve->id);
	if (cgroup_make(&l->info.cgroup, l->ve->node->cgroup, name, l->info.uid_base, err))
		return -1;
	undo_push(&l->undo, "cgroups", undo_cgroups, l);
	return devices_limit(&l->info.cgroup, err);
}

/* --- init --- */

static void undo_tasks(void *arg)
{
	struct launch *l = arg;
	struct err err = ERR_INIT;

	if (l->init_pidfd >= 0)
		pidfd_send_signal(l->init_pidfd, SIGKILL, NULL, 0);
	if (l->info.cgroup.v2_fd >= 0 && cgroup_kill(l->info.cgroup.v2_fd, &err))
		log_warn("%s", err.msg);
	if (l->init_pidfd >= 0) {
		struct pollfd p = {.fd = l->init_pidfd, .events = POLLIN};

		poll(&p, 1, 10000);
		waitpid(l->info.init.pid, NULL, WNOHANG);
	}
}

/* The helper of ns_enter_user: its children are in the time namespace, and init is one of them, but born to
 * us. */
static void run_helper(struct launch *l, const struct init_opts *opts, int report_fd)
{
	struct ns_offsets offsets = {l->opts.monotonic_offset_ns, l->opts.boottime_offset_ns};
	struct err err = ERR_INIT;
	pid_t pid = -1;

	if (!cgroup_join(&l->info.cgroup, &err) && !ns_set_rlimits(&err) &&
	    !ns_enter_user(l->userns_fd, &offsets, &err))
		pid = ns_fork_init(&err);
	if (pid == 0) {
		close(report_fd);
		init_main(opts);
	}
	helper_send(report_fd, &err, -1);
	_exit(write(report_fd, &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
}

static int fork_init(struct launch *l, const struct init_opts *opts, struct err *err)
{
	int pair[2], r;
	pid_t helper, pid = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, "socketpair");
	helper = fork();
	if (!helper) {
		close(pair[0]);
		run_helper(l, opts, pair[1]);
	}
	close(pair[1]);
	r = helper < 0 ? err_sys(err, "fork") : helper_recv(pair[0], NULL, err);
	if (!r &&
	    (read(pair[0], &pid, sizeof(pid)) != sizeof(pid) || (l->init_pidfd = pidfd_open(pid, 0)) < 0))
		r = err_sys(err, "init");
	close(pair[0]);
	if (helper > 0)
		waitpid(helper, NULL, 0);
	undo_push(&l->undo, "tasks", undo_tasks, l);
	return r ? -1 : ve_info_identify(pid, &l->info.init, err);
}

/* The addresses may have been changed since the start, and be noted in RUN/ID/info alone. */
static void undo_venet(void *arg)
{
	struct err err = ERR_INIT, ignored = ERR_INIT;
	struct launch *l = arg;
	struct ve_info now;

	if (!ve_info_read(l->ve, &now, &ignored)) {
		strcpy(l->info.venet_host, now.venet_host);
		vec_free(&l->info.addrs);
		l->info.addrs = now.addrs;
		now.addrs = (struct venet_addrs){0};
		ve_info_close(&now);
	}
	if (!l->info.venet_host[0])
		return;
	if (venet_withdraw(l->info.venet_host, &l->info.addrs, &err) ||
	    venet_remove(l->info.venet_host, &err))
		log_warn("%s", err.msg);
}

static int make_venet(struct launch *l, struct err *err)
{
	char path[64];
	_fd_ int netns = -1;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)l->info.init.pid);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return err_sys(err, "%s", path);
	undo_push(&l->undo, "venet", undo_venet, l);
	if (!l->info.addrs.nr)
		return venet_up_loopback(netns, err);
	vec_each(addr, &l->info.addrs)
		if (ve_net_check_free(l->ve, *addr, true, err))
			return -1;
	ve_net_host_name(l->ve, l->info.venet_host);
	if (venet_make(l->info.venet_host, netns, &l->info.addrs, err))
		return err_code(err, ERR_ADD_IP);
	return 0;
}

static int make_init(struct launch *l, struct err *err)
{
	int go[2] = {-1, -1}, report[2] = {-1, -1}, r;
	struct init_opts opts = {.ve = l->ve, .jail = &l->jail, .locked = l->opts.locked};

	if (pipe2(go, O_CLOEXEC) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report))
		return err_sys(err, "pipe");
	opts.go_fd = go[0];
	opts.report_fd = report[1];
	l->go_fd = go[1];
	r = fork_init(l, &opts, err);
	close(go[0]);
	close(report[1]);
	if (!r)
		r = make_venet(l, err);
	if (!r)
		r = helper_recv(report[0], NULL, err);
	close(report[0]);
	return r;
}

static int launch_steps(struct launch *l, struct err *err)
{
	char console[64];

	if (ve_net_addrs(&l->ve->conf, &l->info.addrs, err) || lock_supervisor(l, err) ||
	    make_user_ns(l, err) || fault_point("boot-userns", err) || mount_root(l, err) ||
	    fault_point("boot-root", err) || open_console(l, console, sizeof(console), err) ||
	    make_cgroups(l, err) || fault_point("boot-cgroups", err) ||
	    jail_prepare(&l->jail, l->root, console, err) || make_init(l, err) ||
	    fault_point("boot-init", err) || listen_ctl(l, err))
		return -1;
	jail_close(&l->jail);
	l->info.started_s = time(NULL);
	if (ve_info_identify(getpid(), &l->info.supervisor, err) || ve_info_write(l->ve, &l->info, err))
		return -1;
	if (fault_point("boot-info", err) || l->opts.locked || !l->info.addrs.nr)
		return err->code ? -1 : 0;
	/* Last, when it is written down: should we be killed, whoever cleans up knows what to take back. */
	return venet_announce(l->info.venet_host, &l->info.addrs, err);
}

int launch_run(struct launch *l, struct err *err)
{
	if (!launch_steps(l, err))
		return 0;
	undo_run(&l->undo);
	return -1;
}

/*
 * What it wrote down, else what it must have been. Without its own word we kill nothing: the tasks of such a
 * group may be another node's, and init ends by itself when its supervisor dies before the VE was let go.
 */
static void find_orphan(struct launch *l, const char *name)
{
	struct err ignored = ERR_INIT;

	if (ve_info_read(l->ve, &l->info, &ignored)) {
		cgroup_find(&l->info.cgroup, l->ve->node->cgroup, name, &ignored);
		return;
	}
	cgroup_open_v2(l->ve->node->cgroup, name, &l->info.cgroup.v2_fd, &ignored);
	l->init_pidfd = ve_info_pidfd(&l->info.init);
	undo_push(&l->undo, "tasks", undo_tasks, l);
	undo_push(&l->undo, "venet", undo_venet, l);
}

int launch_clean_up_orphan(struct ve *ve, struct err *err)
{
	struct ve_boot_opts opts = {0};
	struct launch l;
	char name[16];

	snprintf(name, sizeof(name), "%u", ve->id);
	launch_init(&l, ve, &opts);
	if (lock_supervisor(&l, err)) {
		undo_forget(&l.undo);
		return -1;
	}
	undo_push(&l.undo, "root", undo_root, &l);
	undo_push(&l.undo, "cgroups", undo_cgroups, &l);
	find_orphan(&l, name);
	undo_run(&l.undo);
	ve_info_close(&l.info);
	cleanup_fd(&l.init_pidfd);
	cleanup_fd(&l.lock_fd);
	return 0;
}
