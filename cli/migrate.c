// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

static const char *const phases[VERST_MIGRATE_NR_PHASES] = {
	[VERST_MIGRATE_CONNECT] = "connect", [VERST_MIGRATE_PREFLIGHT] = "preflight",
	[VERST_MIGRATE_FILES] = "files",     [VERST_MIGRATE_MEMORY] = "memory",
	[VERST_MIGRATE_FREEZE] = "freeze",   [VERST_MIGRATE_BUILD] = "build",
	[VERST_MIGRATE_COMMIT] = "commit",   [VERST_MIGRATE_DROP] = "drop",
};

struct show {
	const struct cli *cli;
	bool terminal;
	unsigned page_bytes;
	char last[200]; /* line: what is said already is not said again */
};

static double mb(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

static double ms(int64_t ns)
{
	return (double)ns / 1e6;
}

/* --- progress --- */

static void print_json_line(json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	fflush(stdout);
}

static void add_int(json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)n));
}

static void progress_json(const struct show *s, const struct verst_migrate_progress *p)
{
	json_object *o;

	if (!p->begins && p->phase != VERST_MIGRATE_FILES && p->phase != VERST_MIGRATE_MEMORY)
		return;
	o = json_object_new_object();
	json_object_object_add(o, "event",
			       json_object_new_string(p->begins				? "phase"
						      : p->phase == VERST_MIGRATE_FILES ? "files"
											: "round"));
	json_object_object_add(o, "phase", json_object_new_string(phases[p->phase]));
	if (!p->begins && p->phase == VERST_MIGRATE_FILES) {
		add_int(o, "bytes", p->file_bytes);
		add_int(o, "percent", p->file_percent);
		add_int(o, "bytes_per_s", p->bytes_per_s);
	} else if (!p->begins) {
		add_int(o, "number", p->round.number);
		add_int(o, "sent_pages", p->round.sent_pages);
		add_int(o, "zero_pages", p->round.zero_pages);
		add_int(o, "stream_bytes", p->round.stream_bytes);
		add_int(o, "elapsed_ns", (uint64_t)p->round.elapsed_ns);
		add_int(o, "dirty_pages", p->round.dirty_pages);
		add_int(o, "bytes_per_s", p->bytes_per_s);
		add_int(o, "dirty_bytes_per_s", p->dirty_bytes_per_s);
		add_int(o, "forecast_ms", p->forecast_ms);
	}
	print_json_line(o);
}

static void progress_text(struct show *s, const struct verst_migrate_progress *p)
{
	char line[200] = "";

	if (p->begins && p->phase >= VERST_MIGRATE_FREEZE)
		return; /* it stands still: no time for words */
	if (p->begins)
		snprintf(line, sizeof(line), "%s ...", phases[p->phase]);
	else if (p->phase == VERST_MIGRATE_FILES)
		snprintf(line, sizeof(line), "files: %.1f MB, %u%%, %.1f MB/s", mb(p->file_bytes),
			 p->file_percent, mb(p->bytes_per_s));
	else if (p->phase == VERST_MIGRATE_MEMORY)
		snprintf(line, sizeof(line),
			 "round %u: %.1f MB sent, %.1f MB/s, written meanwhile %.1f MB (%.1f MB/s), forecast "
			 "downtime %llu ms",
			 p->round.number, mb(p->round.sent_pages * s->page_bytes), mb(p->bytes_per_s),
			 mb(p->round.dirty_pages * s->page_bytes), mb(p->dirty_bytes_per_s),
			 (unsigned long long)p->forecast_ms);
	if (!strcmp(line, s->last))
		return;
	strcpy(s->last, line);
	if (s->terminal)
		printf("\r\033[K%.*s", 150, line);
	else if (p->begins || p->phase != VERST_MIGRATE_FILES || p->file_percent == 100)
		printf("%s\n", line);
	fflush(stdout);
}

static void progress(void *arg, const struct verst_migrate_progress *p)
{
	struct show *s = arg;

	if (s->cli->json)
		progress_json(s, p);
	else if (!s->cli->quiet)
		progress_text(s, p);
}

/* --- the end --- */

static void print_findings(const struct cli *cli, const struct verst_findings *f)
{
	for (unsigned long i = 0; i < f->nr; i++) {
		const struct verst_finding *it = &f->at[i];

		if (cli->json) {
			json_object *o = json_object_new_object();

			json_object_object_add(o, "event", json_object_new_string("obstacle"));
			json_object_object_add(o, "where", json_object_new_string(it->where));
			json_object_object_add(o, "what", json_object_new_string(it->what));
			json_object_object_add(o, "hint", it->hint ? json_object_new_string(it->hint) : NULL);
			print_json_line(o);
		} else {
			printf("%s: %s%s%s%s\n", it->where, it->what, it->hint ? " (" : "",
			       it->hint ? it->hint : "", it->hint ? ")" : "");
		}
	}
}

static void print_stats_json(const struct verst_migrate_stats *s)
{
	json_object *o = json_object_new_object(), *times = json_object_new_object();

	json_object_object_add(o, "event", json_object_new_string("done"));
	for (int i = 0; i < VERST_MIGRATE_NR_PHASES; i++)
		add_int(times, phases[i], (uint64_t)s->phase_ns[i]);
	add_int(o, "frozen_ns", (uint64_t)s->frozen_ns);
	add_int(o, "thaw_ns", (uint64_t)s->thaw_ns);
	add_int(o, "total_ns", (uint64_t)s->total_ns);
	json_object_object_add(o, "phases_ns", times);
	add_int(o, "rounds", s->rounds);
	add_int(o, "file_bytes", s->file_bytes);
	add_int(o, "changed_files", s->changed_files);
	add_int(o, "changed_bytes", s->changed_bytes);
	add_int(o, "stream_bytes", s->stream_bytes);
	json_object_object_add(o, "warning", json_object_new_string(s->warning));
	print_json_line(o);
}

static void print_stats(const struct cli *cli, const struct verst_migrate_stats *s, bool times)
{
	if (cli->json) {
		print_stats_json(s);
		return;
	}
	if (times)
		for (int i = 0; i < VERST_MIGRATE_NR_PHASES; i++)
			printf("%-10s %10.1f ms\n", phases[i], ms(s->phase_ns[i]));
	cli_say(cli,
		"moved: stood still for %.1f ms; %u rounds, %.1f MB over the link, %.1f MB of files; %.1f s "
		"in all",
		ms(s->frozen_ns), s->rounds, mb(s->stream_bytes), mb(s->file_bytes),
		(double)s->total_ns / 1e9);
	if (*s->warning)
		fprintf(stderr, "verst: warning: there: %s\n", s->warning);
}

/* 100M, 2G, 500k: bytes */
static int parse_bytes(const char *text, uint64_t *ret, struct err *err)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr("kmg", tolower((unsigned char)*end)) : "";

	if (end == text || *text == '-' || !unit || (*end && end[1]) || n > 1ull << 40)
		return err_set(err, ERR_VALUE, "--bwlimit wants bytes per second (100M), not '%s'", text);
	*ret = n << (!*end ? 0 : *unit == 'k' ? 10 : *unit == 'm' ? 20 : 30);
	return 0;
}

static int migrate(struct cli *cli, const char *ve, const struct verst_migrate_opts *opts, bool times,
		   struct err *err)
{
	struct show show = {cli, isatty(STDOUT_FILENO) && !cli->json, (unsigned)sysconf(_SC_PAGESIZE), ""};
	struct verst_migrate_stats stats;
	struct verst_findings found;
	struct verst *v;
	int r;

	if (cli_open(cli, &v, err))
		return -1;
	signal(SIGPIPE, SIG_IGN);
	r = verst_migrate(v, ve, opts, progress, &show, &stats, &found, err);
	if (show.terminal && !cli->quiet)
		printf("\r\033[K");
	print_findings(cli, &found);
	verst_findings_free(&found);
	verst_close(v);
	if (r)
		return -1;
	if (opts->dry_run && cli->json)
		puts("{\"event\":\"done\",\"dry_run\":true}");
	else if (opts->dry_run)
		cli_say(cli, "nothing stands in the way of moving VE %s to %s", ve, opts->target);
	else
		print_stats(cli, &stats, times);
	return 0;
}

static int run_migrate(struct cli *cli, int argc, char **argv, struct err *err)
{
	struct verst_migrate_opts opts = {.compress = true};
	unsigned long max_downtime_ms = 0, max_rounds = 0, doubt_s = 0;
	bool times = false, no_compress = false;
	const char *bwlimit = NULL;
	const struct cli_option options[] = {
		{"identity", 'i', CLI_TEXT, &opts.key_path},
		{"dry-run", 0, CLI_FLAG, &opts.dry_run},
		{"times", 0, CLI_FLAG, &times},
		{"known-hosts", 0, CLI_TEXT, &opts.known_hosts},
		{"remote-root", 0, CLI_TEXT, &opts.remote_root},
		{"remote-verst", 0, CLI_TEXT, &opts.remote_verst},
		{"max-downtime", 0, CLI_NUMBER, &max_downtime_ms},
		{"max-rounds", 0, CLI_NUMBER, &max_rounds},
		{"bwlimit", 0, CLI_TEXT, &bwlimit},
		{"no-compress", 0, CLI_FLAG, &no_compress},
		{"keep", 0, CLI_FLAG, &opts.keep},
		{"doubt-timeout", 0, CLI_NUMBER, &doubt_s},
	};
	struct cli_texts args;
	int r = cli_parse(cli, argc, argv, options, ARRAY_LEN(options), 2, 2, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	opts.target = args.at[1];
	opts.compress = !no_compress;
	opts.max_downtime_ms = (unsigned)max_downtime_ms;
	opts.max_rounds = (unsigned)max_rounds;
	opts.doubt_ms = (unsigned)doubt_s * 1000;
	if (!bwlimit || !parse_bytes(bwlimit, &opts.bytes_per_s, err))
		r = migrate(cli, args.at[0], &opts, times, err);
	else
		r = -1;
	vec_free(&args);
	return r;
}

const struct cli_command cli_migrate = {
	.name = "migrate",
	.args = "ID [USER@]NODE[:PORT]",
	.summary = "Move a running VE to another node",
	.options =
		"  -i, --identity KEY     SSH key (else: ssh-agent, ~/.ssh/id_*)\n"
		"  --dry-run              only tell what stands in the way\n"
		"  --times                tell how long each phase took\n"
		"  --keep                 leave the private area here, and the config as ID.conf.migrated\n"
		"  --max-downtime MS      copy memory in rounds until less is forecast (100)\n"
		"  --max-rounds N         at most so many (30)\n"
		"  --bwlimit N[k|M|G]     bytes per second while the VE runs\n"
		"  --no-compress          send memory as it is\n"
		"  --known-hosts FILE     instead of ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts\n"
		"  --remote-root DIR      --root of verst there\n"
		"  --remote-verst PATH    its program there (verst)\n"
		"  --doubt-timeout S      how long to ask after a link that broke in the commit (30)\n",
	.run = run_migrate,
};
