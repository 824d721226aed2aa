/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The members of a session keep its terminal: /dev/tty opens in each of them, and one in the background that
 * reads from it is stopped by SIGTTIN.
 */
#include <sys/ioctl.h>
#include <termios.h>

#include "tests/live/live.h"

static int master, slave;
static pid_t leader;
static volatile struct {
	pid_t foreground, background;
	int opened, stopped_by;
} * shared;

static void member(bool reads)
{
	char byte;
	int tty;

	setpgid(0, 0);
	live_child_ready();
	live_go();
	tty = open("/dev/tty", O_RDWR | O_NOCTTY);
	if (tty >= 0 && reads)
		(void)!read(tty, &byte, 1);
	if (tty >= 0 && !reads && write(tty, "here", 4) == 4)
		shared->opened = 1;
	live_child_end();
}

static pid_t start_member(bool reads)
{
	pid_t pid = live_fork();

	if (!pid)
		member(reads);
	setpgid(pid, pid);
	return pid;
}

static void lead(void)
{
	int status = 0;

	DO(setsid());
	DO(ioctl(slave, TIOCSCTTY, 0));
	signal(SIGTTOU, SIG_IGN);
	shared->foreground = start_member(false);
	shared->background = start_member(true);
	DO(tcsetpgrp(slave, shared->foreground));
	live_child_ready();
	live_go();
	for (int i = 0; i < 500 && !WIFSTOPPED(status); i++) {
		waitpid(shared->background, &status, WUNTRACED | WNOHANG);
		poll(NULL, 0, 10);
	}
	if (WIFSTOPPED(status))
		shared->stopped_by = WSTOPSIG(status);
	kill(shared->background, SIGKILL);
	waitpid(shared->foreground, NULL, 0);
	live_child_end();
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return kill(shared->foreground, SIGKILL);
	case 2:
		return kill(shared->background, SIGKILL);
	}
	return -1;
}

int main(void)
{
	struct pollfd p;
	char name[64], text[16];

	shared = DO(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	master = DO(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	DO(grantpt(master));
	DO(unlockpt(master));
	if (ptsname_r(master, name, sizeof(name)))
		live_die("ptsname");
	slave = DO(open(name, O_RDWR | O_NOCTTY));
	leader = live_fork();
	if (!leader)
		lead();
	close(slave);

	live_wait(sabotage);

	p = (struct pollfd){.fd = master, .events = POLLIN};
	CHECK(poll(&p, 1, 5000) == 1 && read(master, text, sizeof(text)) == 4 && !memcmp(text, "here", 4));
	live_reap(leader);
	CHECK_EQ(shared->opened, 1);
	CHECK_EQ(shared->stopped_by, SIGTTIN);
	return live_end();
}
