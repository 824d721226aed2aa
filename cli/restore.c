// SPDX-License-Identifier: GPL-2.0-only
/* verst restore */
#include <fcntl.h>
#include <json.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/findings.h"

static int source_open(const char *from, int *ret_fd, struct err *err)
{
	if (strcmp(from, "-")) {
		*ret_fd = open(from, O_RDONLY | O_CLOEXEC);
		return *ret_fd < 0 ? err_sys(err, "%s", from) : 0;
	}
	if (isatty(STDIN_FILENO))
		return err_set(err, ERR_USAGE, "an image is not read from a terminal; use a file or a pipe");
	*ret_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? err_sys(err, "standard input") : 0;
}

static void print_result(const struct cli *cli, const struct verst_restore_stats *s, int64_t elapsed_ns)
{
	json_object *o;

	if (!cli->json) {
		cli_say(cli, "%.1f MiB, restored in %.1f ms", (double)s->stream_bytes / (1 << 20),
			(double)elapsed_ns / 1e6);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "stream_bytes", json_object_new_int64((int64_t)s->stream_bytes));
	json_object_object_add(o, "pages", json_object_new_int64((int64_t)s->pages));
	json_object_object_add(o, "ready_ns", json_object_new_int64(s->ready_ns));
	json_object_object_add(o, "elapsed_ns", json_object_new_int64(elapsed_ns));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

static int restore(const struct cli *cli, struct verst *v, int fd, unsigned as_id, struct err *err)
{
	struct verst_restore_opts opts = {.as_id = as_id};
	struct verst_restore_stats stats;
	int64_t began_ns = io_now_ns();
	struct verst_restore *r;

	if (verst_restore_open(v, fd, &opts, &r, err))
		return -1;
	if (verst_restore_run(r, err)) {
		verst_restore_abort(r);
		return -1;
	}
	verst_restore_stats(r, &stats);
	if (verst_restore_commit(r, err))
		return -1;
	print_result(cli, &stats, io_now_ns() - began_ns);
	return 0;
}

static int plan(const struct cli *cli, struct verst *v, int fd, struct err *err)
{
	struct verst_findings steps = {0};

	if (verst_restore_plan(v, fd, &steps, err))
		return -1;
	findings_print(cli, stdout, &steps);
	verst_findings_free(&steps);
	return 0;
}

static int run_restore(struct cli *cli, int argc, char **argv, struct err *err)
{
	const char *from = NULL;
	unsigned long as_id = 0;
	bool plan_only = false;
	const struct cli_option options[] = {
		{"from", 0, CLI_TEXT, &from},
		{"as", 0, CLI_NUMBER, &as_id},
		{"plan", 0, CLI_FLAG, &plan_only},
	};
	struct cli_texts args;
	_fd_ int fd = -1;
	struct verst *v;
	int r = cli_parse(cli, argc, argv, options, ARRAY_LEN(options), 0, 0, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (!from)
		return err_set(err, ERR_USAGE, "where from? --from FILE, or --from - for standard input");
	if (as_id > UINT32_MAX)
		return err_set(err, ERR_VALUE, "--as %lu: too large", as_id);
	if (source_open(from, &fd, err) || cli_open(cli, &v, err))
		return -1;
	r = plan_only ? plan(cli, v, fd, err) : restore(cli, v, fd, (unsigned)as_id, err);
	verst_close(v);
	return r;
}

const struct cli_command cli_restore = {
	.name = "restore",
	.args = "--from FILE|- [OPTIONS]",
	.summary = "Bring a VE back from an image",
	.options = "  --from FILE|-  the image; - is standard input\n"
		   "  --as ID        as another VE of this node\n"
		   "  --plan         check the image and print the steps\n",
	.run = run_restore,
};
