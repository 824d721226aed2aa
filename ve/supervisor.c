// SPDX-License-Identifier: GPL-2.0-only
#include "ve/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>

#include "kernel/netlock.h"
#include "ve/console.h"
#include "ve/journal.h"
#include "ve/launch.h"
#include "ve/node.h"
#include "ve/wire.h"

#define MAX_CLIENTS	 32
#define RECOVER_FIRST_MS 1000
#define RECOVER_LAST_MS	 60000

enum client_kind {
	CLIENT_PLAIN,
	CLIENT_STARTER, /* breaks: the VE ends, unless it was let go or a lease says otherwise */
	CLIENT_LEASE,
	CLIENT_KILLER, /* is answered when all is gone */
	CLIENT_CONSOLE,
};

struct client {
	int fd;
	enum client_kind kind;
	uint32_t lease_flags;
};

struct supervisor {
	struct launch launch;
	struct console console;
	struct client clients[MAX_CLIENTS];
	size_t nr_clients;
	int signal_fd;
	bool on_its_own;	 /* the starter is no longer needed */
	bool ending;		 /* the VE is to be ended */
	bool remove;		 /* and its config and private area */
	bool reboot;		 /* init asked for it */
	bool in_doubt;		 /* a commit's holder died: `verst recover` is to find out */
	struct netlock *netlock; /* taken while a commit's lease is held, or was broken; NULL: not prepared */
	pid_t recover_pid;
	int recover_wait_ms;
	int64_t recover_at_ns;
};

/* --- leases --- */

static struct client *lease_of(struct supervisor *s)
{
	for (size_t i = 0; i < s->nr_clients; i++)
		if (s->clients[i].kind == CLIENT_LEASE)
			return &s->clients[i];
	return NULL;
}

static void run_on(struct supervisor *s)
{
	struct ve_run run = {.cgroup_fd = s->launch.info.cgroup.v2_fd};
	struct err err = ERR_INIT;

	s->on_its_own = true;
	if (ve_thaw(&run, &err))
		log_warn("VE %u: %s", s->launch.ve->id, err.msg);
	strcpy(run.venet_host, s->launch.info.venet_host);
	err_clear(&err);
	if (ve_net_announce(s->launch.ve, &run, &err))
		log_warn("VE %u: %s", s->launch.ve->id, err.msg);
}

static void lease_broke(struct supervisor *s, uint32_t flags)
{
	if (flags & WIRE_LEASE_COMMIT) {
		s->in_doubt = true;
		s->recover_wait_ms = RECOVER_FIRST_MS;
		s->recover_at_ns = io_now_ns();
	} else if (ve_journal_committed(s->launch.ve->node, s->launch.ve->id)) {
		run_on(s);
	} else {
		s->ending = true;
		s->remove = flags & WIRE_LEASE_REMOVE;
	}
}

/* Our own program if that is the command line (it may be newer than what PATH has, and deleted), else the
 * installed one. */
static void exec_verst(const struct supervisor *s, const char *command)
{
	const struct ve *ve = s->launch.ve;
	char id[16];
	char *argv[] = {
		"verst", "--root", ve->node->root[0] ? ve->node->root : "/", (char *)(uintptr_t)command,
		id,	 NULL};
	char self[PATH_MAX];
	sigset_t none;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(id, sizeof(id), "%u", ve->id);
	self[n > 0 ? n : 0] = 0;
	if (strrchr(self, '/') && !strncmp(strrchr(self, '/'), "/verst", 6))
		execv("/proc/self/exe", argv);
	execvp("verst", argv);
	_exit(127);
}

static void try_recover(struct supervisor *s)
{
	if (!s->in_doubt || s->recover_pid || io_now_ns() < s->recover_at_ns)
		return;
	s->recover_pid = fork();
	if (!s->recover_pid)
		exec_verst(s, "recover");
	if (s->recover_pid < 0)
		s->recover_pid = 0;
}

static void recover_ended(struct supervisor *s, int status)
{
	s->recover_pid = 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		s->in_doubt = false;
		return;
	}
	s->recover_at_ns = io_now_ns() + s->recover_wait_ms * 1000000LL;
	s->recover_wait_ms = MIN(s->recover_wait_ms * 2, RECOVER_LAST_MS);
}

/* --- clients --- */

static void drop_client(struct supervisor *s, struct client *c)
{
	struct client gone = *c;

	*c = s->clients[--s->nr_clients];
	close(gone.fd);
	if (gone.kind == CLIENT_LEASE)
		lease_broke(s, gone.lease_flags);
	else if (gone.kind == CLIENT_STARTER && !s->on_its_own && !lease_of(s))
		s->ending = true;
}

static int go(struct supervisor *s, struct err *err)
{
	if (s->on_its_own)
		return err_set(err, ERR_RUNNING, "VE %u was let go before", s->launch.ve->id);
	if (write(s->launch.go_fd, "", 1) != 1)
		return err_sys(err, "init of VE %u", s->launch.ve->id);
	s->on_its_own = true;
	return 0;
}

/* Loading its programs takes up to 30 ms: a migration asks for that while the VE runs. */
static int prepare_netlock(struct supervisor *s, struct err *err)
{
	_fd_ int netns = -1;
	char path[64];

	if (s->netlock)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)s->launch.info.init.pid);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return err_sys(err, "%s", path);
	return netlock_prepare(netns, s->launch.info.cgroup.v2_fd, &s->netlock, err);
}

/*
 * The holder has a lock of its own, that goes when it dies. The VE would stand still then with its sockets on
 * the network: they would acknowledge bytes that nobody reads and that the VE at the other node never gets.
 */
static int lock_network(struct supervisor *s, struct err *err)
{
	return prepare_netlock(s, err) || netlock_take(s->netlock, err) ? -1 : 0;
}

static int take_lease(struct supervisor *s, struct client *c, uint32_t flags, struct err *err)
{
	if (lease_of(s))
		return err_set(err, ERR_LOCKED, "VE %u is in the hands of another command", s->launch.ve->id);
	if ((flags & WIRE_LEASE_COMMIT) && lock_network(s, err))
		return -1;
	c->kind = CLIENT_LEASE;
	c->lease_flags = flags;
	return 0;
}

static int end_lease(struct supervisor *s, struct client *c, struct err *err)
{
	if (c->kind != CLIENT_LEASE)
		return err_set(err, ERR_PROTOCOL, "no lease is held here");
	c->kind = CLIENT_PLAIN;
	s->on_its_own = true;
	s->in_doubt = false;
	if (s->netlock)
		netlock_release(s->netlock);
	return 0;
}

static void attach_console(struct supervisor *s, struct client *c)
{
	struct buf kept = {0};

	c->kind = CLIENT_CONSOLE;
	console_get(&s->console, &kept);
	for (size_t at = 0; at < kept.len_bytes; at += 4096)
		if (send(c->fd, kept.at + at, MIN(kept.len_bytes - at, 4096u), MSG_NOSIGNAL | MSG_DONTWAIT) <
		    0)
			break;
	buf_free(&kept);
}

static void serve(struct supervisor *s, struct client *c, const struct wire_msg *msg)
{
	struct err err = ERR_INIT;

	switch ((enum wire_type)msg->type) {
	case WIRE_GO:
		go(s, &err);
		break;
	case WIRE_KILL:
		s->ending = true;
		c->kind = CLIENT_KILLER;
		return;
	case WIRE_LEASE:
		take_lease(s, c, msg->flags, &err);
		break;
	case WIRE_LEASE_END:
		end_lease(s, c, &err);
		break;
	case WIRE_PREPARE:
		prepare_netlock(s, &err);
		break;
	case WIRE_CONSOLE:
		wire_send_reply(c->fd, &err);
		attach_console(s, c);
		return;
	default:
		err_set(&err, ERR_PROTOCOL, "unknown request %u", msg->type);
	}
	wire_send_reply(c->fd, &err);
}

static void type_on_console(struct supervisor *s, struct client *c)
{
	char bytes[4096];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		drop_client(s, c);
	else if (n > 0 && write(s->launch.console_fd, bytes, (size_t)n) < 0)
		log_debug("console: %m");
}

static void hear(struct supervisor *s, struct client *c)
{
	struct err err = ERR_INIT;
	struct wire_msg msg;
	ssize_t n;

	if (c->kind == CLIENT_CONSOLE) {
		type_on_console(s, c);
		return;
	}
	n = recv(c->fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_client(s, c);
		return;
	}
	if (wire_check(&msg, (size_t)n, &err))
		wire_send_reply(c->fd, &err);
	else
		serve(s, c, &msg);
}

static void add_client(struct supervisor *s, int fd, enum client_kind kind)
{
	s->clients[s->nr_clients++] = (struct client){.fd = fd, .kind = kind};
}

static void accept_client(struct supervisor *s)
{
	int fd = accept4(s->launch.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fd < 0)
		return;
	if (s->nr_clients == MAX_CLIENTS || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.uid)
		close(fd);
	else
		add_client(s, fd, CLIENT_PLAIN);
}

/* --- console, children --- */

static void hear_console(struct supervisor *s)
{
	uint8_t bytes[4096];
	ssize_t n = read(s->launch.console_fd, bytes, sizeof(bytes));

	if (n <= 0)
		return;
	console_put(&s->console, bytes, (size_t)n);
	for (size_t i = 0; i < s->nr_clients; i++)
		if (s->clients[i].kind == CLIENT_CONSOLE)
			send(s->clients[i].fd, bytes, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void reap(struct supervisor *s)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(s->signal_fd, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->recover_pid)
			recover_ended(s, status);
		if (pid != s->launch.info.init.pid)
			continue;
		s->ending = true;
		/* kernel/pid_namespace.c, reboot_pid_ns(): SIGHUP for a restart, SIGINT for halt and
		 * power-off */
		s->reboot = WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP;
	}
}

static void loop(struct supervisor *s)
{
	while (!s->ending) {
		struct pollfd p[MAX_CLIENTS + 3] = {
			{.fd = s->signal_fd, .events = POLLIN},
			{.fd = s->launch.listen_fd, .events = POLLIN},
			{.fd = s->launch.console_fd, .events = POLLIN},
		};
		int timeout_ms = s->in_doubt && !s->recover_pid ? 500 : -1;
		size_t nr = s->nr_clients;

		for (size_t i = 0; i < nr; i++)
			p[3 + i] = (struct pollfd){.fd = s->clients[i].fd, .events = POLLIN};
		if (poll(p, 3 + nr, timeout_ms) < 0 && errno != EINTR)
			break;
		if (p[0].revents)
			reap(s);
		if (p[2].revents)
			hear_console(s);
		/* Backwards: a client that is dropped leaves its place to the last one. */
		for (size_t i = nr; i-- > 0;)
			if (p[3 + i].revents)
				hear(s, &s->clients[i]);
		if (p[1].revents)
			accept_client(s);
		try_recover(s);
	}
}

/* --- birth and end --- */

static void log_to_syslog(enum log_level level, const char *text, void *arg)
{
	syslog(level == LEVEL_WARN ? LOG_WARNING : LOG_INFO, "%s", text);
}

/* Nothing of the starter is kept: no terminal, no session, no directory, no descriptor but the connection
 * (3). */
static int settle(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t all;

	prctl(PR_SET_NAME, "verst-ve");
	umask(022);
	if (chdir("/") || null < 0 || dup2(fd, 3) < 0)
		return -1;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return -1;
	fcntl(3, F_SETFD, FD_CLOEXEC);
	close_range(4, ~0u, 0);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	/* Blocked, so that nothing ends us before the VE; SIGCHLD is read from a descriptor. */
	sigfillset(&all);
	return sigprocmask(SIG_SETMASK, &all, NULL);
}

static void remove_ve(const struct ve *ve)
{
	struct err err = ERR_INIT;
	char path[PATH_MAX];

	ve_path_private(ve, path);
	if (io_remove_tree(AT_FDCWD, path, &err))
		log_warn("VE %u: %s", ve->id, err.msg);
	ve_node_path(path, ve->node->etc, "%u.conf", ve->id);
	unlink(path);
}

static void end(struct supervisor *s)
{
	struct err ok = ERR_INIT;

	/* a `verst recover` that found the VE to have moved has us end it here, and goes on after us */
	/* The files in RUN last: with them goes the lock that keeps the next supervisor waiting. */
	undo_run_to(&s->launch.undo, 1);
	if (s->remove)
		remove_ve(s->launch.ve);
	undo_run(&s->launch.undo);
	for (size_t i = 0; i < s->nr_clients; i++)
		if (s->clients[i].kind == CLIENT_KILLER)
			wire_send_reply(s->clients[i].fd, &ok);
	if (s->reboot)
		exec_verst(s, "start");
}

static void supervisor_main(struct ve *ve, const struct ve_boot_opts *opts, int fd)
{
	struct supervisor *s = mem_new(struct supervisor);
	struct err err = ERR_INIT;
	sigset_t chld;

	if (settle(fd))
		return;
	ve->lock_fd = -1;
	openlog("verst", LOG_PID, LOG_DAEMON);
	log_set_sink(log_to_syslog, NULL, LEVEL_INFO);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	s->signal_fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	launch_init(&s->launch, ve, opts);
	if (poll(&(struct pollfd){.fd = 3, .events = POLLIN}, 1, 0))
		return; /* the starter is gone already */
	launch_run(&s->launch, &err);
	if (wire_send_reply(3, &err) && !err.code)
		undo_run(&s->launch.undo);
	else if (!err.code) {
		add_client(s, 3, CLIENT_STARTER);
		loop(s);
		end(s);
	}
}

int supervisor_start(struct ve *ve, const struct ve_boot_opts *opts, int *ret_fd, struct err *err)
{
	struct wire_msg msg;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, "socketpair");
	pid = fork();
	if (!pid) {
		setsid();
		/* A lock belongs to all who have it open. */
		cleanup_fd(&ve->lock_fd);
		if (!fork())
			supervisor_main(ve, opts, pair[1]);
		_exit(0);
	}
	close(pair[1]);
	if (pid < 0) {
		err_sys(err, "fork");
	} else {
		waitpid(pid, NULL, 0);
		if (!wire_recv(pair[0], -1, &msg, err)) {
			if (!msg.code) {
				*ret_fd = pair[0];
				return 0;
			}
			err_set(err, (enum err_code)msg.code, "%s", msg.text);
		}
	}
	close(pair[0]);
	return -1;
}
