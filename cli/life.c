// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

/* --- create --- */

static int parse_id(const char *text, unsigned *ret, struct err *err)
{
	char *end;
	unsigned long id = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !id || id > 0x7fffffff)
		return err_set(err, ERR_VALUE, "'%s' is no VE id", text);
	*ret = (unsigned)id;
	return 0;
}

static int run_create(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verst_create_opts opts = {0};
	_texts_ struct cli_texts ips = {0}, args = {0};
	const struct cli_option options[] = {
		{"template", 't', CLI_TEXT, &opts.template_name},
		{"ostemplate", 0, CLI_TEXT, &opts.template_name},
		{"ip", 0, CLI_LIST, &ips},
		{"ipadd", 0, CLI_LIST, &ips},
		{"hostname", 0, CLI_TEXT, &opts.hostname},
		{"name", 0, CLI_TEXT, &opts.name},
	};
	struct verst *v;
	unsigned id;
	int r = cli_parse(cli, argc, argv, options, ARRAY_LEN(options), 1, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (!opts.template_name)
		return err_set(err, ERR_USAGE, "--template is missing (verst template list)");
	if (parse_id(args.at[0], &id, err) || cli_open(cli, &v, err))
		return -1;
	opts.ips = ips.at;
	opts.nr_ips = ips.nr;
	r = verst_create(v, id, &opts, &id, err);
	if (!r)
		cli_say(cli, "VE %u created from template %s", id, opts.template_name);
	verst_close(v);
	return r;
}

const struct cli_command cli_create = {
	.name = "create",
	.args = "ID --template NAME [--ip A.B.C.D]... [--hostname H] [--name N]",
	.summary = "Make a VE from a template",
	.options = "  --template NAME  what it is laid over (verst template list)\n"
		   "  --ip A.B.C.D     an address; may be given several times\n"
		   "  --hostname H     its hostname\n"
		   "  --name N         a name that stands for the id\n",
	.run = run_create,
};

/* --- the commands that take a VE and hardly anything else --- */

static int with_ve(struct cli *cli, int argc, char **argv, const struct cli_option *options,
		   size_t nr_options, struct verst **ret_v, const char **ret_ve, struct err *err)
{
	_texts_ struct cli_texts args = {0};
	int r = cli_parse(cli, argc, argv, options, nr_options, 1, 1, -1, &args, err);

	if (r)
		return r;
	*ret_ve = args.at[0];
	return cli_open(cli, ret_v, err);
}

static int run_destroy(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verst *v;
	const char *ve;
	int r = with_ve(cli, argc, argv, NULL, 0, &v, &ve, err);

	if (r)
		return r < 0 ? -1 : 0;
	r = verst_destroy(v, ve, err);
	if (!r)
		cli_say(cli, "VE %s destroyed", ve);
	verst_close(v);
	return r;
}

const struct cli_command cli_destroy = {
	.name = "destroy",
	.args = "ID",
	.summary = "Remove a stopped VE with all its files",
	.run = run_destroy,
};

static int start(struct cli *cli, struct verst *v, const char *ve, struct err *err)
{
	int64_t begin_ns = io_now_ns();

	if (verst_start(v, ve, err))
		return -1;
	if (cli->verbose)
		cli_say(cli, "VE %s started in %.1f ms", ve, (double)(io_now_ns() - begin_ns) / 1e6);
	else
		cli_say(cli, "VE %s started", ve);
	return 0;
}

/* Goes on after a VE that does not start; fails with the last error. */
static int start_onboot(struct cli *cli, struct verst *v, struct err *err)
{
	struct verst_status *list;
	size_t nr;
	int r = 0;

	if (verst_list(v, &list, &nr, err))
		return -1;
	for (size_t i = 0; i < nr; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%u", list[i].id);
		if (list[i].onboot && !list[i].running && start(cli, v, id, err)) {
			log_warn("VE %s: %s", id, err->msg);
			r = -1;
		}
		verst_status_free(&list[i]);
	}
	free(list);
	return r;
}

static int run_start(struct cli *cli, int argc, char **argv, struct err *err)
{
	_texts_ struct cli_texts args = {0};
	bool onboot = false;
	const struct cli_option options[] = {{"onboot", 0, CLI_FLAG, &onboot}};
	struct verst *v;
	int r = cli_parse(cli, argc, argv, options, ARRAY_LEN(options), 0, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (onboot == (args.nr == 1))
		return err_set(err, ERR_USAGE, "usage: verst start ID | --onboot");
	if (cli_open(cli, &v, err))
		return -1;
	r = onboot ? start_onboot(cli, v, err) : start(cli, v, args.at[0], err);
	verst_close(v);
	return r;
}

const struct cli_command cli_start = {
	.name = "start",
	.args = "ID | --onboot",
	.summary = "Start a VE",
	.options = "  --onboot         all whose config says ONBOOT=\"yes\": for the node's own start\n",
	.run = run_start,
};

static int run_stop(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool fast = false;
	const struct cli_option options[] = {{"fast", 0, CLI_FLAG, &fast}};
	struct verst *v;
	const char *ve;
	int r = with_ve(cli, argc, argv, options, ARRAY_LEN(options), &v, &ve, err);

	if (r)
		return r < 0 ? -1 : 0;
	r = verst_stop(v, ve, fast, err);
	if (!r)
		cli_say(cli, "VE %s stopped", ve);
	verst_close(v);
	return r;
}

const struct cli_command cli_stop = {
	.name = "stop",
	.args = "ID [--fast]",
	.summary = "Stop a VE: ask its init, then end it by force",
	.options = "  --fast           by force at once\n",
	.run = run_stop,
};

static int run_restart(struct cli *cli, int argc, char **argv, struct err *err)
{
	bool fast = false;
	const struct cli_option options[] = {{"fast", 0, CLI_FLAG, &fast}};
	struct verst *v;
	const char *ve;
	int r = with_ve(cli, argc, argv, options, ARRAY_LEN(options), &v, &ve, err);

	if (r)
		return r < 0 ? -1 : 0;
	r = verst_stop(v, ve, fast, err);
	if (r && err->code == ERR_NOT_RUNNING)
		r = 0;
	if (!r)
		r = start(cli, v, ve, err);
	verst_close(v);
	return r;
}

const struct cli_command cli_restart = {
	.name = "restart",
	.args = "ID [--fast]",
	.summary = "Stop a VE if it runs, and start it",
	.options = "  --fast           stop by force at once\n",
	.run = run_restart,
};

/* --- set --- */

struct changes {
	struct verst_change *at;
	size_t nr, cap;
};

static const struct {
	const char *option, *key;
} settings[] = {
	{"hostname", "HOSTNAME"},	  {"name", "NAME"},
	{"nameserver", "NAMESERVER"},	  {"searchdomain", "SEARCHDOMAIN"},
	{"description", "DESCRIPTION"},	  {"onboot", "ONBOOT"},
	{"stop-timeout", "STOP_TIMEOUT"},
};

/* What goes comes before what comes: an address can be put in the place of another. */
static struct changes list_changes(const struct cli_texts *del, const struct cli_texts *add,
				   const char *const *values)
{
	struct changes changes = {0};

	for (size_t i = 0; i < del->nr; i++)
		vec_push(&changes, ((struct verst_change){VERST_REMOVE, "IP_ADDRESS", del->at[i]}));
	for (size_t i = 0; i < add->nr; i++)
		vec_push(&changes, ((struct verst_change){VERST_ADD, "IP_ADDRESS", add->at[i]}));
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (values[i])
			vec_push(&changes, ((struct verst_change){VERST_SET, settings[i].key, values[i]}));
	return changes;
}

static int run_set(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *values[ARRAY_LEN(settings)] = {0}, *ve;
	_texts_ struct cli_texts add = {0}, del = {0};
	bool save = false;
	struct cli_option options[4 + ARRAY_LEN(settings)] = {
		{"ip", 0, CLI_LIST, &add},
		{"ipadd", 0, CLI_LIST, &add},
		{"ipdel", 0, CLI_LIST, &del},
		{"save", 0, CLI_FLAG, &save},
	};
	struct changes changes;
	struct verst *v;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		options[4 + i] = (struct cli_option){settings[i].option, 0, CLI_TEXT, &values[i]};
	r = with_ve(cli, argc, argv, options, ARRAY_LEN(options), &v, &ve, err);
	if (r)
		return r < 0 ? -1 : 0;
	changes = list_changes(&del, &add, values);
	r = changes.nr ? verst_set(v, ve, changes.at, changes.nr, save, err)
		       : err_set(err, ERR_USAGE, "nothing to set (verst set --help)");
	if (!r)
		cli_say(cli, save ? "VE %s: saved" : "VE %s: set, not saved (--save)", ve);
	vec_free(&changes);
	verst_close(v);
	return r;
}

const struct cli_command cli_set = {
	.name = "set",
	.args = "ID OPTIONS [--save]",
	.summary = "Change a VE, at once if it runs and for good with --save",
	.options = "  --ipadd A.B.C.D      add an address\n"
		   "  --ipdel A.B.C.D|all  remove an address\n"
		   "  --hostname H         its hostname\n"
		   "  --name N             a name that stands for the id; empty for none\n"
		   "  --nameserver A       its name servers, separated by blanks\n"
		   "  --searchdomain D     its search domains\n"
		   "  --description TEXT   anything\n"
		   "  --onboot yes|no      start it with the node\n"
		   "  --stop-timeout S     how long init may take to stop\n"
		   "  --save               write it into the VE's config\n",
	.run = run_set,
};
