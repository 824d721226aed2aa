// SPDX-License-Identifier: GPL-2.0-only
/* Terminals, on a devpts of the test's own. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>

#include "cpt/file.h"
#include "kernel/ptydata.h"
#include "tests/unit/file_victim.h"

static void setup(void)
{
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620"), 0);
	cr_assert_eq(mount("/dev/pts/ptmx", "/dev/ptmx", NULL, MS_BIND, NULL), 0);
}

TestSuite(file_tty, .init = setup, .timeout = 60);

static void must(bool ok)
{
	if (!ok)
		_exit(1);
}

static int master(void)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);

	must(fd >= 0 && !unlockpt(fd));
	return fd;
}

static int slave(int of)
{
	return ioctl(of, TIOCGPTPEER, O_RDWR | O_NOCTTY);
}

static void put(int fd, const char *text)
{
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* The kernel brings it over in its own time. */
static ssize_t get(int fd, char *ret, size_t max)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, 2000) != 1)
		return -1;
	n = read(fd, ret, max - 1);
	ret[MAX(n, 0)] = 0;
	return n;
}

static void set(int fd, tcflag_t lflag, tcflag_t oflag)
{
	struct termios t;

	must(!tcgetattr(fd, &t));
	t.c_lflag = lflag;
	t.c_oflag = oflag;
	if (!lflag)
		t.c_iflag = 0;
	t.c_cc[VEOL] = ';';
	must(!tcsetattr(fd, TCSANOW, &t));
}

/* --- data alone --- */

static void assert_same(const struct termios *a, const struct termios *b)
{
	cr_assert(a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
			  a->c_lflag == b->c_lflag,
		  "%x %x %x %x is now %x %x %x %x", a->c_iflag, a->c_oflag, a->c_cflag, a->c_lflag,
		  b->c_iflag, b->c_oflag, b->c_cflag, b->c_lflag);
	cr_assert(!memcmp(a->c_cc, b->c_cc, 19) && a->c_line == b->c_line);
}

static void settle(int m, int s)
{
	struct pollfd p[2] = {{.fd = m, .events = POLLIN}, {.fd = s, .events = POLLIN}};

	for (int i = 0; i < 20; i++) {
		poll(p, 2, 0);
		usleep(1000);
	}
}

Test(file_tty, data_in_both_directions)
{
	int m = master(), s = slave(m), n;
	struct buf to_slave = {0}, to_master = {0};
	struct err err = ERR_INIT;
	struct termios before, after;
	bool stopped;
	char text[128];

	set(s, ICANON | ISIG | IEXTEN | ECHO, OPOST | ONLCR);
	put(m, "first\rsecond;eof\004\004unfini");
	put(s, "out\n");
	settle(m, s);
	cr_assert_eq(tcgetattr(s, &before), 0);
	cr_assert_eq(ptydata_take(m, s, &to_slave, &to_master, &stopped, &err), 0, "%s", err.msg);
	cr_assert_eq(tcgetattr(s, &after), 0);
	assert_same(&before, &after);
	cr_assert(!stopped);
	cr_assert_eq(to_slave.len_bytes, strlen("first\nsecond;eof\004\004unfini"), "%.*s",
		     (int)to_slave.len_bytes, to_slave.at);
	cr_assert_eq(memcmp(to_slave.at, "first\nsecond;eof\004\004unfini", to_slave.len_bytes), 0);
	cr_assert(memmem(to_master.at, to_master.len_bytes, "out\r\n", 5));
	cr_assert(memmem(to_master.at, to_master.len_bytes, "unfini", 6), "the echo");
	cr_assert_eq(ioctl(s, TIOCINQ, &n), 0);
	cr_assert_eq(n, 0);

	cr_assert_eq(ptydata_put(m, s, &to_slave, &to_master, &err), 0, "%s", err.msg);
	cr_assert_eq(tcgetattr(s, &after), 0);
	assert_same(&before, &after);
	cr_assert_eq(get(m, text, sizeof(text)), (ssize_t)to_master.len_bytes);
	cr_assert_eq(memcmp(text, to_master.at, to_master.len_bytes), 0);
	cr_assert_eq(get(s, text, sizeof(text)), 6);
	cr_assert_str_eq(text, "first\n");
	cr_assert_eq(get(s, text, sizeof(text)), 7);
	cr_assert_str_eq(text, "second;");
	cr_assert_eq(get(s, text, sizeof(text)), 3);
	cr_assert_str_eq(text, "eof");
	cr_assert_eq(get(s, text, sizeof(text)), 0, "an end of file");
	fcntl(s, F_SETFL, O_NONBLOCK);
	cr_assert_eq(read(s, text, 1), -1, "a line that is still edited cannot be read");
	put(m, "\177hed\n"); /* and can be edited */
	cr_assert_eq(get(s, text, sizeof(text)), 9);
	cr_assert_str_eq(text, "unfinhed\n");
	buf_free(&to_slave);
	buf_free(&to_master);
}

Test(file_tty, raw_and_much)
{
	int m = master(), s = slave(m);
	struct buf to_slave = {0}, to_master = {0};
	struct err err = ERR_INIT;
	static char big[4000], back[8192];
	bool stopped;
	size_t n = 0;

	set(s, 0, 0);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)i; /* control characters and all */
	must(write(m, big, sizeof(big)) == sizeof(big) && write(s, big, sizeof(big)) == sizeof(big));
	must(write(s, big, sizeof(big)) == sizeof(big)); /* more than the terminal keeps ready */
	settle(m, s);
	cr_assert_eq(ptydata_take(m, s, &to_slave, &to_master, &stopped, &err), 0, "%s", err.msg);
	cr_assert_eq(to_slave.len_bytes, sizeof(big));
	cr_assert_eq(to_master.len_bytes, 2 * sizeof(big));
	cr_assert_eq(ptydata_put(m, s, &to_slave, &to_master, &err), 0, "%s", err.msg);
	while (n < 2 * sizeof(big)) {
		ssize_t more = read(m, back + n, sizeof(back) - n);

		cr_assert_gt(more, 0);
		n += (size_t)more;
	}
	cr_assert(!memcmp(back, big, sizeof(big)) && !memcmp(back + sizeof(big), big, sizeof(big)));
	for (n = 0; n < sizeof(big);) {
		ssize_t more = read(s, back + n, sizeof(back) - n);

		cr_assert_gt(more, 0);
		n += (size_t)more;
	}
	cr_assert_eq(memcmp(back, big, sizeof(big)), 0);
	buf_free(&to_slave);
	buf_free(&to_master);
}

Test(file_tty, stopped_output_stays_stopped)
{
	for (int by_call = 0; by_call < 2; by_call++) {
		int m = master(), s = slave(m);
		struct buf to_slave = {0}, to_master = {0};
		struct pollfd p = {.fd = s, .events = POLLOUT};
		struct err err = ERR_INIT;
		bool stopped = false;
		char text[16];

		put(s, "before");
		settle(m, s);
		if (by_call)
			must(!ioctl(s, TCXONC, TCOOFF));
		else
			put(m, "\023");
		settle(m, s);
		cr_assert_eq(poll(&p, 1, 0), 0, "stopped");
		cr_assert_eq(ptydata_take(m, s, &to_slave, &to_master, &stopped, &err), 0, "%s", err.msg);
		cr_assert(stopped);
		cr_assert_eq(ptydata_put(m, s, &to_slave, &to_master, &err), 0, "%s", err.msg);
		cr_assert_eq(poll(&p, 1, 0), 0, "still stopped");
		cr_assert_eq(get(m, text, sizeof(text)), 6);
		if (by_call)
			must(!ioctl(s, TCXONC, TCOON));
		else
			put(m, "\021");
		cr_assert_eq(poll(&p, 1, 2000), 1, "and can be started as it was stopped");
		buf_free(&to_slave);
		buf_free(&to_master);
	}
}

/* --- the whole way --- */

static void open_terminals(void *arg)
{
	struct winsize w = {.ws_row = 43, .ws_col = 132};
	int on = 1;

	must(master() == 3 && master() == 4 && master() == 5 && master() == 6 && master() == 7);
	close(3); /* /dev/pts/0 is free, the others are 1 to 4 */
	must(slave(4) == 3 && slave(4) == 8 && open("/dev/pts/1", O_RDONLY | O_NOCTTY | O_NONBLOCK) == 9);
	set(3, ICANON | ISIG, OPOST);
	must(!ioctl(3, TIOCSWINSZ, &w) && !fchown(3, 17, 5) && !fchmod(3, 0602));
	put(4, "typed\nahe");
	put(3, "shown");
	must(slave(5) == 10 && !ioctl(5, TIOCPKT, &on)); /* 2: its slave is closed again, something is left */
	put(10, "farewell");
	settle(5, 10);
	close(10);
	must(slave(7) == 10); /* 4: hung up */
	close(7);
	must(!ioctl(6, TIOCSPTLCK, &on)); /* 3: nobody has opened its slave */
	settle(4, 3);
}

static void look_at_terminals(struct cpt *c)
{
	const struct tty_obj *t = model_tty(&c->m, victim_file(c, 4)->of);
	char text[16];
	int fd;

	cr_assert(victim_file(c, 4)->tty_master && !victim_file(c, 3)->tty_master);
	cr_assert_eq(victim_file(c, 3)->of, t->id);
	cr_assert_neq(victim_file(c, 3), victim_file(c, 8));
	cr_assert(t->index == 1 && t->rows == 43 && t->cols == 132 && t->uid == 17 && t->gid == 5 &&
		  t->mode == 0602);
	cr_assert(t->has_master && t->has_slave);
	cr_assert_eq(t->to_slave.len_bytes, 9);
	cr_assert_eq(t->to_master.len_bytes, 5);
	t = model_tty(&c->m, victim_file(c, 5)->of);
	cr_assert(t->packet && t->slave_closed && !t->has_slave && t->to_master.len_bytes == 8);
	t = model_tty(&c->m, victim_file(c, 6)->of);
	cr_assert(t->slave_locked && !t->slave_closed);
	t = model_tty(&c->m, victim_file(c, 10)->of);
	cr_assert(!t->has_master && t->has_slave && t->index == 4);
	/* a VE that goes on finds all as it was */
	fd = (int)syscall(SYS_pidfd_getfd, c->tasks.at[0].pidfd, 3, 0);
	cr_assert_eq(get(fd, text, sizeof(text)), 6);
	cr_assert_str_eq(text, "typed\n");
	close(fd);
}

static int use_terminals(void)
{
	struct pollfd hup = {.fd = 5, .events = POLLIN};
	struct termios t;
	struct winsize w;
	struct stat st;
	char text[64];
	unsigned n;
	int on;

	want(!strcmp(ttyname(3), "/dev/pts/1") && !ioctl(4, TIOCGPTN, &n) && n == 1);
	want(!ioctl(6, TIOCGPTN, &n) && n == 3 && !ioctl(6, TIOCGPTLCK, &on) && on);
	want(!tcgetattr(3, &t) && t.c_lflag == (ICANON | ISIG) && t.c_oflag == OPOST && t.c_cc[VEOL] == ';');
	want(!ioctl(8, TIOCGWINSZ, &w) && w.ws_row == 43 && w.ws_col == 132);
	want(!stat("/dev/pts/1", &st) && st.st_uid == 17 && st.st_gid == 5 && (st.st_mode & 0777) == 0602);
	want((fcntl(9, F_GETFL) & ~0100000) == (O_RDONLY | O_NONBLOCK));
	want(get(3, text, sizeof(text)) == 6 && !strcmp(text, "typed\n"));
	put(4, "ad\n");
	want(get(3, text, sizeof(text)) == 6 && !strcmp(text, "ahead\n"));
	want(get(4, text, sizeof(text)) == 5 && !strcmp(text, "shown"));
	want(poll(&hup, 1, 0) == 1 && hup.revents & POLLHUP);
	want(!ioctl(5, TIOCGPKT, &on) && on);
	want(read(5, text, sizeof(text)) == 9 && !text[0] && !memcmp(text + 1, "farewell", 8));
	want(read(5, text, sizeof(text)) == -1 && errno == EIO);
	want(read(10, text, 1) == 0);
	hup.fd = 6;
	want(poll(&hup, 1, 0) == 0);
	want(access("/dev/pts/0", F_OK) && access("/dev/pts/5", F_OK));
	return 0;
}

Test(file_tty, terminals)
{
	struct victim_trip trip = {open_terminals, look_at_terminals, use_terminals};

	victim_round_trip(&trip);
}

static void open_session(void *arg)
{
	must(setsid() > 0);
	must(master() == 3 && slave(3) == 4 && !ioctl(4, TIOCSCTTY, 0));
	must(open("/dev/tty", O_RDWR) == 5);
}

static void give_session(struct cpt *c)
{
	struct task_obj *t = &c->m.tasks.at[0];

	cr_assert_eq(victim_file(c, 5)->of, victim_file(c, 4)->of, "/dev/tty is that terminal");
	c->tasks.at[0].tty_nr = 136 << 8;
	t->ctty = cpt_tty_of_leader(c, &c->tasks.at[0]);
	cr_assert_eq(cpt_tty_in_tree(c, &c->tasks.at[0]), TREE_TTY_PTS);
	cr_assert_neq(t->ctty, 0);
	t->ctty_pgrp = 0;
}

static int use_session(void)
{
	int fd = open("/dev/tty", O_RDWR);

	want(fd == 6);
	want(tcgetsid(4) == getpid() && tcgetpgrp(fd) == getpid());
	put(3, "to tty\n");
	settle(3, fd);
	want(poll(&(struct pollfd){.fd = 5, .events = POLLIN}, 1, 1000) == 1);
	return 0;
}

Test(file_tty, controlling_terminal)
{
	struct victim_trip trip = {open_session, give_session, use_session};

	victim_round_trip(&trip);
}

static int outer;

static void take_outer(void *arg)
{
	must(open("/dev/pts/0", O_RDWR | O_NOCTTY) == 3);
}

Test(file_tty, master_outside)
{
	struct victim v;
	struct cpt c;
	char *all;

	outer = master();
	v = victim_start(take_outer, NULL);
	victim_cpt(&c, &v.pid, 1, false);
	all = victim_check(&c);
	cr_expect(strstr(all, "fd 3: terminal /dev/pts/0 whose master is held outside"), "%s", all);
	c.frozen = true;
	cr_expect(strstr(victim_collect_fails(&c), "held outside of the VE"));
	free(all);
	victim_cpt_free(&c);
	victim_end(&v);
	close(outer);
}
