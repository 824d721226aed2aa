// SPDX-License-Identifier: GPL-2.0-only
/* Whole migrations between two imitated nodes: with everything well, and with either side failing or killed
 * anywhere. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>

#include "migrate/msg.h"
#include "tests/unit/migrate_fake.h"

static const struct verst_migrate_opts plain = {.target = "root@node2", .doubt_ms = 1500};

static int migrate(struct fake *f, struct verst_migrate_stats *ret_stats, struct err *err)
{
	struct source_means means = fake_means(f);
	struct verst_findings found;
	int ret = source_migrate(&means, &f->v[0], "fake", &plain, NULL, NULL, ret_stats, &found, err);

	verst_findings_free(&found);
	return ret;
}

static void touch(struct fake *f, int node, const char *name)
{
	char path[300];
	FILE *file;

	sprintf(path, "%s/%d/private/%u/upper/%s", f->dir, node, FAKE_VE, name);
	file = fopen(path, "w");
	cr_assert(file);
	fclose(file);
}

static bool exists(struct fake *f, int node, const char *fmt, ...)
{
	char path[300];
	va_list ap;

	sprintf(path, "%s/%d/", f->dir, node);
	va_start(ap, fmt);
	vsnprintf(path + strlen(path), sizeof(path) - strlen(path), fmt, ap);
	va_end(ap);
	return !access(path, F_OK);
}

static unsigned outcomes(struct fake *f)
{
	char path[300];
	struct dirent *e;
	unsigned nr = 0;
	DIR *d;

	sprintf(path, "%s/1/journal/committed", f->dir);
	d = opendir(path);
	while (d && (e = readdir(d)))
		nr += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return nr;
}

/* Which node it runs on; asserts that it is one, and that the other has nothing of it. */
static int where(struct fake *f, const char *when)
{
	enum fake_life here = f->shared->node[0].life, there = f->shared->node[1].life;

	cr_assert((here == FAKE_RUNNING) ^ (there == FAKE_RUNNING), "%s: here %d, there %d", when, here,
		  there);
	cr_assert(here == FAKE_RUNNING || here == FAKE_NONE, "%s: here %d", when, here);
	cr_assert(there == FAKE_RUNNING || there == FAKE_NONE, "%s: there %d", when, there);
	cr_assert_eq(exists(f, 0, "private/%u", FAKE_VE), here == FAKE_RUNNING, "%s: private area here",
		     when);
	cr_assert_eq(exists(f, 1, "private/%u", FAKE_VE), there == FAKE_RUNNING, "%s: private area there",
		     when);
	cr_assert_not(exists(f, 0, "journal/%u", FAKE_VE), "%s: journal here", when);
	cr_assert_not(exists(f, 1, "journal/%u", FAKE_VE), "%s: journal there", when);
	return here == FAKE_RUNNING ? 0 : 1;
}

Test(migrate_session, moves, .timeout = 30)
{
	struct verst_migrate_stats stats;
	struct err err = ERR_INIT;
	struct fake f;

	fake_begin(&f);
	touch(&f, 0, "a file");
	cr_assert_eq(migrate(&f, &stats, &err), 0, "%s", err.msg);
	cr_assert_eq(where(&f, "moved"), 1);
	cr_assert(exists(&f, 1, "private/%u/upper/a file", FAKE_VE));
	cr_assert_eq(stats.rounds, 2);
	cr_assert_gt(stats.frozen_ns, 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	cr_assert_eq(outcomes(&f), 0, "the outcome was not forgotten");
	fake_end(&f);
}

/* What the VE writes last, just before it stands still, is there before the objects that need it. */
static int freeze_with_a_new_file(struct verst_dump *d, struct verst_round *ret, struct err *err)
{
	extern struct fake *freezing;

	touch(freezing, 0, "frozen");
	return fake_engine.dump_freeze(d, ret, err);
}
struct fake *freezing;

Test(migrate_session, last_files_come_before_the_objects, .timeout = 30)
{
	struct engine engine = fake_engine;
	struct source_means means;
	struct verst_migrate_stats stats;
	struct verst_findings found;
	struct err err = ERR_INIT;
	struct fake f;

	fake_begin(&f);
	freezing = &f;
	touch(&f, 0, "expects-frozen");
	engine.dump_freeze = freeze_with_a_new_file;
	means = fake_means(&f);
	means.engine = &engine;
	cr_assert_eq(source_migrate(&means, &f.v[0], "fake", &plain, NULL, NULL, &stats, &found, &err), 0,
		     "%s", err.msg);
	cr_assert_eq(where(&f, "moved"), 1);
	cr_assert(exists(&f, 1, "private/%u/upper/frozen", FAKE_VE));
	verst_findings_free(&found);
	fake_end(&f);
}

Test(migrate_session, dry_run_changes_nothing, .timeout = 30)
{
	struct verst_migrate_opts opts = plain;
	struct verst_migrate_stats stats;
	struct verst_findings found;
	struct err err = ERR_INIT;
	struct source_means means;
	struct fake f;

	fake_begin(&f);
	means = fake_means(&f);
	opts.dry_run = true;
	cr_assert_eq(source_migrate(&means, &f.v[0], "fake", &opts, NULL, NULL, &stats, &found, &err), 0,
		     "%s", err.msg);
	cr_assert_eq(found.nr, 0);
	cr_assert_eq(where(&f, "dry run"), 0);
	/* and every obstacle of the far side is told */
	f.shared->node[1].adopted = true;
	cr_assert_eq(source_migrate(&means, &f.v[0], "fake", &opts, NULL, NULL, &stats, &found, &err), -1);
	cr_assert_eq(err.code, ERR_OBSTACLES);
	cr_assert(found.nr == 1 && !strcmp(found.at[0].where, "there: id"));
	f.shared->node[1].adopted = false;
	verst_findings_free(&found);
	fake_end(&f);
}

/* --- failing and dying --- */

static const char *const source_points[] = {
	"migrate-hello",       "migrate-preflight",   "migrate-files",	      "migrate-round",
	"migrate-frozen",      "migrate-ready",	      "migrate-commit-begin", "migrate-before-commit",
	"migrate-commit-sent", "migrate-before-drop",
};
static const char *const agent_points[] = {
	"agent-preflight", "agent-prepare", "agent-prepared",  "agent-restore-begin", "agent-file",
	"agent-ready",	   "agent-commit",  "agent-committed", "agent-thawed",
};

static void recover_all(struct fake *f, const char *when)
{
	struct source_means means = fake_means(f);

	for (int node = 0; node < 2; node++) {
		struct err err = ERR_INIT;
		char *what = NULL;

		cr_assert_eq(recover_ve(&means, &f->v[node], FAKE_VE, VERST_RECOVER_ASK, &what, &err), 0,
			     "%s: %s", when, err.msg);
		free(what);
	}
}

/* In a child, because it may be killed. */
static int migrate_in_child(struct fake *f, const char *fault)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct verst_migrate_stats stats;
		struct err err = ERR_INIT;

		if (fault)
			setenv("VERST_FAULT", fault, 1);
		_exit(migrate(f, &stats, &err) ? (int)err.code : 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	/* the agents are the child's children: they end when their link does, and what they made with them */
	while (waitpid(-1, NULL, 0) > 0)
		;
	return status;
}

static void try_fault(const char *point, const char *action, bool at_agent)
{
	char fault[100], when[150];
	struct fake f;
	int status;

	sprintf(fault, "%s=%s", point, action);
	sprintf(when, "%s at the %s", fault, at_agent ? "agent" : "source");
	fake_begin(&f);
	touch(&f, 0, "expects-frozen");
	touch(&f, 0, "frozen");
	f.agent_fault = at_agent ? fault : NULL;
	status = migrate_in_child(&f, at_agent ? NULL : fault);
	f.agent_fault = NULL;
	fake_processes_died(&f);
	/* what the supervisor of a VE with a commit lease does; for all others there is nothing to recover */
	recover_all(&f, when);
	if (where(&f, when) == 0) {
		status = migrate_in_child(&f, NULL);
		cr_assert(WIFEXITED(status) && !WEXITSTATUS(status), "%s: the second try: %x", when, status);
		cr_assert_eq(where(&f, when), 1, "%s: second try", when);
	}
	fake_end(&f);
}

Test(migrate_faults, source_fails, .timeout = 120)
{
	for (size_t i = 0; i < ARRAY_LEN(source_points); i++)
		try_fault(source_points[i], "fail", false);
}

Test(migrate_faults, source_is_killed, .timeout = 120)
{
	for (size_t i = 0; i < ARRAY_LEN(source_points); i++)
		try_fault(source_points[i], "kill", false);
}

Test(migrate_faults, agent_fails, .timeout = 120)
{
	for (size_t i = 0; i < ARRAY_LEN(agent_points); i++)
		try_fault(agent_points[i], "fail", true);
}

Test(migrate_faults, agent_is_killed, .timeout = 120)
{
	for (size_t i = 0; i < ARRAY_LEN(agent_points); i++)
		try_fault(agent_points[i], "kill", true);
}

/* The far side gone for good in the commit: frozen, in doubt, and only a person's word ends it. */
static int open_once(void *arg, const struct verst_migrate_opts *opts, int timeout_ms, struct pump **ret,
		     struct err *err)
{
	struct fake *f = arg;
	struct source_means means = fake_means(f);
	int got = means.open(f, opts, timeout_ms, ret, err);

	f->no_agent = true;
	return got;
}

Test(migrate_faults, doubt_stays_until_it_is_resolved, .timeout = 60)
{
	struct verst_migrate_stats stats;
	struct verst_findings found;
	struct err err = ERR_INIT;
	struct source_means means;
	struct verst_journal j;
	char *what = NULL;
	struct fake f;

	fake_begin(&f);
	means = fake_means(&f);
	means.open = open_once;
	f.agent_fault = "agent-committed=kill";
	cr_assert_eq(source_migrate(&means, &f.v[0], "fake", &plain, NULL, NULL, &stats, &found, &err), -1);
	cr_assert_eq(err.code, ERR_DOUBT, "%d %s", err.code, err.msg);
	cr_assert_eq(f.shared->node[0].life, FAKE_FROZEN_FOR_GOOD);
	cr_assert_lt(ve_journal_may_boot(&f.v[0].node, FAKE_VE, false, &err), 0);
	cr_assert_eq(err.code, ERR_DOUBT);
	cr_assert_lt(recover_ve(&means, &f.v[0], FAKE_VE, VERST_RECOVER_ASK, &what, &err), 0);
	cr_assert_eq(err.code, ERR_DOUBT);
	cr_assert_eq(f.shared->node[0].life, FAKE_FROZEN_FOR_GOOD);
	err_clear(&err);
	cr_assert_eq(ve_journal_read(&f.v[0].node, FAKE_VE, &j, &err), 0);
	cr_assert(j.state == VERST_JOURNAL_DOUBT && !strcmp(j.host, "node2") && !strcmp(j.user, "root") &&
		  j.port == 22);
	verst_journal_free(&j);
	/* the link is back: it was committed there */
	f.no_agent = false;
	f.agent_fault = NULL;
	fake_processes_died(&f);
	recover_all(&f, "link back");
	cr_assert_eq(where(&f, "link back"), 1);
	verst_findings_free(&found);
	fake_end(&f);
}

/* An outcome is remembered until the source knows it, also when the VE's id has long had another fate. */
Test(migrate_faults, a_late_question_gets_the_old_answer, .timeout = 60)
{
	enum verst_journal_state state;
	struct verst_journal j = {.id = FAKE_VE, .state = VERST_JOURNAL_RECEIVING};
	const char *m = "000102030405060708090a0b0c0d0e0f", *other = "ff0102030405060708090a0b0c0d0e0f";
	struct err err = ERR_INIT;
	struct fake f;

	fake_begin(&f);
	strcpy(j.migration, m);
	cr_assert_eq(ve_journal_write(&f.v[1].node, &j, &err), 0);
	cr_assert_eq(ve_journal_step(&f.v[1].node, FAKE_VE, m, VERST_JOURNAL_RECEIVING,
				     VERST_JOURNAL_COMMITTED, &err),
		     0);
	cr_assert_eq(ve_journal_settle(&f.v[1].node, FAKE_VE, &err), 0, "%s", err.msg);
	strcpy(j.migration, other);
	j.state = VERST_JOURNAL_RECEIVING;
	cr_assert_eq(ve_journal_remove(&f.v[1].node, FAKE_VE, m, &err), 0);
	cr_assert_eq(ve_journal_write(&f.v[1].node, &j, &err), 0);
	cr_assert_eq(ve_journal_resolve(&f.v[1].node, FAKE_VE, m, &state, &err), 0);
	cr_assert_eq(state, VERST_JOURNAL_COMMITTED);
	/* a question about an unfinished one ends it: a COMMIT that comes after it is refused */
	cr_assert_eq(ve_journal_resolve(&f.v[1].node, FAKE_VE, other, &state, &err), 0);
	cr_assert_eq(state, VERST_JOURNAL_ABORTED);
	cr_assert_lt(ve_journal_step(&f.v[1].node, FAKE_VE, other, VERST_JOURNAL_RECEIVING,
				     VERST_JOURNAL_COMMITTED, &err),
		     0);
	cr_assert_lt(ve_journal_may_boot(&f.v[1].node, FAKE_VE, true, &err), 0);
	/* one that was never heard of did not commit */
	cr_assert_eq(
		ve_journal_resolve(&f.v[1].node, FAKE_VE, "aa0102030405060708090a0b0c0d0e0f", &state, &err),
		0);
	cr_assert_eq(state, VERST_JOURNAL_ABORTED);
	cr_assert_lt(
		ve_journal_resolve(&f.v[1].node, FAKE_VE, "../../../../../../etc/passwd0000", &state, &err),
		0);
	fake_end(&f);
}

/* --- a hostile or broken source --- */

static void expect_nothing_left(struct fake *f, pid_t agent, const char *when)
{
	int status;

	cr_assert_eq(waitpid(agent, &status, 0), agent);
	cr_assert(WIFEXITED(status), "%s: agent crashed, status %x", when, status);
	cr_assert_eq(f->shared->node[1].life, FAKE_NONE, "%s", when);
	cr_assert_not(exists(f, 1, "private/%u", FAKE_VE), "%s", when);
	cr_assert_not(exists(f, 1, "journal/%u", FAKE_VE), "%s", when);
}

/* A sound conversation up to READY, as bytes. */
static struct buf conversation(void)
{
	struct msg_preflight m = {.ve = {.id = FAKE_VE,
					 .name = (char *)"n",
					 .conf = (char *)"",
					 .template_name = (char *)"",
					 .template_digest = (char *)""}};
	struct msg_hello hello = {MSG_PROTOCOL,
				  MSG_PROTOCOL,
				  (char *)"1",
				  NULL,
				  (char *)"k",
				  (char *)"evil",
				  (uint32_t)sysconf(_SC_PAGESIZE)};
	struct buf out = {0}, b = {0};
	uint32_t seq = 0;

	hello.arch = (char *)"x86_64";
	msg_put_hello(&b, &hello);
	frame_put(&out, FRAME_HELLO, seq++, b.at, b.len_bytes);
	buf_clear(&b);
	msg_put_preflight(&b, &m);
	frame_put(&out, FRAME_PREFLIGHT, seq++, b.at, b.len_bytes);
	buf_clear(&b);
	msg_put_id_of(&b, "000102030405060708090a0b0c0d0e0f", FAKE_VE);
	frame_put(&out, FRAME_PREPARE, seq++, b.at, b.len_bytes);
	frame_put(&out, FRAME_STREAM, seq++, "HTppOE", 6);
	frame_put(&out, FRAME_STREAM_END, seq++, NULL, 0);
	buf_free(&b);
	return out;
}

Test(migrate_agent, link_cut_anywhere_leaves_nothing, .timeout = 120)
{
	struct buf b = conversation();
	struct fake f;

	fake_begin(&f);
	for (size_t len = 0; len <= b.len_bytes; len += len < 80 ? 9 : 3) {
		char when[40];
		pid_t agent;
		int fd;

		sprintf(when, "cut at %zu of %zu", len, b.len_bytes);
		agent = fake_agent(&f, &fd);
		cr_assert_eq(send(fd, b.at, len, MSG_NOSIGNAL), (ssize_t)len);
		shutdown(fd, SHUT_WR);
		expect_nothing_left(&f, agent, when);
		close(fd);
	}
	buf_free(&b);
	fake_end(&f);
}

Test(migrate_agent, garbage_leaves_nothing, .timeout = 120)
{
	struct buf sound = conversation();
	unsigned seed = 3;
	struct fake f;

	fake_begin(&f);
	for (int i = 0; i < 150; i++) {
		struct buf b = {0};
		char when[40];
		pid_t agent;
		int fd;

		/* a sound beginning, then a flipped byte, or a frame out of its place */
		buf_put(&b, sound.at, (size_t)rand_r(&seed) % sound.len_bytes + 1);
		if (i % 2)
			b.at[(size_t)rand_r(&seed) % b.len_bytes] ^= (uint8_t)(1 + rand_r(&seed) % 255);
		else
			frame_put(&b, (enum frame_type)(1 + rand_r(&seed) % (FRAME_TYPE_END - 1)),
				  (uint32_t)rand_r(&seed) % 6, sound.at, (size_t)rand_r(&seed) % 30);
		sprintf(when, "garbage %d", i);
		agent = fake_agent(&f, &fd);
		send(fd, b.at, b.len_bytes, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		expect_nothing_left(&f, agent, when);
		close(fd);
		buf_free(&b);
	}
	buf_free(&sound);
	fake_end(&f);
}

/* The id is another VE's by the time of PREPARE: that one must not be touched when all is undone. */
Test(migrate_agent, never_removes_a_ve_it_did_not_make, .timeout = 30)
{
	struct buf b = conversation();
	struct fake f;
	pid_t agent;
	int fd, status;

	fake_begin(&f);
	f.shared->node[1].life = FAKE_RUNNING;
	f.shared->node[1].adopted = true;
	agent = fake_agent(&f, &fd);
	send(fd, b.at, b.len_bytes, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	cr_assert_eq(waitpid(agent, &status, 0), agent);
	cr_assert_eq(f.shared->node[1].life, FAKE_RUNNING);
	close(fd);
	buf_free(&b);
	fake_end(&f);
}

/* An agent that answers nonsense: a clear error, and the VE runs on. */
static int open_liar(void *arg, const struct verst_migrate_opts *opts, int timeout_ms, struct pump **ret,
		     struct err *err)
{
	int ends[2];
	struct pump *p;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	cr_assert_gt(write(ends[1], arg, strlen(arg)), 0);
	shutdown(ends[1], SHUT_WR);
	pump_start(transport_fd(ends[0]), &p);
	*ret = p;
	return 0;
}

Test(migrate_agent, nonsense_is_told, .timeout = 30)
{
	static char lies[] = FRAME_BANNER "this is no frame at all, but it is long enough to look like one";
	struct source_means means = {&fake_engine, open_liar, NULL, NULL, lies};
	struct verst_migrate_stats stats;
	struct verst_findings found;
	struct err err = ERR_INIT;
	struct fake f;

	fake_begin(&f);
	cr_assert_eq(source_migrate(&means, &f.v[0], "fake", &plain, NULL, NULL, &stats, &found, &err), -1);
	cr_assert_eq(err.code, ERR_PROTOCOL, "%s", err.msg);
	cr_assert_eq(where(&f, "nonsense"), 0);
	verst_findings_free(&found);
	fake_end(&f);
}
