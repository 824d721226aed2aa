// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/relay.h"

static void close_in(void *arg)
{
	verst_exec_close_in(arg);
}

static int relay_exec(struct verst_exec *e, bool pty, int *ret_code, struct err *err)
{
	struct relay relay = {
		.terminal = pty, .close_to = close_in, .arg = e, .done_fd = verst_exec_pidfd(e)};
	struct err later = ERR_INIT;
	int fds[3];

	verst_exec_fds(e, fds);
	relay.to = fds[0];
	relay.from = fds[1];
	relay.errors = fds[2];
	/* If our output cannot be written the command's goes nowhere too: it is told by SIGPIPE, or ends by
	 * itself. */
	relay_run(&relay, &later);
	return verst_exec_wait(e, ret_code, err);
}

static int run_in(struct cli *cli, const char *ve, const char *const *argv, struct err *err)
{
	struct verst_exec_opts opts = {.argv = argv, .term = getenv("TERM")};
	struct verst_exec *e;
	struct winsize size;
	struct verst *v;
	int code = 0, r;

	opts.pty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (opts.pty && !ioctl(STDIN_FILENO, TIOCGWINSZ, &size)) {
		opts.rows = size.ws_row;
		opts.cols = size.ws_col;
	}
	if (cli_open(cli, &v, err))
		return -1;
	r = verst_exec_start(v, ve, &opts, &e, err);
	if (!r)
		r = relay_exec(e, opts.pty, &code, err);
	verst_close(v);
	return r ? -1 : code;
}

static int run_exec(struct cli *cli, int argc, char **argv, struct err *err)
{
	_texts_ struct cli_texts args = {0};
	int r = cli_parse(cli, argc, argv, NULL, 0, 2, -1, 1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	vec_push(&args, NULL);
	r = run_in(cli, args.at[0], args.at + 1, err);
	return r;
}

const struct cli_command cli_exec = {
	.name = "exec",
	.args = "ID -- COMMAND [ARGUMENTS]",
	.summary = "Run a command in a VE and exit with its code",
	.options = "  What it leaves running belongs to the VE. On a terminal it gets one of the VE's own.\n"
		   "  128 + N: it died of signal N; 126, 127: it could not be run, or found.\n",
	.run = run_exec,
};

static int run_enter(struct cli *cli, int argc, char **argv, struct err *err)
{
	_texts_ struct cli_texts args = {0};
	int r = cli_parse(cli, argc, argv, NULL, 0, 1, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	r = run_in(cli, args.at[0], NULL, err);
	return r;
}

const struct cli_command cli_enter = {
	.name = "enter",
	.args = "ID",
	.summary = "Open root's shell in a VE",
	.run = run_enter,
};

static int run_console(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct relay relay = {.errors = -1, .done_fd = -1, .escape = 033};
	_texts_ struct cli_texts args = {0};
	struct verst *v;
	int r = cli_parse(cli, argc, argv, NULL, 0, 1, 1, -1, &args, err);
	_fd_ int fd = -1;

	if (r)
		return r < 0 ? -1 : 0;
	if (cli_open(cli, &v, err))
		return -1;
	r = verst_console(v, args.at[0], &fd, err);
	verst_close(v);
	if (r)
		return -1;
	if (isatty(STDIN_FILENO))
		cli_say(cli, "Console of the VE; Esc then . leaves it.");
	fflush(stdout);
	relay.to = relay.from = fd;
	relay.terminal = isatty(STDIN_FILENO);
	return relay_run(&relay, err);
}

const struct cli_command cli_console = {
	.name = "console",
	.args = "ID",
	.summary = "Show a VE's console and type on it; Esc then . leaves",
	.run = run_console,
};
