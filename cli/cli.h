/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line. Each command is one `struct cli_command` in a file of its family; cli/table.c lists them
 * all. A command parses its arguments by cli_parse, calls libverst and prints. Its error goes to main, which
 * prints it and exits with its code.
 */
#ifndef VERST_CLI_CLI_H
#define VERST_CLI_CLI_H

#include "include/verst.h"
#include "lib/lib.h"

struct cli {
	const char *root; /* --root, or NULL */
	bool json, quiet, help;
	int verbose;
	const struct cli_command *command; /* that runs */
};

struct cli_command {
	const char *name;    /* "start", "template build" */
	const char *args;    /* "ID [--fast]" */
	const char *summary; /* one line, no full stop */
	const char *options; /* one per line, two blanks indented, or NULL; the general ones are added */
	int (*run)(struct cli *cli, int argc, char **argv,
		   struct err *err); /* argv without the command's name */
	bool hidden;		     /* not in the list of `verst --help` */
};

/* NULL-terminated, in the order of `verst --help`. */
extern const struct cli_command *const cli_table[];

enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_LIST, CLI_NUMBER };

struct cli_texts {
	const char **at;
	size_t nr, cap;
};

static inline void cli_texts_free(struct cli_texts *texts)
{
	vec_free(texts);
}
#define _texts_ _cleanup_(cli_texts_free)

struct cli_option {
	const char *name; /* without -- */
	char letter;	  /* or 0 */
	enum cli_kind kind;
	void *to; /* bool, const char *, struct cli_texts, unsigned long */
};

/*
 * Takes the options out of argv (also the general ones), and leaves the arguments in *args: at least `min`,
 * at most `max`
 * (-1: any number). `rest`: all after that many arguments, or after "--", is taken as it is (commands for a
 * VE). 0 to leaves it to the caller to go on; 1: --help was given and is served: return 0.
 */
int cli_parse(struct cli *cli, int argc, char **argv, const struct cli_option *options, size_t nr_options,
	      int min, int max, int rest, struct cli_texts *args, struct err *err);

/* Opens the node; verst_close. */
int cli_open(struct cli *cli, struct verst **ret, struct err *err);

void cli_print_help(const struct cli_command *command);
/* A line for the admin, unless --quiet. */
void cli_say(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
