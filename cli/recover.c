// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cli/commands.h"

#define MAX_LISTED 4096

static const char *const states[] = {
	[VERST_JOURNAL_NONE] = "none",
	[VERST_JOURNAL_RECEIVING] = "arriving",
	[VERST_JOURNAL_COMMITTED] = "committed here",
	[VERST_JOURNAL_ABORTED] = "given up",
	[VERST_JOURNAL_DOUBT] = "in doubt",
	[VERST_JOURNAL_MOVED] = "moved away",
};

static int print_one(struct verst *v, unsigned id, struct err *err)
{
	struct verst_journal j;
	char when[32] = "?";
	struct tm tm;
	time_t t;

	if (verst_journal_read(v, id, &j, err))
		return -1;
	t = (time_t)j.time_s;
	if (localtime_r(&t, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	if (j.state != VERST_JOURNAL_NONE)
		printf("%10u %-24s %s %s%s\n", id, states[j.state], when, j.host ? "node " : "",
		       j.host ? j.host : "");
	verst_journal_free(&j);
	return 0;
}

static int list(struct verst *v, struct err *err)
{
	_free_ unsigned *ids = mem_alloc(MAX_LISTED * sizeof(*ids));
	size_t nr = verst_journal_list(v, ids, MAX_LISTED);

	for (size_t i = 0; i < MIN(nr, (size_t)MAX_LISTED); i++)
		if (print_one(v, ids[i], err))
			return -1;
	return 0;
}

static int recover(struct cli *cli, struct verst *v, const char *text, enum verst_recover_force force,
		   struct err *err)
{
	_free_ char *what = NULL;
	char *end;
	unsigned long id = strtoul(text, &end, 10);

	/* no names: the VE may have neither config nor name any more */
	if (!isdigit((unsigned char)*text) || *end || id > 2147483644ul)
		return err_set(err, ERR_VALUE, "'%s' is no VE id", text);
	if (verst_recover(v, (unsigned)id, force, &what, err))
		return -1;
	cli_say(cli, "%s", what);
	return 0;
}

static int run_recover(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool show = false, here = false, there = false;
	const struct cli_option options[] = {
		{"list", 0, CLI_FLAG, &show},
		{"force-here", 0, CLI_FLAG, &here},
		{"force-there", 0, CLI_FLAG, &there},
	};
	struct cli_texts args;
	struct verst *v;
	int r = cli_parse(cli, argc, argv, options, ARRAY_LEN(options), 0, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (here && there)
		return err_set(err, ERR_USAGE, "it cannot be both here and there");
	if (args.nr == 0 && (here || there))
		return err_set(err, ERR_USAGE, "which VE?");
	signal(SIGPIPE, SIG_IGN);
	if (cli_open(cli, &v, err))
		return -1;
	if (args.nr == 0 || show)
		r = list(v, err);
	else
		r = recover(cli, v, args.at[0],
			    here    ? VERST_RECOVER_HERE
			    : there ? VERST_RECOVER_THERE
				    : VERST_RECOVER_ASK,
			    err);
	verst_close(v);
	vec_free(&args);
	return r;
}

const struct cli_command cli_recover = {
	.name = "recover",
	.args = "[ID]",
	.summary = "End what a broken migration left; without ID: list such VEs",
	.options = "  --list           list, change nothing\n"
		   "  --force-here     the other node is lost: the VE is here\n"
		   "  --force-there    the VE is there: what is left here goes\n",
	.run = run_recover,
};
