/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A terminal: pty pair with queued input and output, settings, window size, a session that has it as its
 * controlling terminal, foreground and background group, packet mode, a pair whose far end is closed.
 */
#include <sys/ioctl.h>
#include <termios.h>

#include "tests/live/live.h"

static int master, slave, raw_master, raw_slave, lonely_master;
static pid_t leader;
static volatile struct {
	pid_t foreground;
	int interrupted;
} * shared;

static void open_pair(int *ret_master, int *ret_slave)
{
	char name[64];

	*ret_master = DO(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	DO(grantpt(*ret_master));
	DO(unlockpt(*ret_master));
	if (ptsname_r(*ret_master, name, sizeof(name)))
		live_die("ptsname");
	*ret_slave = DO(open(name, O_RDWR | O_NOCTTY));
}

static void interrupt(int sig)
{
	shared->interrupted++;
}

static void set_up_terminal(void)
{
	struct winsize size = {.ws_row = 33, .ws_col = 111, .ws_xpixel = 7};
	struct termios t;

	DO(ioctl(slave, TIOCSWINSZ, &size));
	DO(tcgetattr(slave, &t));
	t.c_lflag &= ~(tcflag_t)(ECHO);
	t.c_cc[VINTR] = 'Q';
	t.c_cc[VERASE] = '#';
	cfsetospeed(&t, B38400);
	DO(tcsetattr(slave, TCSANOW, &t));
}

/* leads a session on the terminal, with one group in the foreground and itself behind it */
static void lead(void)
{
	pid_t pid;
	int tty;

	DO(setsid());
	DO(ioctl(slave, TIOCSCTTY, 0));
	signal(SIGTTOU, SIG_IGN);
	pid = DO(fork());
	if (!pid) {
		setpgid(0, 0);
		signal(SIGINT, interrupt);
		for (;;)
			poll(NULL, 0, 1000);
	}
	shared->foreground = pid;
	setpgid(pid, pid);
	DO(tcsetpgrp(slave, shared->foreground));
	poll(NULL, 0, 50);
	live_child_ready();
	live_go();
	CHECK_EQ(tcgetpgrp(slave), shared->foreground);
	CHECK_EQ(tcgetsid(slave), getpid());
	tty = open("/dev/tty", O_RDWR);
	CHECK(tty >= 0 && ioctl(tty, TIOCGSID, &(pid_t){0}) == 0);
	for (int i = 0; i < 200 && !shared->interrupted; i++)
		poll(NULL, 0, 10);
	kill(shared->foreground, SIGKILL);
	live_child_end();
}

static int sabotage(int nr)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	struct termios t;
	char byte;

	switch (nr) {
	case 1:
		return ioctl(master, TIOCSWINSZ, &size);
	case 2:
		return tcgetattr(slave, &t) || (t.c_cc[VERASE] = 1, tcsetattr(slave, TCSANOW, &t));
	case 3:
		return read(raw_slave, &byte, 1) != 1;
	case 4:
		return read(raw_master, &byte, 1) != 1;
	case 5:
		return kill(shared->foreground, SIGKILL);
	case 6:
		return tcgetattr(slave, &t) || (t.c_lflag |= ECHO, tcsetattr(slave, TCSANOW, &t));
	case 7:
		return fcntl(raw_master, F_SETFL, 0);
	}
	return -1;
}

static void check_terminal(void)
{
	struct winsize size;
	struct termios t;

	CHECK(!ioctl(slave, TIOCGWINSZ, &size) && size.ws_row == 33 && size.ws_col == 111 &&
	      size.ws_xpixel == 7);
	CHECK(!tcgetattr(slave, &t) && !(t.c_lflag & ECHO) && (t.c_lflag & ICANON));
	CHECK(t.c_cc[VINTR] == 'Q' && t.c_cc[VERASE] == '#' && cfgetospeed(&t) == B38400);
	CHECK(!tcgetattr(raw_slave, &t) && !(t.c_lflag & (ICANON | ECHO | ISIG)));
}

static void check_data(void)
{
	char buf[256];

	/* a line that was finished, then one that was not */
	CHECK(read(slave, buf, sizeof(buf)) == 6 && !memcmp(buf, "hello\n", 6));
	CHECK_EQ(write(master, "ish\n", 4), 4);
	CHECK(read(slave, buf, sizeof(buf)) == 12 && !memcmp(buf, "unfinishish\n", 12));
	CHECK(read(raw_slave, buf, sizeof(buf)) == 7 && !memcmp(buf, "to\0 raw", 7));
	CHECK(read(raw_master, buf, sizeof(buf)) == 8 && !memcmp(buf, "from raw", 8));
	CHECK_ERRNO(read(raw_master, buf, 1), EAGAIN);
	CHECK_ERRNO(read(lonely_master, buf, 1), EIO);
}

int main(void)
{
	struct termios t;
	int gone, locked = -1;

	shared = DO(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	open_pair(&master, &slave);
	set_up_terminal();
	DO(write(master, "hello\nunfinish", 14));
	open_pair(&raw_master, &raw_slave);
	DO(tcgetattr(raw_slave, &t));
	cfmakeraw(&t);
	DO(tcsetattr(raw_slave, TCSANOW, &t));
	DO(fcntl(raw_master, F_SETFL, O_NONBLOCK));
	DO(write(raw_master, "to\0 raw", 7));
	DO(write(raw_slave, "from raw", 8));
	open_pair(&lonely_master, &gone);
	close(gone);
	leader = live_fork();
	if (!leader)
		lead();

	live_wait(sabotage);

	check_terminal();
	check_data();
	CHECK(!ioctl(master, TIOCGPTLCK, &locked) && locked == 0);
	CHECK_EQ(write(master, "Q", 1), 1); /* the interrupt key: SIGINT to the foreground group */
	live_reap(leader);
	CHECK_EQ(shared->interrupted, 1);
	return live_end();
}
