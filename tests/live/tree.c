/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process tree: pids, parents, process groups, sessions, an orphan, a daemon, and zombies with their
 * statuses.
 */
#include "tests/live/live.h"

enum { PLAIN, OWN_GROUP, IN_GROUP, OWN_SESSION, NESTED, GRANDCHILD, DAEMON, NR };

struct member {
	pid_t pid, ppid, pgid, sid;
};

static struct member *members;
static pid_t children[NR], exited, killed, terminated, in_group_of;
static volatile int *released;

static void record(struct member *m)
{
	m->pid = getpid();
	m->ppid = getppid();
	m->pgid = getpgid(0);
	m->sid = getsid(0);
}

static void check_self(int nr)
{
	const struct member *m = &members[nr];

	CHECK_EQ(getpid(), m->pid);
	CHECK_EQ(getppid(), m->ppid);
	CHECK_EQ(getpgid(0), m->pgid);
	CHECK_EQ(getsid(0), m->sid);
}

__attribute__((noreturn)) static void wait_and_end(int nr)
{
	record(&members[nr]);
	live_child_ready();
	live_go();
	check_self(nr);
	live_child_end();
}

__attribute__((noreturn)) static void nested(void)
{
	int fd = live_ready_fd;
	pid_t pid = live_fork();

	if (!pid)
		wait_and_end(GRANDCHILD);
	live_ready_fd = fd;
	record(&members[NESTED]);
	live_child_ready();
	live_go();
	check_self(NESTED);
	live_reap(pid); /* only its parent may */
	live_child_end();
}

/* Becomes an orphan in a session of its own, whose leader is gone: adopted by init. */
__attribute__((noreturn)) static void daemon_child(void)
{
	int fd = live_ready_fd;
	pid_t parent = getpid();

	setsid();
	if (fork())
		_exit(0);
	live_ready_fd = fd;
	while (getppid() == parent)
		poll(NULL, 0, 1);
	record(&members[DAEMON]);
	live_child_ready();
	live_go();
	check_self(DAEMON);
	CHECK(members[DAEMON].sid != members[DAEMON].pid);
	*released = 1;
	live_child_end();
}

static void start(int nr)
{
	children[nr] = live_fork();
	if (children[nr])
		return;
	switch (nr) {
	case OWN_GROUP:
		DO(setpgid(0, 0));
		break;
	case IN_GROUP:
		DO(setpgid(0, in_group_of));
		break;
	case OWN_SESSION:
		DO(setsid());
		break;
	case NESTED:
		nested();
	case DAEMON:
		daemon_child();
	}
	wait_and_end(nr);
}

static pid_t make_zombie(int code, int sig)
{
	pid_t pid = DO(fork());
	siginfo_t info;

	if (!pid) {
		if (sig)
			kill(getpid(), sig);
		_exit(code);
	}
	DO(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	return pid;
}

static int sabotage(int nr)
{
	int status;

	switch (nr) {
	case 1:
		members[IN_GROUP].pgid++;
		return 0;
	case 2:
		members[DAEMON].ppid++;
		return 0;
	case 3:
		return waitpid(exited, &status, 0) != exited;
	case 4:
		return kill(children[PLAIN], SIGKILL);
	case 5:
		members[GRANDCHILD].sid++;
		return 0;
	case 6: /* into another group of the session */
		return setpgid(children[PLAIN], children[OWN_GROUP]);
	}
	return -1;
}

static void check_zombies(void)
{
	siginfo_t info = {0};
	int status = 0;

	CHECK_EQ(waitid(P_PID, (id_t)exited, &info, WEXITED | WNOWAIT | WNOHANG), 0);
	CHECK_EQ(info.si_pid, exited);
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_status, 7);
	CHECK_EQ(waitpid(exited, &status, WNOHANG), exited);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	CHECK_EQ(waitpid(killed, &status, WNOHANG), killed);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK_EQ(waitpid(terminated, &status, WNOHANG), terminated);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

int main(void)
{
	struct member self;
	int status;

	members = DO(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	released = (int *)(members + NR);
	record(&self);
	for (int i = 0; i < NR; i++) {
		if (i == IN_GROUP)
			in_group_of = children[OWN_GROUP];
		if (i != GRANDCHILD)
			start(i);
	}
	CHECK_EQ(waitpid(children[DAEMON], &status, 0),
		 children[DAEMON]); /* the daemon's short-lived parent */
	exited = make_zombie(7, 0);
	killed = make_zombie(0, SIGKILL);
	terminated = make_zombie(0, SIGTERM);

	live_wait(sabotage);

	CHECK_EQ(getpid(), self.pid);
	CHECK_EQ(getsid(0), self.sid);
	CHECK_EQ(getpgid(0), self.pgid);
	check_zombies();
	live_reap(children[PLAIN]);
	live_reap(children[OWN_GROUP]);
	live_reap(children[IN_GROUP]);
	live_reap(children[OWN_SESSION]);
	live_reap(children[NESTED]);
	CHECK_ERRNO(waitpid(-1, &status, 0), ECHILD); /* the daemon is not ours */
	for (int i = 0; i < 200 && !*released; i++)
		poll(NULL, 0, 10);
	CHECK_EQ(*released, 1);
	return live_end();
}
