// SPDX-License-Identifier: GPL-2.0-only
#include <json.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/commands.h"

static int run_build(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verst_template_opts opts = {.log_fd = -1};
	const struct cli_option options[] = {
		{"name", 0, CLI_TEXT, &opts.name},     {"suite", 0, CLI_TEXT, &opts.suite},
		{"init", 0, CLI_TEXT, &opts.init},     {"packages", 0, CLI_TEXT, &opts.packages},
		{"mirror", 0, CLI_TEXT, &opts.mirror}, {"force", 0, CLI_FLAG, &opts.force},
	};
	int64_t begin_ns = io_now_ns();
	_texts_ struct cli_texts args = {0};
	struct verst *v;
	int r = cli_parse(cli, argc, argv, options, ARRAY_LEN(options), 1, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (cli_open(cli, &v, err))
		return -1;
	if (cli->verbose)
		opts.log_fd = STDERR_FILENO;
	r = verst_template_build(v, args.at[0], &opts, err);
	if (!r)
		cli_say(cli, "template %s built in %.1f s", opts.name ? opts.name : args.at[0],
			(double)(io_now_ns() - begin_ns) / 1e9);
	verst_close(v);
	return r;
}

const struct cli_command cli_template_build = {
	.name = "template build",
	.args = "busybox|debian [OPTIONS]",
	.summary = "Make a template to create VEs from",
	.options = "  --name NAME      its name; else busybox or debian\n"
		   "  --packages A,B   debian: packages to add\n"
		   "  --suite SUITE    debian: release, else bookworm\n"
		   "  --init INIT      debian: sysvinit (the default) or systemd\n"
		   "  --mirror URL     debian: where from, else as this machine's apt\n"
		   "  --force          replace one of that name, if no VE uses it\n",
	.run = run_build,
};

static json_object *to_json(const struct verst_template *t)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(t->name));
	json_object_object_add(o, "kind", json_object_new_string(t->kind));
	json_object_object_add(o, "init", json_object_new_string(t->init));
	json_object_object_add(o, "arch", json_object_new_string(t->arch));
	json_object_object_add(o, "digest", json_object_new_string(t->digest));
	return o;
}

static void print_json(const struct verst_template *list, size_t nr)
{
	json_object *array = json_object_new_array();

	for (size_t i = 0; i < nr; i++)
		json_object_array_add(array, to_json(&list[i]));
	puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY));
	json_object_put(array);
}

static void print_table(const struct verst_template *list, size_t nr)
{
	printf("%-24s %-8s %-9s %-8s %s\n", "NAME", "KIND", "INIT", "ARCH", "DIGEST");
	for (size_t i = 0; i < nr; i++)
		printf("%-24s %-8s %-9s %-8s %s\n", list[i].name, list[i].kind, list[i].init, list[i].arch,
		       list[i].digest);
}

static int run_list(struct cli *cli, int argc, char **argv, struct err *err)
{
	_texts_ struct cli_texts args = {0};
	struct verst_template *list;
	struct verst *v;
	size_t nr;
	int r = cli_parse(cli, argc, argv, NULL, 0, 0, 0, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (cli_open(cli, &v, err))
		return -1;
	r = verst_template_list(v, &list, &nr, err);
	verst_close(v);
	if (r)
		return -1;
	(cli->json ? print_json : print_table)(list, nr);
	for (size_t i = 0; i < nr; i++)
		verst_template_free(&list[i]);
	free(list);
	return 0;
}

const struct cli_command cli_template_list = {
	.name = "template list",
	.args = "[--json]",
	.summary = "List the templates",
	.run = run_list,
};

static int run_remove(struct cli *cli, int argc, char **argv, struct err *err)
{
	_texts_ struct cli_texts args = {0};
	struct verst *v;
	int r = cli_parse(cli, argc, argv, NULL, 0, 1, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (cli_open(cli, &v, err))
		return -1;
	r = verst_template_remove(v, args.at[0], err);
	if (!r)
		cli_say(cli, "template %s removed", args.at[0]);
	verst_close(v);
	return r;
}

const struct cli_command cli_template_remove = {
	.name = "template remove",
	.args = "NAME",
	.summary = "Remove a template that no VE uses",
	.run = run_remove,
};
