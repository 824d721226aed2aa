// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct cli_option *find(const struct cli_option *options, size_t nr, const char *word,
				     const char **ret_value)
{
	for (size_t i = 0; i < nr; i++) {
		size_t len = strlen(options[i].name);

		*ret_value = NULL;
		if (options[i].letter && word[0] == '-' && word[1] == options[i].letter && !word[2])
			return &options[i];
		if (strncmp(word, "--", 2) || strncmp(word + 2, options[i].name, len))
			continue;
		if (!word[2 + len])
			return &options[i];
		if (word[2 + len] != '=')
			continue;
		*ret_value = word + 3 + len;
		return &options[i];
	}
	return NULL;
}

static int take_number(const char *text, const char *name, unsigned long *ret, struct err *err)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return errno || end == text || *end || *text == '-'
		       ? err_set(err, ERR_VALUE, "--%s wants a number, not '%s'", name, text)
		       : 0;
}

/* 1 if the next word was the option's value */
static int take(const struct cli_option *o, const char *value, const char *next, struct err *err)
{
	bool used = false;

	if (o->kind == CLI_FLAG) {
		*(bool *)o->to = true;
		return value ? err_set(err, ERR_USAGE, "--%s takes no value", o->name) : 0;
	}
	if (!value) {
		if (!next)
			return err_set(err, ERR_USAGE, "--%s wants a value", o->name);
		value = next;
		used = true;
	}
	if (o->kind == CLI_TEXT)
		*(const char **)o->to = value;
	else if (o->kind == CLI_LIST)
		vec_push((struct cli_texts *)o->to, value);
	else if (take_number(value, o->name, o->to, err))
		return -1;
	return used;
}

static int check_count(const struct cli *cli, const struct cli_texts *args, int min, int max, struct err *err)
{
	if (args->nr < (size_t)min)
		return err_set(err, ERR_USAGE, "usage: verst %s %s", cli->command->name, cli->command->args);
	if (max >= 0 && args->nr > (size_t)max)
		return err_set(err, ERR_USAGE, "too many arguments: '%s'", args->at[max]);
	return 0;
}

static int parse(struct cli *cli, int argc, char **argv, const struct cli_option *options, size_t nr_options,
		 int min, int max, int rest, struct cli_texts *args, struct err *err)
{
	bool verbose = false;
	const struct cli_option general[] = {
		{"help", 'h', CLI_FLAG, &cli->help},   {"json", 0, CLI_FLAG, &cli->json},
		{"quiet", 'q', CLI_FLAG, &cli->quiet}, {"verbose", 'v', CLI_FLAG, &verbose},
		{"root", 0, CLI_TEXT, &cli->root},
	};

	*args = (struct cli_texts){0};
	for (int i = 0; i < argc; i++) {
		const struct cli_option *o;
		const char *value;
		int used;

		if (!strcmp(argv[i], "--") || (rest >= 0 && args->nr >= (size_t)rest)) {
			for (i += !strcmp(argv[i], "--"); i < argc; i++)
				vec_push(args, argv[i]);
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			vec_push(args, argv[i]);
			continue;
		}
		o = find(options, nr_options, argv[i], &value);
		if (!o)
			o = find(general, ARRAY_LEN(general), argv[i], &value);
		used = o ? take(o, value, argv[i + 1], err)
			 : err_set(err, ERR_USAGE, "unknown option %s", argv[i]);
		if (used < 0)
			return -1;
		i += used;
	}
	cli->verbose += verbose;
	if (cli->help) {
		cli_print_help(cli->command);
		return 1;
	}
	return check_count(cli, args, min, max, err);
}

int cli_parse(struct cli *cli, int argc, char **argv, const struct cli_option *options, size_t nr_options,
	      int min, int max, int rest, struct cli_texts *args, struct err *err)
{
	int r = parse(cli, argc, argv, options, nr_options, min, max, rest, args, err);

	if (r)
		vec_free(args);
	return r;
}
