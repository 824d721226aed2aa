// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/migrate_fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>

#include "migrate/peer.h"

struct verst_dump {
	struct verst *v;
	int out_fd;
	unsigned round;
	int (*on_frozen)(void *arg, struct err *err);
	void *arg;
};

struct verst_restore {
	struct verst *v;
	int in_fd;
	int root_fd;
	bool tree;
};

static void upper_of(const struct verst *v, char ret[static PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%.3000s/private/%u/upper", v->node.lib, FAKE_VE);
}

/* --- life --- */

static int fake_describe(struct verst *v, const char *id_or_name, struct verst_ve *ret, struct err *err)
{
	char upper[PATH_MAX];

	if (v->shared->node[v->nr].life == FAKE_NONE)
		return err_set(err, ERR_NO_CONFIG, "no such VE: %s", id_or_name);
	upper_of(v, upper);
	*ret = (struct verst_ve){.id = FAKE_VE,
				 .name = mem_strdup("fake"),
				 .conf = mem_strdup("NAME=\"fake\"\n"),
				 .template_name = mem_strdup(""),
				 .template_digest = mem_strdup(""),
				 .upper = mem_strdup(upper),
				 .running = true};
	return 0;
}

static int no_findings(struct verst *v, const char *id_or_name, struct verst_findings *ret, struct err *err)
{
	return 0;
}

static int no_node_findings(struct verst *v, struct verst_findings *ret, struct err *err)
{
	return 0;
}

static int no_shared_files(struct verst *v, unsigned id, void (*fn)(void *arg, const char *path), void *arg,
			   struct err *err)
{
	return 0;
}

static int fake_commit_prepare(struct verst *v, unsigned id, struct err *err)
{
	return 0;
}

static int fake_room(struct verst *v, const struct verst_ve *ve, uint64_t files_bytes,
		     struct verst_findings *ret, struct err *err)
{
	if (v->shared->node[v->nr].life == FAKE_NONE && !v->shared->node[v->nr].adopted)
		return 0;
	ret->at = mem_alloc(sizeof(*ret->at));
	ret->nr = 1;
	ret->at[0] = (struct verst_finding){mem_strdup("id"), mem_strdup("VE is there"), NULL};
	return 0;
}

static int fake_adopt(struct verst *v, unsigned id, const char *conf, char **ret_upper, struct err *err)
{
	char upper[PATH_MAX];

	upper_of(v, upper);
	v->shared->node[v->nr].adopted = true;
	if (io_mkdir_p(upper, 0755, err))
		return -1;
	*ret_upper = mem_strdup(upper);
	return 0;
}

static int fake_forget(struct verst *v, unsigned id, struct err *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.3000s/private/%u", v->node.lib, id);
	v->shared->node[v->nr].life = FAKE_NONE;
	v->shared->node[v->nr].adopted = false;
	return io_remove_tree(AT_FDCWD, path, err);
}

static int fake_drop(struct verst *v, unsigned id, bool keep, struct err *err)
{
	return fake_forget(v, id, err);
}

static int fake_unfreeze(struct verst *v, unsigned id, struct err *err)
{
	if (v->shared->node[v->nr].life == FAKE_FROZEN_FOR_GOOD)
		v->shared->node[v->nr].life = FAKE_RUNNING;
	return 0;
}

/* --- dump --- */

static int say(int fd, const char *text, struct err *err)
{
	return io_write_full(fd, text, strlen(text), err);
}

static int fake_dump_open(struct verst *v, const char *id_or_name, int out_fd,
			  const struct verst_dump_opts *opts, struct verst_dump **ret,
			  struct verst_findings *ret_findings, struct err *err)
{
	struct verst_dump *d = mem_new(struct verst_dump);

	d->v = v;
	d->out_fd = out_fd;
	*ret = d;
	return say(out_fd, "H", err);
}

/* A round is a T (tree) and many bytes of pages. */
static int fake_dump_round(struct verst_dump *d, struct verst_round *ret, struct err *err)
{
	char pages[100000];

	memset(pages, 'p', sizeof(pages));
	if (say(d->out_fd, "T", err) || io_write_full(d->out_fd, pages, sizeof(pages), err))
		return -1;
	d->round++;
	*ret = (struct verst_round){
		.number = d->round, .sent_pages = 1000, .stream_bytes = sizeof(pages), .dirty_pages = 1};
	return 0;
}

static void fake_dump_on_frozen(struct verst_dump *d, int (*fn)(void *arg, struct err *err), void *arg)
{
	d->on_frozen = fn;
	d->arg = arg;
}

static int fake_dump_freeze(struct verst_dump *d, struct verst_round *ret, struct err *err)
{
	d->v->shared->node[d->v->nr].life = FAKE_FROZEN;
	if (d->on_frozen(d->arg, err))
		return -1;
	return say(d->out_fd, "OE", err);
}

static int fake_dump_commit_begin(struct verst_dump *d, struct err *err)
{
	d->v->shared->node[d->v->nr].life = FAKE_FROZEN_FOR_GOOD;
	return 0;
}

static void fake_dump_stats(const struct verst_dump *d, struct verst_dump_stats *ret)
{
	*ret = (struct verst_dump_stats){0};
}

static void fake_dump_abort(struct verst_dump *d)
{
	d->v->shared->node[d->v->nr].life = FAKE_RUNNING;
	free(d);
}

static int fake_dump_resume(struct verst_dump *d, struct err *err)
{
	fake_dump_abort(d);
	return 0;
}

static int fake_dump_kill(struct verst_dump *d, struct err *err)
{
	d->v->shared->node[d->v->nr].life = FAKE_NONE;
	free(d);
	return 0;
}

/* --- restore --- */

static int fake_restore_open(struct verst *v, int in_fd, const struct verst_restore_opts *opts,
			     struct verst_restore **ret, struct err *err)
{
	struct verst_restore *r = mem_new(struct verst_restore);
	char upper[PATH_MAX];

	upper_of(v, upper);
	r->v = v;
	r->in_fd = in_fd;
	r->root_fd = open(upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret = r;
	return 0;
}

static int fake_restore_run(struct verst_restore *r, struct err *err)
{
	char c = 0, last = 0;
	ssize_t n;

	while ((n = read(r->in_fd, &c, 1)) > 0) {
		if (c == 'T') {
			__atomic_store_n(&r->tree, true, __ATOMIC_SEQ_CST);
			r->v->shared->node[r->v->nr].life = FAKE_FROZEN;
			r->v->shared->served++;
		}
		/* objects name files: what changed must have been applied by then */
		if (c == 'O' && faccessat(r->root_fd, "frozen", F_OK, 0) &&
		    !faccessat(r->root_fd, "expects-frozen", F_OK, 0))
			return err_set(err, ERR_RESTORE, "the changed file is not there yet");
		last = c;
	}
	return last == 'E' ? 0 : err_set(err, ERR_IMAGE, "the image ends too early");
}

static void fake_restore_root_fd(const struct verst_restore *r, int *ret_fd, unsigned *ret_uid_base)
{
	*ret_fd = __atomic_load_n(&r->tree, __ATOMIC_SEQ_CST) ? r->root_fd : -1;
	*ret_uid_base = 0;
}

static void fake_restore_stats(const struct verst_restore *r, struct verst_restore_stats *ret)
{
	*ret = (struct verst_restore_stats){.pages = 1};
}

static int fake_restore_commit(struct verst_restore *r, struct err *err)
{
	r->v->shared->node[r->v->nr].life = FAKE_RUNNING;
	close(r->root_fd);
	free(r);
	return 0;
}

static void fake_restore_abort(struct verst_restore *r)
{
	r->v->shared->node[r->v->nr].life = FAKE_NONE;
	close(r->root_fd);
	free(r);
}

/* --- the real journal --- */

static int j_read(struct verst *v, unsigned id, struct verst_journal *ret, struct err *err)
{
	return ve_journal_read(&v->node, id, ret, err);
}

static int j_write(struct verst *v, const struct verst_journal *j, struct err *err)
{
	return ve_journal_write(&v->node, j, err);
}

static int j_step(struct verst *v, unsigned id, const char *migration, enum verst_journal_state from,
		  enum verst_journal_state to, struct err *err)
{
	return ve_journal_step(&v->node, id, migration, from, to, err);
}

static int j_remove(struct verst *v, unsigned id, const char *migration, struct err *err)
{
	return ve_journal_remove(&v->node, id, migration, err);
}

static int j_settle(struct verst *v, unsigned id, struct err *err)
{
	return ve_journal_settle(&v->node, id, err);
}

static int j_resolve(struct verst *v, unsigned id, const char *migration, enum verst_journal_state *ret,
		     struct err *err)
{
	return ve_journal_resolve(&v->node, id, migration, ret, err);
}

static int j_forget(struct verst *v, const char *migration, struct err *err)
{
	return ve_journal_forget(&v->node, migration, err);
}

const struct engine fake_engine = {
	.describe = fake_describe,
	.check_ve = no_findings,
	.check_node = no_node_findings,
	.shared_files = no_shared_files,
	.commit_prepare = fake_commit_prepare,
	.room = fake_room,
	.adopt = fake_adopt,
	.forget = fake_forget,
	.drop = fake_drop,
	.unfreeze = fake_unfreeze,
	.dump_open = fake_dump_open,
	.dump_round = fake_dump_round,
	.dump_freeze = fake_dump_freeze,
	.dump_on_frozen = fake_dump_on_frozen,
	.dump_commit_begin = fake_dump_commit_begin,
	.dump_stats = fake_dump_stats,
	.dump_resume = fake_dump_resume,
	.dump_kill = fake_dump_kill,
	.dump_abort = fake_dump_abort,
	.restore_open = fake_restore_open,
	.restore_run = fake_restore_run,
	.restore_root_fd = fake_restore_root_fd,
	.restore_stats = fake_restore_stats,
	.restore_commit = fake_restore_commit,
	.restore_abort = fake_restore_abort,
	.journal_read = j_read,
	.journal_write = j_write,
	.journal_step = j_step,
	.journal_remove = j_remove,
	.journal_settle = j_settle,
	.journal_resolve = j_resolve,
	.journal_forget = j_forget,
};

/* --- means --- */

pid_t fake_agent(struct fake *f, int *ret_fd)
{
	int ends[2];
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		struct err err = ERR_INIT;

		close(ends[0]);
		signal(SIGPIPE, SIG_IGN);
		if (f->agent_fault)
			setenv("VERST_FAULT", f->agent_fault, 1);
		else
			unsetenv("VERST_FAULT");
		_exit(agent_guarded(&fake_engine, &f->v[1], ends[1], ends[1], &err) ? 1 : 0);
	}
	close(ends[1]);
	f->shared->node[1].agent = pid;
	*ret_fd = ends[0];
	return pid;
}

static int fake_open(void *arg, const struct verst_migrate_opts *opts, int timeout_ms, struct pump **ret,
		     struct err *err)
{
	struct fake *f = arg;
	struct pump *p;
	int fd;

	if (f->no_agent)
		return err_set(err, ERR_CONNECT, "no route");
	fake_agent(f, &fd);
	pump_start(transport_fd(fd), &p);
	if (peer_greet(p, err)) {
		pump_stop(p);
		return -1;
	}
	*ret = p;
	return 0;
}

static int fake_ask(void *arg, const struct verst_migrate_opts *opts, const char *migration, unsigned ve,
		    int timeout_ms, bool *ret_committed, struct err *err)
{
	struct pump_frame f;
	struct buf b = {0};
	struct pump *p;
	uint64_t answer = 0;
	int failed;

	if (fake_open(arg, opts, timeout_ms, &p, err))
		return err_code(err, ERR_DOUBT);
	msg_put_id_of(&b, migration, ve);
	failed = peer_send(p, FRAME_ASK, &b, err);
	if (!failed)
		failed = peer_await(p, FRAME_ANSWER, 5000, &f, err);
	if (!failed) {
		failed = msg_get_number(&(struct frame){f.type, f.body, f.len_bytes}, &answer, err);
		free(f.body);
	}
	pump_stop(p);
	*ret_committed = answer == 1;
	return failed ? err_code(err, ERR_DOUBT) : 0;
}

static int fake_copy(void *arg, const struct rsync_job *job, uint64_t *ret_bytes, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	int status;
	pid_t pid;

	snprintf(from, sizeof(from), "%.4000s/.", job->from);
	snprintf(to, sizeof(to), "%.4000s/", job->to);
	pid = fork();
	if (pid == 0) {
		execlp("cp", "cp", "-a", from, to, NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return err_set(err, ERR_REMOTE, "cp failed");
	*ret_bytes = 1;
	return job->tick(job->arg, 1, 100, 1, err);
}

struct source_means fake_means(struct fake *f)
{
	return (struct source_means){&fake_engine, fake_open, fake_ask, fake_copy, f};
}

void fake_begin(struct fake *f)
{
	struct err err = ERR_INIT;
	char upper[PATH_MAX];

	*f = (struct fake){0};
	strcpy(f->dir, "/tmp/verst-fake-XXXXXX");
	cr_assert(mkdtemp(f->dir));
	f->shared = mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(f->shared, MAP_FAILED);
	f->shared->node[0].life = FAKE_RUNNING;
	for (int i = 0; i < 2; i++) {
		f->v[i] = (struct verst){.nr = i, .shared = f->shared};
		snprintf(f->v[i].node.lib, sizeof(f->v[i].node.lib), "%s/%d", f->dir, i);
	}
	upper_of(&f->v[0], upper);
	cr_assert_eq(io_mkdir_p(upper, 0755, &err), 0, "%s", err.msg);
	signal(SIGPIPE, SIG_IGN);
	/* agents that a killed source leaves behind are ours to wait for */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void fake_end(struct fake *f)
{
	struct err err = ERR_INIT;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	cr_assert_eq(io_remove_tree(AT_FDCWD, f->dir, &err), 0, "%s", err.msg);
	munmap(f->shared, sizeof(*f->shared));
}

void fake_processes_died(struct fake *f)
{
	/* a tracer that dies lets its tracees go */
	if (f->shared->node[0].life == FAKE_FROZEN)
		f->shared->node[0].life = FAKE_RUNNING;
	/* the restore lease: killed, unless the journal says committed */
	if (f->shared->node[1].life == FAKE_FROZEN)
		f->shared->node[1].life =
			ve_journal_committed(&f->v[1].node, FAKE_VE) ? FAKE_RUNNING : FAKE_NONE;
}
