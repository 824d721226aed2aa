// SPDX-License-Identifier: GPL-2.0-only
/* The dump's phases, in order; cpt.h tells them. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include "arch/arch.h"
#include "cpt/cpt.h"
#include "kernel/netlock.h"
#include "ve/node.h"

#define FREEZE_TIMEOUT_MS 10000
#define STOP_TRIES	  50
#define STOP_PAUSE_US	  2000

struct verst_dump {
	struct cpt c;
	int (*on_frozen)(void *arg, struct err *err);
	void *on_frozen_arg;
	unsigned rounds; /* done */
	int64_t frozen_at_ns;
	int lease_fd;
	int nice; /* of ours before the freeze */
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* --- the VE's own record --- */

static void describe_ve(struct cpt *c)
{
	struct ve_obj *ve = vec_add(&c->m.ve);
	const char *template_name = ve_conf_get(&c->ve.conf, "OSTEMPLATE"),
		   *digest = ve_conf_get(&c->ve.conf, "TEMPLATE_DIGEST");
	struct utsname uts;

	uname(&uts);
	ve->id = c->ve.id;
	ve->conf = ve_conf_print(&c->ve.conf);
	ve->template_name = mem_strdup(template_name ? template_name : "");
	ve->template_digest = mem_strdup(digest ? digest : "");
	ve->hostname = mem_strdup("");
	ve->domainname = mem_strdup("");
	ve->kernel_release = mem_strdup(uts.release);
	ve->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
}

/* Its clocks as they are now. */
static int write_ve(struct cpt *c, struct err *err)
{
	struct ve_obj *ve = c->m.ve.at;

	ve->monotonic_ns = clock_ns(CLOCK_MONOTONIC) + c->run.monotonic_offset_ns;
	ve->boottime_ns = clock_ns(CLOCK_BOOTTIME) + c->run.boottime_offset_ns;
	return img_put_ve(c->w, ve, err);
}

/* --- opening and closing --- */

void cpt_forget(struct cpt *c)
{
	cpt_mm_free(c);
	cpt_file_free(c);
	cpt_sock_free(c);
	vec_free(&c->members);
	cpt_task_free(c);
	model_free(&c->m);
}

static void cpt_close(struct cpt *c)
{
	img_writer_close(c->w);
	cpt_forget(c);
	netlock_free(c->netlock);
	ve_run_close(&c->run);
	ve_close(&c->ve);
}

static int cpt_open(struct verst *v, const char *id_or_name, bool lock, struct cpt *c, struct err *err)
{
	if (ve_open(&v->node, id_or_name, lock, &c->ve, err))
		return -1;
	if (ve_run_open(&c->ve, &c->run, err)) {
		ve_close(&c->ve);
		return -1;
	}
	return 0;
}

int verst_check_ve(struct verst *v, const char *id_or_name, struct verst_findings *ret, struct err *err)
{
	struct cpt c = {0};
	int result;

	if (cpt_open(v, id_or_name, false, &c, err))
		return -1;
	result = cpt_obstacles(&c, ret, err);
	cpt_close(&c);
	return result;
}

static int refuse_obstacles(struct cpt *c, struct verst_findings *ret, struct err *err)
{
	if (cpt_obstacles(c, ret, err))
		return -1;
	return !ret->nr ? 0
			: err_set(err, ERR_OBSTACLES, "VE %u cannot be dumped as it is: %zu obstacle%s",
				  c->ve.id, ret->nr, ret->nr == 1 ? "" : "s");
}

static int dump_begin(struct verst_dump *d, int out_fd, struct verst_findings *ret_findings, struct err *err)
{
	struct cpt *c = &d->c;
	struct img_writer_opts opts = {
		.arch = arch_name(),
		.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE),
		.compress = c->opts.compress,
		.created_unix = time(NULL),
	};

	if (refuse_obstacles(c, ret_findings, err) || fault_point("dump-checked", err))
		return -1;
	if (netlock_prepare(c->run.netns_fd, c->run.cgroup_fd, &c->netlock, err))
		return -1;
	if (img_writer_open(out_fd, &opts, &c->w, err))
		return -1;
	describe_ve(c);
	/* at once: the far side sets the VE's clocks by the time at which this record arrives */
	if (c->opts.max_rounds > 0 && (write_ve(c, err) || img_flush(c->w, err) || cpt_mm_track(c, err)))
		return -1;
	return fault_point("dump-tracking", err);
}

int verst_dump_open(struct verst *v, const char *id_or_name, int out_fd, const struct verst_dump_opts *opts,
		    struct verst_dump **ret, struct verst_findings *ret_findings, struct err *err)
{
	struct verst_dump *d = mem_new(struct verst_dump);

	d->c.opts = *opts;
	d->lease_fd = -1;
	if (cpt_open(v, id_or_name, true, &d->c, err)) {
		free(d);
		return -1;
	}
	if (dump_begin(d, out_fd, ret_findings, err)) {
		verst_dump_abort(d);
		return -1;
	}
	*ret = d;
	return 0;
}

/* --- rounds --- */

/* Fills in what the writer counted since `bytes` and `pages`. */
static void round_totals(struct verst_dump *d, uint64_t bytes, int64_t began_ns, struct verst_round *ret)
{
	ret->number = ++d->rounds;
	ret->stream_bytes = img_writer_bytes(d->c.w) - bytes;
	ret->elapsed_ns = io_now_ns() - began_ns;
}

int verst_dump_round(struct verst_dump *d, struct verst_round *ret, struct err *err)
{
	struct cpt *c = &d->c;
	uint64_t bytes = img_writer_bytes(c->w);
	int64_t began_ns = io_now_ns();

	*ret = (struct verst_round){0};
	if (cpt_task_list(c, err) || cpt_cgroup_look(c, err) || cpt_mm_track(c, err) ||
	    cpt_task_write_tree(c, d->rounds + 1, false, err) || cpt_mm_round(c, ret, err) ||
	    img_round_end(c->w, d->rounds + 1, err))
		return err_ctx(err, "round %u", d->rounds + 1);
	round_totals(d, bytes, began_ns, ret);
	return fault_point("dump-round", err);
}

/* --- the frozen part --- */

static int seize_all(struct cpt *c, struct err *err)
{
	VEC(pid_t) tids = {0};
	struct remote **got;
	size_t i = 0;
	int ret;

	vec_each(t, &c->tasks)
		if (!t->zombie)
			vec_each(thread, &t->threads)
				vec_push(&tids, thread->tid);
	got = mem_alloc(tids.nr * sizeof(*got));
	ret = remote_seize(tids.at, tids.nr, REMOTE_LIVING, got, err);
	vec_each(t, &c->tasks) {
		if (ret || t->zombie)
			continue;
		vec_each(thread, &t->threads) {
			thread->r = got[i++];
			if (!thread->r)
				ret = err_set(err, ERR_CHECKPOINT, "thread %u vanished while frozen",
					      thread->vtid);
			else if (thread != t->threads.at)
				remote_mark_group_leader(thread->r, t->threads.at[0].r);
		}
	}
	free(got);
	vec_free(&tids);
	return ret;
}

static void release_all(struct cpt *c)
{
	VEC(struct remote *) held = {0};
	struct err ignored;

	vec_each(t, &c->tasks) {
		/* threads first: the leader's blob is theirs too */
		for (size_t i = t->threads.nr; i-- > 0;) {
			if (t->threads.at[i].r)
				vec_push(&held, t->threads.at[i].r);
			t->threads.at[i].r = NULL;
		}
	}
	if (held.nr && remote_release_all(held.at, held.nr, &ignored))
		log_warn("VE %u: %s", c->ve.id, ignored.msg);
	vec_free(&held);
}

/* While the VE waits for us, we wait for nobody else on this node. */
static void hurry(struct verst_dump *d)
{
	errno = 0;
	d->nice = getpriority(PRIO_PROCESS, 0);
	if (setpriority(PRIO_PROCESS, 0, -20))
		log_debug("nice: %s", strerror(errno));
}

static void let_go(struct verst_dump *d)
{
	struct err ignored;

	release_all(&d->c);
	netlock_release(d->c.netlock);
	ve_thaw(&d->c.run, &ignored);
}

static int stop_once(struct cpt *c, struct err *err)
{
	if (ve_freeze(&c->run, FREEZE_TIMEOUT_MS, err) || netlock_take(c->netlock, err) ||
	    cpt_task_list(c, err) || seize_all(c, err))
		return -1;
	/* Stopped by ptrace they stay: should this process die, the kernel lets them go on. */
	return ve_thaw(&c->run, err);
}

/* What is over when the VE has run for a moment more; NULL: nothing of that kind. */
static const char *bad_moment(struct cpt *c, char where[static 64])
{
	where[0] = 0;
	if (cpt_task_in_vfork(c))
		return "a task was between vfork and exec";
	return cpt_inotify_busy(c, where) ? ": its inotify queue held events that nobody had read" : NULL;
}

static int stop_ve(struct verst_dump *d, struct err *err)
{
	struct cpt *c = &d->c;
	const char *why;
	char where[64];

	if (cpt_task_list(c, err) || cpt_inotify_list(c, err))
		return -1;
	hurry(d);
	c->frozen = true; /* from here on an abort thaws */
	for (int tries = 0;; tries++) {
		d->frozen_at_ns = io_now_ns();
		if (stop_once(c, err))
			return -1;
		why = bad_moment(c, where);
		if (!why)
			break;
		let_go(d);
		if (tries == STOP_TRIES)
			return err_set(err, ERR_CHECKPOINT, "at every one of %d stops %s%s", tries, where,
				       why);
		usleep(STOP_PAUSE_US);
	}
	c->stats.freeze_ns = io_now_ns() - d->frozen_at_ns;
	return fault_point("dump-frozen", err);
}

/* Terminals are files, and tasks name them: so files come before tasks. First whether anything can run at
 * all. */
static const struct {
	const char *name;
	int (*run)(struct cpt *c, struct err *err);
} collect_steps[] = {
	{"cgroups", cpt_cgroup_collect}, {"memory", cpt_mm_collect},	 {"sockets", cpt_sock_collect},
	{"files", cpt_file_collect},	 {"namespaces", cpt_ns_collect}, {"tasks", cpt_task_collect},
};

static int collect_all(struct cpt *c, struct err *err)
{
	int64_t began_ns = io_now_ns();

	for (size_t i = 0; i < ARRAY_LEN(collect_steps); i++) {
		int64_t step_ns = io_now_ns();

		if (collect_steps[i].run(c, err))
			return -1;
		log_debug("collect %s: %.3f ms", collect_steps[i].name,
			  (double)(io_now_ns() - step_ns) / 1e6);
	}
	c->stats.files = (unsigned)c->m.files.nr;
	c->stats.sockets = (unsigned)(c->m.unixs.nr + c->m.inets.nr);
	c->stats.collect_ns = io_now_ns() - began_ns;
	return fault_point("dump-collected", err);
}

int cpt_write_named(struct cpt *c, struct err *err)
{
	if (c->mm && cpt_shm_write_gone(c, err))
		return -1;
	for (; c->ghosts_written < c->m.ghosts.nr; c->ghosts_written++)
		if (img_put_ghost(c->w, &c->m.ghosts.at[c->ghosts_written], err))
			return -1;
	for (; c->regs_written < c->m.regs.nr; c->regs_written++)
		if (img_put_reg(c->w, &c->m.regs.at[c->regs_written], err))
			return -1;
	for (; c->shms_written < c->m.shms.nr; c->shms_written++)
		if (img_put_shm(c->w, &c->m.shms.at[c->shms_written], err))
			return -1;
	return 0;
}

/* Every object that no earlier step has written, in the order of objects.def. */
static int write_rest(struct cpt *c, struct err *err)
{
#define OBJECT(name, type, struct_, member)                                                                  \
	if (OBJ_##name >= OBJ_chardev)                                                                       \
		vec_each(obj, &c->m.member)                                                                  \
			if (img_put_##name(c->w, obj, err))                                                  \
				return -1;
#include "model/objects.def"
#undef OBJECT
	return 0;
}

static int write_namespaces(struct cpt *c, struct err *err)
{
	/* each with its files: the next one may lie on them */
	vec_each(mount, &c->m.mounts)
		if (img_put_mount(c->w, mount, err) || cpt_fsent_write(c, mount, err))
			return -1;
	vec_each(net, &c->m.netns)
		if (img_put_netns(c->w, net, err))
			return -1;
	vec_each(group, &c->m.cgroups)
		if (img_put_cgroup(c->w, group, err))
			return -1;
	vec_each(ipc, &c->m.ipc)
		if (img_put_ipc(c->w, ipc, err))
			return -1;
	vec_each(q, &c->m.msgqs)
		if (img_put_msgq(c->w, q, err))
			return -1;
	vec_each(s, &c->m.semsets)
		if (img_put_semset(c->w, s, err))
			return -1;
	return 0;
}

static int write_all(struct verst_dump *d, struct verst_round *ret, struct err *err)
{
	struct cpt *c = &d->c;
	int64_t began_ns = io_now_ns();

	if (write_ve(c, err) || cpt_task_write_tree(c, d->rounds + 1, true, err))
		return -1;
	if (d->on_frozen && (img_flush(c->w, err) || d->on_frozen(d->on_frozen_arg, err)))
		return -1;
	if (write_namespaces(c, err) || cpt_write_named(c, err) || cpt_mm_final(c, ret, err))
		return -1;
	c->stats.pages_ns = io_now_ns() - began_ns;
	began_ns = io_now_ns();
	if (cpt_ghost_write(c, err) || write_rest(c, err) || fault_point("dump-written", err))
		return -1;
	if (img_writer_end(c->w, err))
		return -1;
	c->stats.write_ns = io_now_ns() - began_ns;
	return 0;
}

void verst_dump_on_frozen(struct verst_dump *d, int (*fn)(void *arg, struct err *err), void *arg)
{
	d->on_frozen = fn;
	d->on_frozen_arg = arg;
}

int verst_dump_freeze(struct verst_dump *d, struct verst_round *ret, struct err *err)
{
	uint64_t bytes = img_writer_bytes(d->c.w);
	int64_t began_ns = io_now_ns();

	*ret = (struct verst_round){0};
	if (stop_ve(d, err) || collect_all(&d->c, err) || write_all(d, ret, err)) {
		if (err->code == ERR_SYSTEM)
			err_code(err, ERR_CHECKPOINT);
		return -1;
	}
	round_totals(d, bytes, began_ns, ret);
	return fault_point("dump-ended", err);
}

int verst_dump_commit_begin(struct verst_dump *d, struct err *err)
{
	if (ve_lease_take(&d->c.ve, VE_LEASE_COMMIT, false, &d->lease_fd, err))
		return -1;
	return ve_freeze(&d->c.run, FREEZE_TIMEOUT_MS, err);
}

/* --- endings --- */

void verst_dump_stats(const struct verst_dump *d, struct verst_dump_stats *ret)
{
	*ret = d->c.stats;
	ret->stream_bytes = d->c.w ? img_writer_bytes(d->c.w) : 0;
	if (d->frozen_at_ns && d->c.frozen)
		ret->frozen_ns = io_now_ns() - d->frozen_at_ns;
}

static void dump_free(struct verst_dump *d)
{
	if (d->lease_fd >= 0)
		close(d->lease_fd);
	cpt_close(&d->c);
	free(d);
}

int verst_dump_resume(struct verst_dump *d, struct err *err)
{
	int ret = 0;

	if (d->c.frozen) {
		/* first, because a commit has frozen the VE again, and what is injected does not run in the
		 * freezer */
		ret = ve_thaw(&d->c.run, err);
		cpt_sock_resume(&d->c);
		release_all(&d->c);
		netlock_release(d->c.netlock);
		setpriority(PRIO_PROCESS, 0, d->nice);
	}
	if (d->lease_fd >= 0 && !ret)
		ret = ve_lease_end(fd_take(&d->lease_fd), err);
	dump_free(d);
	return ret;
}

void verst_dump_abort(struct verst_dump *d)
{
	struct err err;

	if (verst_dump_resume(d, &err))
		log_warn("%s", err.msg);
}

/*
 * A tracee's death is first reported to its tracer; only then do its parent and the supervisor hear of it.
 * Children come first: init does not end before all others are gone (zap_pid_ns_processes).
 */
static void bury_tracees(struct cpt *c)
{
	for (size_t k = c->tasks.nr; k-- > 0;) {
		const struct cpt_task *t = &c->tasks.at[k];

		for (size_t i = t->threads.nr; i-- > 0;) {
			if (t->threads.at[i].r)
				remote_bury(t->threads.at[i].r);
			t->threads.at[i].r = NULL;
		}
	}
}

int verst_dump_kill(struct verst_dump *d, struct err *err)
{
	struct cpt *c = &d->c;
	int ret = io_write_file(c->run.cgroup_fd, "cgroup.kill", "1", err);

	if (!ret) {
		bury_tracees(c);
		ret = ve_kill(&c->ve, err);
	}
	if (d->lease_fd >= 0)
		close(fd_take(&d->lease_fd));
	dump_free(d);
	return ret;
}
