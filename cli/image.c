// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

/* "-" is standard input. */
static int open_image(const char *path, int *ret_fd, struct err *err)
{
	*ret_fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC)
				    : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? err_sys(err, "%s", path) : 0;
}

static void print_line(const char *text, void *arg)
{
	fputs(text, arg);
	fputc('\n', arg);
}

static int run_show(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct cli_texts args;
	_fd_ int fd = -1;
	int r = cli_parse(cli, argc, argv, NULL, 0, 1, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	r = open_image(args.at[0], &fd, err);
	if (!r && verst_image_show(fd, cli->json, print_line, stdout, err))
		r = err_ctx(err, "%s", args.at[0]);
	vec_free(&args);
	return r;
}

const struct cli_command cli_image_show = {
	.name = "image show",
	.args = "FILE",
	.summary = "Print what is in an image, a line for each record",
	.run = run_show,
};

static int run_verify(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct cli_texts args;
	_fd_ int fd = -1;
	int r = cli_parse(cli, argc, argv, NULL, 0, 1, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	r = open_image(args.at[0], &fd, err);
	if (!r && verst_image_verify(fd, err))
		r = err_ctx(err, "%s", args.at[0]);
	if (!r)
		cli_say(cli, "%s: whole and sound", args.at[0]);
	vec_free(&args);
	return r;
}

const struct cli_command cli_image_verify = {
	.name = "image verify",
	.args = "FILE",
	.summary = "Check every record of an image, its totals and its digest",
	.run = run_verify,
};
