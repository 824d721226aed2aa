// SPDX-License-Identifier: GPL-2.0-only
#include "cli/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

struct state {
	struct relay *relay;
	struct termios saved;
	bool raw, input_open, escaped, leave;
	int winch_fd;
};

static void set_raw(struct state *s)
{
	struct termios t;

	if (!s->relay->terminal || tcgetattr(STDIN_FILENO, &s->saved))
		return;
	t = s->saved;
	cfmakeraw(&t);
	s->raw = !tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

static void pass_size(struct state *s)
{
	struct signalfd_siginfo info;
	struct winsize size;

	while (read(s->winch_fd, &info, sizeof(info)) > 0)
		;
	if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		ioctl(s->relay->to, TIOCSWINSZ, &size);
}

/* The escape character at any place, then a dot: as OpenVZ's console. */
static void watch_escape(struct state *s, const char *bytes, ssize_t n)
{
	for (ssize_t i = 0; s->relay->escape && i < n; i++) {
		if (s->escaped && bytes[i] == '.')
			s->leave = true;
		s->escaped = bytes[i] == s->relay->escape;
	}
}

/* A reader that went away is no error of ours. */
static void pass_input(struct state *s)
{
	struct err ignored = ERR_INIT;
	char bytes[16384];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		watch_escape(s, bytes, n);
	if (s->leave)
		return;
	if (n > 0 && !io_write_full(s->relay->to, bytes, (size_t)n, &ignored))
		return;
	s->input_open = false;
	if (s->relay->close_to)
		s->relay->close_to(s->relay->arg);
}

/* 1: something was passed, 0: nothing there now, -1: the end (of a pty: EIO), or error */
static int pass_output(int from, int to, struct err *err)
{
	char bytes[65536];
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	return io_write_full(to, bytes, (size_t)n, err) ? -1 : 1;
}

static void drain(struct relay *relay, struct err *err)
{
	while (relay->from >= 0 && pass_output(relay->from, STDOUT_FILENO, err) > 0)
		;
	while (relay->errors >= 0 && pass_output(relay->errors, STDERR_FILENO, err) > 0)
		;
}

static void loop(struct state *s, struct err *err)
{
	struct relay *relay = s->relay;

	while (!s->leave && !err->code) {
		struct pollfd p[] = {
			{.fd = s->input_open ? STDIN_FILENO : -1, .events = POLLIN},
			{.fd = relay->from, .events = POLLIN},
			{.fd = relay->errors, .events = POLLIN},
			{.fd = relay->done_fd, .events = POLLIN},
			{.fd = s->winch_fd, .events = POLLIN},
		};

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return;
		if (p[4].revents)
			pass_size(s);
		if (p[1].revents && pass_output(relay->from, STDOUT_FILENO, err) < 0)
			relay->from = -1;
		if (p[2].revents && pass_output(relay->errors, STDERR_FILENO, err) < 0)
			relay->errors = -1;
		if (p[3].revents) {
			drain(relay, err);
			return;
		}
		if (p[0].revents)
			pass_input(s);
		if (relay->done_fd < 0 && relay->from < 0)
			return;
	}
}

static void set_nonblock(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int relay_run(struct relay *relay, struct err *err)
{
	struct state s = {.relay = relay, .input_open = relay->to >= 0, .winch_fd = -1};
	sigset_t winch;

	signal(SIGPIPE, SIG_IGN);
	/* A pty has one descriptor for both ways: there our writes must wait by themselves. */
	if (relay->from != relay->to)
		set_nonblock(relay->from);
	set_nonblock(relay->errors);
	if (relay->terminal) {
		sigemptyset(&winch);
		sigaddset(&winch, SIGWINCH);
		sigprocmask(SIG_BLOCK, &winch, NULL);
		s.winch_fd = signalfd(-1, &winch, SFD_CLOEXEC | SFD_NONBLOCK);
	}
	set_raw(&s);
	loop(&s, err);
	if (s.raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &s.saved);
	cleanup_fd(&s.winch_fd);
	return err->code ? -1 : 0;
}
