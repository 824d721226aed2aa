// SPDX-License-Identifier: GPL-2.0-only
/* verst checkpoint, verst check */
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/findings.h"

#define DEFAULT_ROUNDS 2

/* The image while it is written: under a name of its own, which it loses when it is whole. */
struct target {
	const char *path; /* NULL: standard output */
	char *temporary;
	int fd;
};

static int target_open(const char *to, struct target *ret, struct err *err)
{
	*ret = (struct target){.fd = -1};
	if (!strcmp(to, "-")) {
		if (isatty(STDOUT_FILENO))
			return err_set(err, ERR_USAGE,
				       "an image is not written to a terminal; use a file or a pipe");
		ret->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return ret->fd < 0 ? err_sys(err, "standard output") : 0;
	}
	ret->path = to;
	ret->temporary = mem_printf("%s.%d.part", to, getpid());
	ret->fd = open(ret->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return ret->fd < 0 ? err_sys(err, "%s", ret->temporary) : 0;
}

/* On disk before the VE that it stands for is ended. */
static int target_keep(struct target *t, struct err *err)
{
	if (t->path && (fsync(t->fd) || rename(t->temporary, t->path)))
		return err_sys(err, "%s", t->path);
	free(t->temporary);
	t->temporary = NULL;
	return 0;
}

static void target_close(struct target *t)
{
	if (t->temporary && t->fd >= 0)
		unlink(t->temporary);
	free(t->temporary);
	if (t->fd >= 0)
		close(t->fd);
}

static json_object *result_json(const char *to, const struct verst_dump_stats *s,
				const struct verst_round *last)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "image", json_object_new_string(to));
	json_object_object_add(o, "frozen_ns", json_object_new_int64(s->frozen_ns));
	json_object_object_add(o, "freeze_ns", json_object_new_int64(s->freeze_ns));
	json_object_object_add(o, "collect_ns", json_object_new_int64(s->collect_ns));
	json_object_object_add(o, "pages_ns", json_object_new_int64(s->pages_ns));
	json_object_object_add(o, "write_ns", json_object_new_int64(s->write_ns));
	json_object_object_add(o, "stream_bytes", json_object_new_int64((int64_t)s->stream_bytes));
	json_object_object_add(o, "tasks", json_object_new_int64(s->tasks));
	json_object_object_add(o, "threads", json_object_new_int64(s->threads));
	json_object_object_add(o, "files", json_object_new_int64(s->files));
	json_object_object_add(o, "sockets", json_object_new_int64(s->sockets));
	json_object_object_add(o, "rounds", json_object_new_int64(last->number));
	return o;
}

static void print_result(const struct cli *cli, FILE *to, const char *name, const struct verst_dump_stats *s,
			 const struct verst_round *last)
{
	json_object *o;

	if (!cli->json) {
		if (!cli->quiet)
			fprintf(to,
				"%u tasks, %u files, %u sockets, %.1f MiB in %u round%s; stood still for "
				"%.1f ms\n",
				s->tasks, s->files, s->sockets, (double)s->stream_bytes / (1 << 20),
				last->number, last->number == 1 ? "" : "s", (double)s->frozen_ns / 1e6);
		return;
	}
	o = result_json(name, s, last);
	fprintf(to, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void say_round(const struct cli *cli, const struct verst_round *r)
{
	double s = (double)r->elapsed_ns / 1e9;

	if (!cli->quiet && !cli->json && s > 1)
		fprintf(stderr, "round %u: %.1f MiB in %.1f s, %.0f MiB/s\n", r->number,
			(double)r->stream_bytes / (1 << 20), s, (double)r->stream_bytes / (1 << 20) / s);
}

static int run_rounds(const struct cli *cli, struct verst_dump *d, int max, struct err *err)
{
	struct verst_round r = {0};

	for (int i = 0; i < max; i++) {
		if (verst_dump_round(d, &r, err))
			return -1;
		say_round(cli, &r);
		if (!r.dirty_pages)
			break;
	}
	return 0;
}

/* Consumes d. The VE ends only when its image is safe; it goes on before that is waited for if it shall go on
 * anyway. */
static int finish(struct verst_dump *d, struct target *t, bool leave_running, struct verst_dump_stats *ret,
		  struct err *err)
{
	if (leave_running) {
		verst_dump_stats(d, ret);
		return verst_dump_resume(d, err) || target_keep(t, err) ? -1 : 0;
	}
	if (target_keep(t, err) || fault_point("checkpoint-kept", err)) {
		verst_dump_abort(d);
		return -1;
	}
	verst_dump_stats(d, ret);
	return verst_dump_kill(d, err);
}

static int checkpoint(const struct cli *cli, struct verst *v, const char *ve, struct target *t,
		      const struct verst_dump_opts *opts, struct verst_dump_stats *ret_stats,
		      struct verst_round *ret_last, struct err *err)
{
	struct verst_findings findings = {0};
	struct verst_dump *d;

	if (verst_dump_open(v, ve, t->fd, opts, &d, &findings, err)) {
		findings_print(cli, stderr, &findings);
		verst_findings_free(&findings);
		return -1;
	}
	verst_findings_free(&findings);
	if (run_rounds(cli, d, opts->max_rounds, err) || verst_dump_freeze(d, ret_last, err)) {
		verst_dump_abort(d);
		return -1;
	}
	return finish(d, t, opts->leave_running, ret_stats, err);
}

static int check_ve(struct cli *cli, const char *ve, struct err *err)
{
	struct verst_findings findings = {0};
	struct verst *v;
	int r;

	if (cli_open(cli, &v, err))
		return -1;
	r = verst_check_ve(v, ve, &findings, err);
	if (!r) {
		findings_print(cli, stdout, &findings);
		if (findings.nr)
			r = err_set(err, ERR_OBSTACLES, "VE %s cannot be dumped as it is: %lu obstacle%s", ve,
				    findings.nr, findings.nr == 1 ? "" : "s");
		else
			cli_say(cli, "nothing stands in the way");
	}
	verst_findings_free(&findings);
	verst_close(v);
	return r;
}

static int run_checkpoint(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verst_dump_opts opts = {0};
	const char *to = NULL;
	unsigned long rounds = DEFAULT_ROUNDS;
	bool dry_run = false;
	const struct cli_option options[] = {
		{"to", 0, CLI_TEXT, &to},
		{"leave-running", 0, CLI_FLAG, &opts.leave_running},
		{"compress", 0, CLI_FLAG, &opts.compress},
		{"rounds", 0, CLI_NUMBER, &rounds},
		{"dry-run", 0, CLI_FLAG, &dry_run},
	};
	struct verst_dump_stats stats = {0};
	struct verst_round last = {0};
	struct cli_texts args;
	struct target target;
	struct verst *v;
	int r = cli_parse(cli, argc, argv, options, ARRAY_LEN(options), 1, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (dry_run)
		return check_ve(cli, args.at[0], err);
	if (!to)
		return err_set(err, ERR_USAGE, "where to? --to FILE, or --to - for standard output");
	if (rounds > 100)
		return err_set(err, ERR_VALUE, "--rounds %lu: at most 100", rounds);
	opts.max_rounds = (int)rounds;
	if (cli_open(cli, &v, err))
		return -1;
	r = target_open(to, &target, err);
	if (!r)
		r = checkpoint(cli, v, args.at[0], &target, &opts, &stats, &last, err);
	if (!r)
		print_result(cli, target.path ? stdout : stderr, to, &stats, &last);
	target_close(&target);
	verst_close(v);
	vec_free(&args);
	return r;
}

const struct cli_command cli_checkpoint = {
	.name = "checkpoint",
	.args = "ID --to FILE|- [OPTIONS]",
	.summary = "Save a running VE into an image",
	.options = "  --to FILE|-      the image; - is standard output\n"
		   "  --leave-running  the VE goes on when the image is whole\n"
		   "  --compress       memory by lz4\n"
		   "  --rounds N       write memory at most so often while the VE runs (2)\n"
		   "  --dry-run        only look for obstacles\n",
	.run = run_checkpoint,
};

static int check_node(struct cli *cli, struct err *err)
{
	struct verst_findings findings = {0};
	struct verst *v;
	int r;

	if (cli_open(cli, &v, err))
		return -1;
	r = verst_check_node(v, &findings, err);
	findings_print(cli, stdout, &findings);
	verst_findings_free(&findings);
	verst_close(v);
	return r;
}

static int run_check(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct cli_texts args;
	int r = cli_parse(cli, argc, argv, NULL, 0, 0, 1, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	r = args.nr ? check_ve(cli, args.at[0], err) : check_node(cli, err);
	vec_free(&args);
	return r;
}

const struct cli_command cli_check = {
	.name = "check",
	.args = "[ID]",
	.summary = "What stands in the way of a dump of a VE; what this kernel offers",
	.run = run_check,
};
