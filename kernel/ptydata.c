// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/ptydata.h"

#include <asm/termbits.h>
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/ttydefaults.h>
#include <time.h>

#ifndef TCGETS2
#define TCGETS2 _IOR('T', 0x2a, struct termios2)
#define TCSETS2 _IOW('T', 0x2b, struct termios2)
#endif

#define LINE_MAX_BYTES	4096 /* N_TTY_BUF_SIZE: what a terminal keeps of input */
#define ARRIVAL_NS	1000000000
#define ARRIVAL_STEP_NS 50000

/* What the functions below change and give back. */
struct state {
	int master, slave;
	struct termios2 t;
	int packet;
	bool stopped_by_char, stopped_by_call;
};

static int remember(int master, int slave, struct state *ret, struct err *err)
{
	struct state s = {.master = master, .slave = slave};
	int off = 0;

	if (ioctl(slave, TCGETS2, &s.t))
		return err_sys(err, "settings of the terminal");
	if (ioctl(master, TIOCGPKT, &s.packet) || (s.packet && ioctl(master, TIOCPKT, &off)))
		return err_sys(err, "packet mode of the terminal");
	*ret = s;
	return 0;
}

static int set(const struct state *s, const struct termios2 *t, struct err *err)
{
	return ioctl(s->slave, TCSETS2, t) ? err_sys(err, "settings of the terminal") : 0;
}

static bool is_ready(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, timeout_ms) > 0 && p.revents & events;
}

static bool readable(int fd, int timeout_ms)
{
	return is_ready(fd, POLLIN, timeout_ms);
}

/* Nothing can be written to a stopped terminal, even when it is empty (drivers/tty/pty.c pty_write_room). */
static bool is_stopped(int slave)
{
	return !is_ready(slave, POLLOUT, 0);
}

static struct termios2 raw(const struct termios2 *t)
{
	struct termios2 r = *t;

	r.c_iflag = 0;
	r.c_oflag = 0;
	r.c_lflag = 0;
	r.c_cc[VMIN] = 0;
	r.c_cc[VTIME] = 0;
	return r;
}

/* The way to the master must be empty. Clearing IXON starts what a character had stopped (n_tty_set_termios).
 */
static int set_raw(struct state *s, struct err *err)
{
	struct termios2 t = raw(&s->t);
	bool stopped = is_stopped(s->slave);

	if (set(s, &t, err))
		return -1;
	if (!stopped)
		return 0;
	s->stopped_by_call = is_stopped(s->slave);
	s->stopped_by_char = !s->stopped_by_call;
	return s->stopped_by_call && ioctl(s->slave, TCXONC, TCOON) ? err_sys(err, "TCOON") : 0;
}

static int stop_by_char(int master, int slave, uint8_t c, struct err *err)
{
	int64_t until_ns = io_now_ns() + ARRIVAL_NS;
	struct timespec step = {.tv_nsec = ARRIVAL_STEP_NS};

	if (io_write_full(master, &c, 1, err))
		return -1;
	while (!is_stopped(slave) && io_now_ns() < until_ns)
		nanosleep(&step, NULL);
	return 0;
}

static int give_back(const struct state *s, int ret, struct err *err)
{
	struct err ignored, *e = ret ? &ignored : err;

	if (set(s, &s->t, e))
		ret = -1;
	else if (s->stopped_by_char && stop_by_char(s->master, s->slave, s->t.c_cc[VSTOP], e))
		ret = -1;
	if (s->stopped_by_call && ioctl(s->slave, TCXONC, TCOOFF) && !ret)
		ret = err_sys(err, "TCOOFF");
	if (s->packet && ioctl(s->master, TIOCPKT, &s->packet) && !ret)
		ret = err_sys(err, "packet mode of the terminal");
	return ret;
}

static bool is_canonical(const struct termios2 *t)
{
	return (t->c_lflag & ICANON) && !(t->c_lflag & EXTPROC);
}

/* --- taking --- */

/* Until nothing is left. poll moves on what still waits in the driver (drivers/tty/n_tty.c n_tty_poll). */
static int drain(int fd, struct buf *ret, struct err *err)
{
	while (readable(fd, 0)) {
		ssize_t n = read(fd, buf_reserve(ret, LINE_MAX_BYTES), LINE_MAX_BYTES);

		if (n < 0 && (errno == EINTR || errno == EIO || errno == EAGAIN))
			return errno == EINTR ? drain(fd, ret, err) : 0;
		if (n < 0)
			return err_sys(err, "read of the terminal");
		if (n == 0)
			return 0;
		ret->len_bytes += (size_t)n;
	}
	return 0;
}

static bool ends_line(const struct termios2 *t, uint8_t c)
{
	return c == '\n' || (c && (c == t->c_cc[VEOL] || c == t->c_cc[VEOL2]));
}

static int take_lines(const struct state *s, struct buf *ret, struct err *err)
{
	while (readable(s->slave, 0)) {
		uint8_t *line = buf_reserve(ret, LINE_MAX_BYTES);
		ssize_t n = read(s->slave, line, LINE_MAX_BYTES);

		if (n < 0)
			return err_sys(err, "read of the terminal");
		ret->len_bytes += (size_t)n;
		if (n == 0 || !ends_line(&s->t, line[n - 1]))
			buf_put_u8(ret, s->t.c_cc[VEOF]); /* which ended it, and is not given to the reader */
	}
	return 0;
}

int ptydata_take(int master, int slave, struct buf *ret_to_slave, struct buf *ret_to_master,
		 bool *ret_stopped, struct err *err)
{
	struct state s;
	int ret;

	if (remember(master, slave, &s, err))
		return -1;
	ret = drain(master, ret_to_master, err);
	if (!ret && is_canonical(&s.t))
		ret = take_lines(&s, ret_to_slave, err);
	/* without ICANON also the unfinished line can be read */
	if (!ret)
		ret = set_raw(&s, err) || drain(slave, ret_to_slave, err) ? -1 : 0;
	*ret_stopped = s.stopped_by_char || s.stopped_by_call;
	return give_back(&s, ret, err);
}

/* --- putting --- */

static int write_all(int fd, const uint8_t *p, size_t len_bytes, struct err *err)
{
	return io_write_full(fd, p, len_bytes, err) ? err_ctx(err, "terminal") : 0;
}

/* A worker of the kernel carries what was written to the other end: waits until it has. */
static int wait_for_input(int slave, size_t len_bytes, struct err *err)
{
	int64_t until_ns = io_now_ns() + ARRIVAL_NS;
	struct timespec step = {.tv_nsec = ARRIVAL_STEP_NS};
	int there = 0;

	while (io_now_ns() < until_ns) {
		readable(slave, 0);
		if (ioctl(slave, TIOCINQ, &there))
			return err_sys(err, "TIOCINQ");
		if ((size_t)there >= MIN(len_bytes, (size_t)LINE_MAX_BYTES - 1))
			return 0;
		nanosleep(&step, NULL);
	}
	return err_set(err, ERR_SYSTEM, "terminal: %zu bytes written, only %d arrived", len_bytes, there);
}

/* An unfinished line is not counted by TIOCINQ; that it arrived is told by its echo. */
static int put_unfinished(const struct state *s, struct termios2 *t, const uint8_t *p, size_t len_bytes,
			  struct err *err)
{
	uint8_t echo[256];
	size_t back = 0;

	if (!len_bytes)
		return 0;
	t->c_lflag |= ECHO;
	if (set(s, t, err) || write_all(s->master, p, len_bytes, err))
		return -1;
	while (back < len_bytes) {
		ssize_t n = readable(s->master, ARRIVAL_NS / 1000000)
				    ? read(s->master, echo, MIN(sizeof(echo), len_bytes - back))
				    : 0;

		if (n <= 0)
			return err_set(err, ERR_SYSTEM,
				       "terminal: an unfinished line of %zu bytes did not arrive", len_bytes);
		back += (size_t)n;
	}
	return 0;
}

static int put_canonical(const struct state *s, const uint8_t *p, size_t len_bytes, struct err *err)
{
	struct termios2 t = raw(&s->t);
	size_t lines = 0, ends = 0;

	/* Only what ends a line has a meaning; all else are characters. 0 is _POSIX_VDISABLE. */
	memset(t.c_cc, 0, sizeof(t.c_cc));
	t.c_cc[VEOF] = s->t.c_cc[VEOF];
	t.c_cc[VEOL] = s->t.c_cc[VEOL];
	t.c_cc[VEOL2] = s->t.c_cc[VEOL2];
	t.c_lflag = ICANON;
	for (size_t i = 0; i < len_bytes; i++) {
		bool is_end = p[i] && p[i] == t.c_cc[VEOF];

		ends += is_end;
		if (is_end || ends_line(&t, p[i]))
			lines = i + 1;
	}
	if (set(s, &t, err) || write_all(s->master, p, lines, err))
		return -1;
	/* the markers of an end of file are not counted (inq_canon) */
	if (lines &&
	    (!readable(s->slave, ARRIVAL_NS / 1000000) || wait_for_input(s->slave, lines - ends, err)))
		return err_ctx(err, "input");
	return put_unfinished(s, &t, p + lines, len_bytes - lines, err);
}

int ptydata_put(int master, int slave, const struct buf *to_slave, const struct buf *to_master,
		struct err *err)
{
	struct termios2 t;
	struct state s;
	int ret;

	if (remember(master, slave, &s, err))
		return -1;
	t = s.t;
	t.c_oflag = 0; /* and no change of ICANON, which would make one line of the input */
	ret = set_raw(&s, err);
	/* the unfinished line's echo must find the way to the master empty, so input goes first */
	if (!ret && to_slave->len_bytes && is_canonical(&s.t))
		ret = put_canonical(&s, to_slave->at, to_slave->len_bytes, err);
	else if (!ret && to_slave->len_bytes)
		ret = write_all(master, to_slave->at, to_slave->len_bytes, err) ||
				      wait_for_input(slave, to_slave->len_bytes, err)
			      ? -1
			      : 0;
	if (!ret && to_master->len_bytes)
		ret = set(&s, &t, err) || write_all(slave, to_master->at, to_master->len_bytes, err) ? -1 : 0;
	return give_back(&s, ret, err);
}

int ptydata_stop(int master, int slave, struct err *err)
{
	struct termios2 t;

	if (ioctl(slave, TCGETS2, &t))
		return err_sys(err, "settings of the terminal");
	if (t.c_iflag & IXON && t.c_cc[VSTOP])
		return stop_by_char(master, slave, t.c_cc[VSTOP], err);
	return ioctl(slave, TCXONC, TCOOFF) ? err_sys(err, "TCOOFF") : 0;
}
