// SPDX-License-Identifier: GPL-2.0-only
/*
 * A command in a VE takes three processes: an envoy of the caller enters the namespaces; its child, the
 * waiter, is in the VE's pid namespace (setns only moves children there) and is made the caller's own child;
 * the command is the waiter's. If the caller dies so does the waiter, and the command falls to the VE's init,
 * as an orphan inside would: the kernel seeks the new parent in the pid namespace of the dead one.
 */
#include "ve/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>

#include "facts/proc.h"
#include "kernel/cgroup.h"
#include "kernel/helper.h"
#include "kernel/jail.h"
#include "kernel/ns.h"
#include "ve/info.h"
#include "ve/node.h"

struct verst_exec {
	pid_t envoy;
	int pidfd;
	int ours[3];   /* our ends */
	int theirs[3]; /* the command's; closed once it runs */
	bool pty;
};

static void close_fds(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		bool twice = false;

		for (int j = 0; j < i; j++)
			twice |= fds[j] == fds[i];
		if (!twice)
			cleanup_fd(&fds[i]);
	}
	fds[0] = fds[1] = fds[2] = -1;
}

/* --- standard streams --- */

/*
 * The pipes are given to the VE's root: a program that opens /dev/stdout anew is asked for its right to.
 * Pipes also keep the host's own terminal and files out of the VE, where nobody may type into the one or
 * remember the other.
 */
static int make_pipes(struct verst_exec *e, unsigned uid_base, struct err *err)
{
	for (int i = 0; i < 3; i++) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC))
			return err_sys(err, "pipe");
		e->ours[i] = fds[i == 0];
		e->theirs[i] = fds[i != 0];
		if (fchown(e->theirs[i], uid_base, uid_base))
			return err_sys(err, "pipe");
	}
	return 0;
}

/* The VE may have put anything there; only a ptmx of a devpts is taken. */
static int open_ptmx(int root_fd, struct err *err)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS};
	_fd_ int path_fd = (int)syscall(SYS_openat2, root_fd, "dev/pts/ptmx", &how, sizeof(how));
	char path[64];
	struct stat st;
	int fd;

	if (path_fd < 0 || fstat(path_fd, &st))
		return err_sys(err, "/dev/pts/ptmx of the VE");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return err_set(err, ERR_SYSTEM, "/dev/pts/ptmx of the VE is no pseudo-terminal multiplexer");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "pseudo-terminal of the VE") : fd;
}

static int make_pty(struct verst_exec *e, const struct ve_run *run, const struct verst_exec_opts *opts,
		    struct err *err)
{
	struct winsize size = {.ws_row = opts->rows, .ws_col = opts->cols};
	_fd_ int master = open_ptmx(run->root_fd, err);
	_fd_ int slave = -1;
	int unlock = 0;

	if (master < 0)
		return -1;
	if (!ioctl(master, TIOCSPTLCK, &unlock))
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || fchown(slave, run->uid_base, run->uid_base + 5))
		return err_sys(err, "pseudo-terminal of the VE");
	if (size.ws_row && size.ws_col)
		ioctl(master, TIOCSWINSZ, &size);
	e->pty = true;
	e->ours[0] = e->ours[1] = fd_take(&master);
	e->theirs[0] = e->theirs[1] = e->theirs[2] = fd_take(&slave);
	return 0;
}

/* --- in the VE --- */

static void exec_login_shell(void)
{
	char *const bash[] = {"-bash", NULL}, *const sh[] = {"-sh", NULL};

	execv("/bin/bash", bash);
	execv("/bin/sh", sh);
}

static void run_command(const struct verst_exec *e, const struct verst_exec_opts *opts)
{
	struct err err = ERR_INIT;
	sigset_t none;

	setsid();
	if (e->pty && ioctl(e->theirs[0], TIOCSCTTY, 0))
		_exit(126);
	for (int i = 0; i < 3; i++)
		if (dup2(e->theirs[i], i) < 0)
			_exit(126);
	close_range(3, ~0u, 0);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("container", "verst", 1);
	if (opts->term)
		setenv("TERM", opts->term, 1);
	if (jail_drop_caps(&err))
		_exit(126);
	if (!opts->argv && !chdir("/root"))
		setenv("USER", "root", 1);
	if (opts->argv)
		execvp(opts->argv[0], (char *const *)(uintptr_t)opts->argv);
	else
		exec_login_shell();
	_exit(errno == ENOENT ? 127 : 126);
}

/* Nothing may read from our memory or through our descriptors: the VE's root shares its user namespace with
 * us. */
static void wait_for_command(pid_t command)
{
	int status = 0;

	close_range(0, ~0u, 0);
	prctl(PR_SET_NAME, "verst-exec");
	while (waitpid(command, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* Our command line tells of the host, and it shows in the VE's ps. */
static void blank_arguments(const struct proc_stat *self)
{
	if (self->arg_start && self->arg_end > self->arg_start)
		memset((void *)(uintptr_t)self->arg_start, 0, self->arg_end - self->arg_start);
}

static void be_waiter(const struct verst_exec *e, const struct verst_exec_opts *opts,
		      const struct proc_stat *self)
{
	pid_t command;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	command = fork();
	if (!command)
		run_command(e, opts);
	if (command < 0)
		_exit(126);
	blank_arguments(self);
	wait_for_command(command);
}

static int enter(const struct ve_run *run, const struct cgroup *cg, struct err *err)
{
	const int namespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
			       CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME;

	prctl(PR_SET_DUMPABLE, 0);
	if (cgroup_join_like(cg, run->init_pid, err) || ns_set_rlimits(err))
		return -1;
	if (setns(run->init_pidfd, namespaces))
		return err_sys(err, "entering the VE's namespaces");
	if (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0) || chdir("/"))
		return err_sys(err, "becoming the VE's root");
	umask(022);
	return 0;
}

/* The rest of the envoy's life: until the waiter ends, or our caller does (SIGTERM, by PR_SET_PDEATHSIG). */
static void watch(pid_t waiter, pid_t caller, const sigset_t *signals)
{
	int status = 0, signal = 0;

	if (getppid() != caller)
		kill(waiter, SIGKILL);
	close_range(0, ~0u, 0);
	while (waitpid(waiter, &status, WNOHANG) == 0)
		if (!sigwait(signals, &signal) && signal == SIGTERM)
			kill(waiter, SIGKILL);
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

struct errand {
	struct verst_exec *e;
	const struct ve_run *run;
	const struct cgroup *cg;
	const struct verst_exec_opts *opts;
	pid_t caller;
};

static pid_t fork_waiter(const struct errand *errand, struct err *err)
{
	_fd_ int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct proc_stat self;
	pid_t pid;

	if (proc < 0)
		return err_sys(err, "/proc/self");
	if (proc_stat_read(proc, &self, err) || enter(errand->run, errand->cg, err))
		return -1;
	pid = fork();
	if (!pid)
		be_waiter(errand->e, errand->opts, &self);
	return pid < 0 ? err_sys(err, "fork in the VE") : pid;
}

static void be_envoy(const struct errand *errand, int report_fd)
{
	struct err err = ERR_INIT;
	sigset_t signals;
	pid_t waiter;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	waiter = fork_waiter(errand, &err);
	/* After the change of ids, which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	helper_send(report_fd, &err, -1);
	if (waiter < 0)
		_exit(126);
	watch(waiter, errand->caller, &signals);
}

/* --- outside --- */

static int send_envoy(struct errand *errand, struct err *err)
{
	struct verst_exec *e = errand->e;
	int pair[2], r;

	errand->caller = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, "socketpair");
	e->envoy = fork();
	if (!e->envoy) {
		close(pair[0]);
		be_envoy(errand, pair[1]);
	}
	close(pair[1]);
	r = e->envoy < 0 ? err_sys(err, "fork") : helper_recv(pair[0], NULL, err);
	close(pair[0]);
	if (!r && (e->pidfd = pidfd_open(e->envoy, 0)) < 0)
		r = err_sys(err, "pidfd");
	if (r && e->envoy > 0) {
		kill(e->envoy, SIGTERM);
		waitpid(e->envoy, NULL, 0);
	}
	return r;
}

static int find_cgroups(const struct ve *ve, const struct ve_run *run, struct cgroup *ret, struct err *err)
{
	struct ve_info info;

	if (ve_info_read(ve, &info, err))
		return -1;
	info.cgroup.v2_fd = fcntl(run->cgroup_fd, F_DUPFD_CLOEXEC, 3);
	if (info.cgroup.v2_fd < 0) {
		ve_info_close(&info);
		return err_sys(err, "cgroup");
	}
	*ret = info.cgroup;
	info.cgroup = CGROUP_INIT;
	ve_info_close(&info);
	return 0;
}

int exec_in(const struct ve *ve, const struct ve_run *run, const struct verst_exec_opts *opts,
	    struct verst_exec **ret, struct err *err)
{
	struct verst_exec *e = mem_new(struct verst_exec);
	struct cgroup cg = CGROUP_INIT;
	struct errand errand = {e, run, &cg, opts, 0};
	int r;

	*e = (struct verst_exec){.pidfd = -1, .ours = {-1, -1, -1}, .theirs = {-1, -1, -1}};
	r = find_cgroups(ve, run, &cg, err);
	if (!r)
		r = opts->pty ? make_pty(e, run, opts, err) : make_pipes(e, run->uid_base, err);
	if (!r)
		r = send_envoy(&errand, err);
	cgroup_close(&cg);
	close_fds(e->theirs);
	if (r) {
		exec_abandon(e);
		return -1;
	}
	*ret = e;
	return 0;
}

int verst_exec_start(struct verst *v, const char *id_or_name, const struct verst_exec_opts *opts,
		     struct verst_exec **ret, struct err *err)
{
	struct ve_run run;
	struct ve ve;
	int r;

	if (ve_open(&v->node, id_or_name, false, &ve, err))
		return -1;
	r = ve_run_open(&ve, &run, err);
	if (!r) {
		r = cgroup_is_frozen(run.cgroup_fd) ? err_set(err, ERR_LOCKED, "VE %u is frozen", ve.id)
						    : exec_in(&ve, &run, opts, ret, err);
		ve_run_close(&run);
	}
	ve_close(&ve);
	return r;
}

void verst_exec_fds(const struct verst_exec *e, int ret_fds[3])
{
	memcpy(ret_fds, e->ours, sizeof(e->ours));
}

void verst_exec_close_in(struct verst_exec *e)
{
	if (!e->pty)
		cleanup_fd(&e->ours[0]);
	e->ours[0] = -1;
}

int verst_exec_pidfd(const struct verst_exec *e)
{
	return e->pidfd;
}

void exec_abandon(struct verst_exec *e)
{
	close_fds(e->ours);
	cleanup_fd(&e->pidfd);
	free(e);
}

int verst_exec_wait(struct verst_exec *e, int *ret_code, struct err *err)
{
	int status, r;

	/* A command that still writes to us would wait for ever. */
	close_fds(e->ours);
	while ((r = waitpid(e->envoy, &status, 0)) < 0 && errno == EINTR)
		;
	if (r < 0)
		err_sys(err, "waiting for the command");
	else
		*ret_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	exec_abandon(e);
	return r < 0 ? -1 : 0;
}
