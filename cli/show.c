// SPDX-License-Identifier: GPL-2.0-only
#include <json.h>
#include <stdio.h>

#include "cli/commands.h"

static const char *word(const struct verst_status *s)
{
	return !s->running ? "stopped" : s->frozen ? "frozen" : "running";
}

static json_object *to_json(const struct verst_status *s)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "ctid", json_object_new_int64(s->id));
	json_object_object_add(o, "exists", json_object_new_boolean(s->exists));
	json_object_object_add(o, "mounted", json_object_new_boolean(s->mounted));
	json_object_object_add(o, "status", json_object_new_string(word(s)));
	json_object_object_add(o, "numproc", json_object_new_int64(s->nr_tasks));
	json_object_object_add(o, "name", json_object_new_string(s->name));
	json_object_object_add(o, "hostname", json_object_new_string(s->hostname));
	json_object_object_add(o, "ip", json_object_new_string(s->ip));
	json_object_object_add(o, "ostemplate", json_object_new_string(s->template_name));
	json_object_object_add(o, "description", json_object_new_string(s->description));
	json_object_object_add(o, "onboot", json_object_new_boolean(s->onboot));
	json_object_object_add(o, "init_pid", json_object_new_int(s->init_pid));
	json_object_object_add(o, "uptime", json_object_new_int64(s->uptime_s));
	return o;
}

static void print_json(json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static int run_status(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verst_status s;
	_texts_ struct cli_texts args = {0};
	struct verst *v;
	int r = cli_parse(cli, argc, argv, NULL, 0, 1, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (cli_open(cli, &v, err))
		return -1;
	r = verst_status(v, args.at[0], &s, err);
	verst_close(v);
	if (r)
		return -1;
	if (cli->json)
		print_json(to_json(&s));
	else
		printf("CTID %u %s %s %s%s\n", s.id, s.exists ? "exist" : "deleted",
		       s.mounted ? "mounted" : "unmounted", s.running ? "running" : "down",
		       s.frozen ? " suspended" : "");
	verst_status_free(&s);
	return 0;
}

const struct cli_command cli_status = {
	.name = "status",
	.args = "ID",
	.summary = "Tell in one line whether a VE exists, is mounted, and runs",
	.run = run_status,
};

static void print_table(const struct verst_status *list, size_t nr, bool all)
{
	printf("%10s %10s %-9s %-15s %s\n", "CTID", "NPROC", "STATUS", "IP_ADDR", "HOSTNAME");
	for (size_t i = 0; i < nr; i++) {
		const struct verst_status *s = &list[i];
		char tasks[16] = "-";

		if (!s->running && !all)
			continue;
		if (s->running)
			snprintf(tasks, sizeof(tasks), "%u", s->nr_tasks);
		printf("%10u %10s %-9s %-15s %s\n", s->id, tasks, word(s), *s->ip ? s->ip : "-",
		       *s->hostname ? s->hostname : "-");
	}
}

static int run_list(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verst_status *list;
	_texts_ struct cli_texts args = {0};
	json_object *array;
	bool all = false;
	const struct cli_option options[] = {{"all", 'a', CLI_FLAG, &all}};
	struct verst *v;
	size_t nr;
	int r = cli_parse(cli, argc, argv, options, ARRAY_LEN(options), 0, 0, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (cli_open(cli, &v, err))
		return -1;
	r = verst_list(v, &list, &nr, err);
	verst_close(v);
	if (r)
		return -1;
	array = json_object_new_array();
	for (size_t i = 0; i < nr; i++)
		if (all || list[i].running)
			json_object_array_add(array, to_json(&list[i]));
	if (cli->json)
		print_json(json_object_get(array));
	else
		print_table(list, nr, all);
	json_object_put(array);
	for (size_t i = 0; i < nr; i++)
		verst_status_free(&list[i]);
	free(list);
	return 0;
}

const struct cli_command cli_list = {
	.name = "list",
	.args = "[-a] [--json]",
	.summary = "List the VEs that run, or all",
	.options = "  -a, --all        stopped ones too\n",
	.run = run_list,
};
