// SPDX-License-Identifier: GPL-2.0-only
/* What a migration starts on the far node, and what its rsync starts on this one. */
#include <signal.h>

#include "cli/commands.h"

static int run_agent(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct cli_texts args;
	struct verst *v;
	int r = cli_parse(cli, argc, argv, NULL, 0, 0, 0, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	vec_free(&args);
	if (isatty(STDIN_FILENO))
		return err_set(err, ERR_USAGE,
			       "verst agent is started by verst migrate on another node, not by hand");
	/* a source that hung up is told by what fails, not by a signal */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (cli_open(cli, &v, err))
		return -1;
	r = verst_agent(v, STDIN_FILENO, STDOUT_FILENO, err);
	verst_close(v);
	return r;
}

const struct cli_command cli_agent = {
	.name = "agent",
	.args = "",
	.summary = "Receive a VE; started over SSH by verst migrate",
	.run = run_agent,
	.hidden = true,
};

/* rsync gives a host (a mere word here) and the words to run there. */
static int run_rsh(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verst_migrate_opts opts = {.target = getenv("VERST_RSH_TARGET"),
					  .key_path = getenv("VERST_RSH_KEY"),
					  .known_hosts = getenv("VERST_RSH_KNOWN_HOSTS")};
	int status = -1;

	if (!opts.target || argc < 2)
		return err_set(err, ERR_USAGE, "verst __rsh is for the rsync of verst migrate");
	signal(SIGPIPE, SIG_IGN);
	if (verst_rsh(&opts, (const char *const *)argv + 1, (unsigned)argc - 1, &status, err))
		return -1;
	return status < 0 ? ERR_CONNECT : status;
}

const struct cli_command cli_rsh = {
	.name = "__rsh",
	.args = "HOST COMMAND ...",
	.summary = "Run a command of rsync on the far node",
	.run = run_rsh,
	.hidden = true,
};
