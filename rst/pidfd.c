// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors of processes. All that live, and zombies, are there when files are opened. For one that is gone
 * a child of ours ends in the VE's pid namespace as it did: what is left of either is a descriptor that says
 * so.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "rst/file.h"

/* PIDFD_NONBLOCK and PIDFD_THREAD (include/uapi/linux/pidfd.h) */
#define PIDFD_FLAGS (O_NONBLOCK | O_EXCL)

static int open_of(pid_t pid, const struct file_obj *f, int *ret_fd, struct err *err)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, f->flags & PIDFD_FLAGS);

	if (fd < 0)
		return err_sys(err, "pidfd_open");
	*ret_fd = fd;
	return 0;
}

/* --- of one that is gone --- */

/* In the child: waits until the descriptors are made, then ends. */
static _Noreturn void end_as(int wait_fd, uint32_t exit_code)
{
	int sig = (int)(exit_code & 0x7f);
	struct rlimit none = {0};
	sigset_t all;
	char byte;

	while (read(wait_fd, &byte, 1) < 0 && errno == EINTR)
		;
	if (sig) {
		setrlimit(RLIMIT_CORE, &none);
		signal(sig, SIG_DFL);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		kill((pid_t)syscall(SYS_getpid), sig);
	}
	_exit((int)(exit_code >> 8 & 0xff));
}

static int fork_into_ve(const struct rst *r, const int ends[2], uint32_t exit_code, pid_t *ret_pid,
			struct err *err)
{
	_fd_ int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	_fd_ int init = (int)syscall(SYS_pidfd_open, r->run.init_pid, 0);
	pid_t pid;

	if (own < 0 || init < 0 || setns(init, CLONE_NEWPID))
		return err_sys(err, "pid namespace of the VE");
	pid = fork();
	if (!pid) {
		close(ends[1]);
		end_as(ends[0], exit_code);
	}
	if (pid < 0)
		err_sys(err, "fork");
	else
		*ret_pid = pid;
	if (setns(own, CLONE_NEWPID)) { /* children of ours would be born there for good */
		log_warn("own pid namespace: %s", strerror(errno));
		abort();
	}
	return pid < 0 ? -1 : 0;
}

static int reap(pid_t pid, struct err *err)
{
	int status;

	while (waitpid(pid, &status, WUNTRACED) < 0)
		if (errno != EINTR)
			return err_sys(err, "waitpid");
	if (!WIFSTOPPED(status))
		return 0;
	kill(pid, SIGKILL); /* an exit code that is none */
	waitpid(pid, &status, 0);
	return err_set(err, ERR_IMAGE, "a process cannot have ended by signal %d", WSTOPSIG(status));
}

/* All descriptors of that process at once, as afterwards nobody can have another. */
static int open_dead(struct rst *r, const struct pidfd_obj *obj, struct err *err)
{
	struct rst_file_state *s = rst_file_state(r);
	int ends[2], ret = 0;
	_fd_ int wait_end = -1, end_end = -1;
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC))
		return err_sys(err, "pipe2");
	wait_end = ends[0];
	end_end = ends[1];
	if (fork_into_ve(r, ends, obj->exit_code, &pid, err))
		return -1;
	vec_each(f, &r->m.files) {
		struct rst_pidfd p = {.file = f->id};

		if (ret || f->kind != FILE_PIDFD || f->of != obj->id)
			continue;
		ret = open_of(pid, f, &p.fd, err);
		if (!ret)
			vec_push(&s->pidfds, p);
	}
	cleanup_fd(&end_end);
	end_end = -1;
	return reap(pid, ret ? &(struct err){0} : err) || ret ? -1 : 0;
}

static struct rst_pidfd *dead_of(struct rst *r, file_id id)
{
	vec_each(p, &rst_file_state(r)->pidfds)
		if (p->file == id)
			return p;
	return NULL;
}

/* --- the kind --- */

static int pidfd_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	const struct pidfd_obj *obj = model_pidfd(&r->m, f->of);
	const struct rst_task *t = obj->pid ? rst_tree_find(r, obj->pid) : NULL;
	struct rst_pidfd *p;

	if (obj->pid && !t)
		return err_set(err, ERR_IMAGE, "pidfd of task %u, which does not exist", obj->pid);
	if (t)
		return open_of(t->pid, f, ret_fd, err);
	p = dead_of(r, f->id);
	if (!p && open_dead(r, obj, err))
		return err_ctx(err, "pidfd of a process that is gone");
	p = dead_of(r, f->id);
	*ret_fd = fd_take(&p->fd);
	return 0;
}

const struct rst_file_kind rst_pidfd_kind = {.kind = FILE_PIDFD, .open = pidfd_open};
