// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const char general_options[] = "  --root DIR       keep config, state and runtime files below DIR\n"
				      "  --json           print JSON\n"
				      "  -q, --quiet      print errors only\n"
				      "  -v, --verbose    tell more\n"
				      "  -h, --help       this text\n";

void cli_print_help(const struct cli_command *command)
{
	printf("verst %s %s\n\n%s.\n\n%s%s", command->name, command->args, command->summary,
	       command->options ? command->options : "", general_options);
}

static void print_usage(void)
{
	printf("verst [--root DIR] [--json] [--quiet|--verbose] COMMAND ...\n\n");
	for (const struct cli_command *const *c = cli_table; *c; c++)
		if (!(*c)->hidden)
			printf("  %-16s %s\n", (*c)->name, (*c)->summary);
	printf("\n%s  --version        the version\n\nverst COMMAND --help tells more.\n", general_options);
}

void cli_say(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void log_to_stderr(enum log_level level, const char *text, void *arg)
{
	fprintf(stderr, "verst: %s%s\n", level == LEVEL_WARN ? "warning: " : "", text);
}

int cli_open(struct cli *cli, struct verst **ret, struct err *err)
{
	if (geteuid())
		return err_set(err, ERR_PERMISSION, "only root may do this");
	if (!cli->quiet)
		log_set_sink(log_to_stderr, NULL, (enum log_level)MIN(cli->verbose, LEVEL_DEBUG));
	return verst_open(cli->root, ret, err);
}

/* A name of two words ("template build") takes two arguments. Returns how many, 0 if it is another command.
 */
static int matches(const struct cli_command *c, int argc, char **argv)
{
	size_t len = strlen(argv[0]);

	if (!strcmp(c->name, argv[0]))
		return 1;
	if (argc < 2 || strncmp(c->name, argv[0], len) || c->name[len] != ' ')
		return 0;
	return strcmp(c->name + len + 1, argv[1]) ? 0 : 2;
}

static bool is_family(const char *word)
{
	size_t len = strlen(word);
	bool found = false;

	for (const struct cli_command *const *c = cli_table; *c; c++) {
		if (strncmp((*c)->name, word, len) || (*c)->name[len] != ' ')
			continue;
		if (!found)
			printf("verst %s ...\n\n", word);
		printf("  %-24s %s\n", (*c)->name, (*c)->summary);
		found = true;
	}
	return found;
}

static int run(struct cli *cli, int argc, char **argv, struct err *err)
{
	for (const struct cli_command *const *c = cli_table; *c; c++) {
		int words = matches(*c, argc, argv);

		if (!words)
			continue;
		cli->command = *c;
		return (*c)->run(cli, argc - words, argv + words, err);
	}
	if ((argc == 1 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) && is_family(argv[0]))
		return argc == 1 ? ERR_USAGE : 0;
	return err_set(err, ERR_USAGE, "unknown command '%s' (verst --help lists them)", argv[0]);
}

/* The general options before the command. Returns the index of the command, or -1 with the exit code in *ret.
 */
static int general(struct cli *cli, int argc, char **argv, int *ret)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *o = argv[i];

		if (!strcmp(o, "--root") && i + 1 < argc)
			cli->root = argv[++i];
		else if (!strncmp(o, "--root=", 7))
			cli->root = o + 7;
		else if (!strcmp(o, "--json"))
			cli->json = true;
		else if (!strcmp(o, "--quiet") || !strcmp(o, "-q"))
			cli->quiet = true;
		else if (!strcmp(o, "--verbose") || !strcmp(o, "-v"))
			cli->verbose++;
		else if (!strcmp(o, "--version"))
			return printf("verst %s\n", VERST_VERSION), *ret = 0, -1;
		else if (!strcmp(o, "--help") || !strcmp(o, "-h"))
			return print_usage(), *ret = 0, -1;
		else
			return fprintf(stderr, "verst: unknown option %s (verst --help lists them)\n", o),
			       *ret = ERR_USAGE, -1;
	}
	if (i < argc)
		return i;
	print_usage();
	*ret = ERR_USAGE;
	return -1;
}

/*
 * A command returns its exit code (of a program in a VE: any), or -1 with the error. What was printed and
 * could not be written is a failure too.
 */
int main(int argc, char **argv)
{
	struct cli cli = {.root = getenv("VERST_ROOT")};
	struct err err = ERR_INIT;
	int code = 0, first = general(&cli, argc, argv, &code);

	if (first >= 0)
		code = run(&cli, argc - first, argv + first, &err);
	if (code < 0) {
		fprintf(stderr, "verst: %s\n", err.msg);
		code = err.code ? (int)err.code : ERR_SYSTEM;
	}
	if (fflush(stdout) && !code) {
		fprintf(stderr, "verst: standard output: %m\n");
		code = ERR_SYSTEM;
	}
	return code;
}
