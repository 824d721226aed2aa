// SPDX-License-Identifier: GPL-2.0-only
/* A stream becomes a VE: what arrives early is built early, the rest by the plan; until the commit all of it
 * can go. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "kernel/netlock.h"
#include "rst/ipc.h"
#include "rst/plan.h"
#include "rst/rst.h"
#include "ve/node.h"

/* Above the lowest address that may be mapped (vm.mmap_min_addr), below where any program is linked to. */
#define BLOB_ADDR 0x20000

#define SPOOL_BYTES   (1u << 20)
#define SOURCE_END_NS 10000000000 /* a checkpoint that has closed its stream ends its VE within this time */

struct verst_restore {
	struct rst r;
	struct verst *v;
	int in_fd;
	int tree_root_fd; /* the VE's root as one mount; set once, read by another thread */
	unsigned uid_base;
	int64_t arrived_at_ns;				 /* its first record */
	int64_t monotonic_offset_ns, boottime_offset_ns; /* of the VE's clocks, by when that was */
	bool booted, ended;
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int verst_restore_open(struct verst *v, int in_fd, const struct verst_restore_opts *opts,
		       struct verst_restore **ret, struct err *err)
{
	struct verst_restore *h = mem_new(struct verst_restore);

	h->v = v;
	h->in_fd = in_fd;
	h->tree_root_fd = -1;
	h->r.opts = *opts;
	h->r.lease_fd = -1;
	h->r.blob_addr = BLOB_ADDR;
	if (img_reader_open(in_fd, &h->r.in, err)) {
		free(h);
		return -1;
	}
	*ret = h;
	return 0;
}

/* --- the environment --- */

static int check_header(const struct rst *r, struct err *err)
{
	const struct img_header *h = img_reader_header(r->in);

	if (strcmp(h->arch, arch_name()))
		return err_set(err, ERR_IMAGE, "the image is of a VE on %s, this node is %s", h->arch,
			       arch_name());
	if (h->page_bytes != (uint32_t)sysconf(_SC_PAGESIZE))
		return err_set(err, ERR_IMAGE, "the image has pages of %u bytes, this node %ld",
			       h->page_bytes, sysconf(_SC_PAGESIZE));
	return 0;
}

static int try_open_ve(struct verst_restore *h, const char *name, struct err *err)
{
	struct ve *ve = &h->r.ve;

	if (ve_open(&h->v->node, name, true, ve, err))
		return -1;
	if (!ve_is_running(ve))
		return 0;
	err_set(err, ERR_RUNNING, "VE %u runs already on this node", ve->id);
	ve_close(ve);
	*ve = (struct ve){0};
	return -1;
}

/*
 * The stream comes from a pipe and the VE is still there: perhaps it is its own checkpoint that writes into
 * that pipe (verst checkpoint 101 --to - | verst restore --from -). So the stream is put aside until it ends.
 */
static int put_stream_aside(struct verst_restore *h, struct err *err)
{
	_fd_ int spool = open(h->v->node.lib, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_free_ uint8_t *piece = mem_alloc(SPOOL_BYTES);

	if (spool < 0)
		return err_sys(err, "%s", h->v->node.lib);
	for (;;) {
		ssize_t n = read(h->in_fd, piece, SPOOL_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read of the stream");
		if (n == 0)
			break;
		if (io_write_full(spool, piece, (size_t)n, err))
			return err_ctx(err, "%s", h->v->node.lib);
	}
	if (lseek(spool, 0, SEEK_SET) < 0 || dup3(spool, h->in_fd, O_CLOEXEC) < 0)
		return err_sys(err, "spool file");
	return 0;
}

static bool is_pipe(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* The VE as it is known here, not running, with its lock in our hands. */
static int open_ve(struct verst_restore *h, const struct ve_obj *obj, struct err *err)
{
	int64_t until_ns;
	char name[16];

	snprintf(name, sizeof(name), "%u", h->r.opts.as_id ? h->r.opts.as_id : obj->id);
	if (!try_open_ve(h, name, err))
		return 0;
	if (err->code == ERR_NO_CONFIG)
		return err_ctx(err, "its config and private area must be on this node");
	if ((err->code != ERR_LOCKED && err->code != ERR_RUNNING) || h->r.opts.private_is_there ||
	    !is_pipe(h->in_fd) || put_stream_aside(h, &(struct err){0}))
		return -1;
	until_ns = io_now_ns() + SOURCE_END_NS;
	while (try_open_ve(h, name, err)) {
		if ((err->code != ERR_LOCKED && err->code != ERR_RUNNING) || io_now_ns() > until_ns)
			return -1;
		usleep(1000);
	}
	return 0;
}

static int take_init(struct rst *r, struct err *err)
{
	struct rst_task *init = vec_add(&r->tasks);

	*init = (struct rst_task){.t = {.pid = 1}, .pid = r->run.init_pid, .pidfd = -1};
	if (remote_seize(&r->run.init_pid, 1, REMOTE_BORN, &init->r, err))
		return -1;
	if (!init->r)
		return err_set(err, ERR_BOOT, "the VE's init is gone");
	return remote_make_empty(init->r, r->blob_addr, err);
}

/*
 * The clocks go on from where the VE stood still if that can be seen ahead, as in a file; else from where the
 * dump began, and what it took must pass here as well (wait_for_clock).
 */
static struct ve_boot_opts boot_opts(const struct verst_restore *h)
{
	struct ve_boot_opts opts = {
		.locked = true,
		.monotonic_offset_ns = h->monotonic_offset_ns,
		.boottime_offset_ns = h->boottime_offset_ns,
	};
	struct ve_obj last;

	if (img_peek_ve(h->r.in, &last)) {
		opts.monotonic_offset_ns = last.monotonic_ns - clock_ns(CLOCK_MONOTONIC);
		opts.boottime_offset_ns = last.boottime_ns - clock_ns(CLOCK_BOOTTIME);
		model_free_ve(&last);
	}
	return opts;
}

static int boot(struct verst_restore *h, const struct ve_obj *obj, struct err *err)
{
	struct rst *r = &h->r;
	struct ve_boot_opts opts;
	char root[PATH_MAX];
	int root_fd;

	if (check_header(r, err) || open_ve(h, obj, err) || fault_point("restore-begin", err))
		return -1;
	opts = boot_opts(h);
	if (ve_boot(&r->ve, &opts, &r->undo, &r->run, err))
		return -1;
	h->booted = true;
	if (ve_lease_take(&r->ve, VE_LEASE_RESTORE, r->opts.private_is_there, &r->lease_fd, err))
		return -1;
	if (netlock_prepare(r->run.netns_fd, r->run.cgroup_fd, &r->netlock, err) ||
	    netlock_take(r->netlock, err))
		return -1;
	ve_path_root(&r->ve, root);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return err_sys(err, "%s", root);
	h->uid_base = r->run.uid_base;
	__atomic_store_n(&h->tree_root_fd, root_fd, __ATOMIC_RELEASE);
	return take_init(r, err) || fault_point("restore-booted", err) ? -1 : 0;
}

void verst_restore_root_fd(const struct verst_restore *h, int *ret_fd, unsigned *ret_uid_base)
{
	*ret_fd = __atomic_load_n(&h->tree_root_fd, __ATOMIC_ACQUIRE);
	*ret_uid_base = h->uid_base;
}

/* --- the stream --- */

static int on_tree(struct verst_restore *h, struct err *err)
{
	struct rst *r = &h->r;
	const struct tree_obj *tree = &r->m.trees.at[r->m.trees.nr - 1];

	if (!h->booted && (!r->m.ve.nr || boot(h, r->m.ve.at, err)))
		return r->m.ve.nr ? -1 : err_set(err, ERR_IMAGE, "a tree comes before the VE it belongs to");
	if (tree->frozen && !r->frozen_at_ns) /* a dump in one go has one record of the VE */
		r->frozen_at_ns = h->arrived_at_ns;
	return rst_tree_apply(r, tree, err);
}

/* Contents of files are not kept: they may be larger than memory. */
static int on_fsent(struct rst *r, struct err *err)
{
	struct fsent_obj *e = &r->m.fsents.at[--r->m.fsents.nr];
	int ret = rst_fsent_apply(r, e, err);

	model_free_fsent(e);
	return ret;
}

static void on_ve(struct verst_restore *h)
{
	const struct ve_obj *obj = &h->r.m.ve.at[0];

	if (h->booted) {
		h->r.frozen_at_ns = io_now_ns(); /* the second one says when the VE was stopped */
		return;
	}
	h->arrived_at_ns = io_now_ns();
	h->monotonic_offset_ns = obj->monotonic_ns - clock_ns(CLOCK_MONOTONIC);
	h->boottime_offset_ns = obj->boottime_ns - clock_ns(CLOCK_BOOTTIME);
}

static int on_object(struct verst_restore *h, const struct img_record *rec, struct err *err)
{
	struct rst *r = &h->r;

	if (rec->type != OBJ_ve && rec->type != OBJ_tree && !h->booted)
		return err_set(err, ERR_IMAGE, "an object comes before the tree");
	switch (rec->type) {
	case OBJ_ve:
		on_ve(h);
		return 0;
	case OBJ_tree:
		return on_tree(h, err);
	case OBJ_mount:
		return rst_mount_apply(r, &r->m.mounts.at[rec->index], err);
	case OBJ_fsent:
		return on_fsent(r, err);
	case OBJ_shm:
		return rst_sysv_apply(r, &r->m.shms.at[rec->index], err);
	case OBJ_mm:
		return rst_mm_apply(r, &r->m.mms.at[rec->index], err);
	default:
		return 0;
	}
}

static int on_record(struct verst_restore *h, const struct img_record *rec, struct err *err)
{
	switch (rec->item) {
	case IMG_OBJECT:
		return on_object(h, rec, err);
	case IMG_PAGES:
		if (!h->booted)
			return err_set(err, ERR_IMAGE, "pages come before the tree");
		return rec->pages.target == PAGES_GHOST ? rst_ghost_pages(&h->r, &rec->pages, err)
							: rst_mm_pages(&h->r, &rec->pages, err);
	case IMG_ROUND_END:
		return fault_point("restore-round", err);
	case IMG_END:
		h->ended = true;
		return 0;
	}
	return err_set(err, ERR_IMAGE, "a record of no known use");
}

int verst_restore_run(struct verst_restore *h, struct err *err)
{
	struct rst *r = &h->r;

	while (!h->ended) {
		struct img_record rec;

		if (img_read(r->in, &r->m, &rec, err))
			return -1;
		if (on_record(h, &rec, err))
			return err_ctx(err, "record %llu", (unsigned long long)rec.number);
	}
	if (!r->frozen_at_ns)
		return err_set(err, ERR_IMAGE, "the image ends without the frozen VE");
	if (model_validate(&r->m, err) || rst_plan_run(r, err)) {
		if (err->code == ERR_SYSTEM)
			err_code(err, ERR_RESTORE);
		return -1;
	}
	r->stats.ready_ns = io_now_ns() - r->frozen_at_ns;
	return fault_point("restore-ready", err);
}

/* --- endings --- */

static void restore_free(struct verst_restore *h)
{
	struct rst *r = &h->r;

	rst_file_free(r);
	rst_mm_free(r);
	rst_sock_free(r);
	vec_each(t, &r->tasks)
		if (t->pidfd >= 0)
			close(t->pidfd);
	vec_free(&r->tasks);
	model_free(&r->m);
	netlock_free(r->netlock);
	img_reader_close(r->in);
	if (h->tree_root_fd >= 0)
		close(h->tree_root_fd);
	if (h->booted)
		ve_run_close(&r->run);
	if (r->ve.node)
		ve_close(&r->ve);
	free(h);
}

void verst_restore_stats(const struct verst_restore *h, struct verst_restore_stats *ret)
{
	*ret = h->r.stats;
	ret->stream_bytes = img_reader_bytes(h->r.in);
}

/* There is no way back: the VE may have been promised to be here. What fails is said, and the VE stays. */
int verst_restore_commit(struct verst_restore *h, struct err *err)
{
	struct rst *r = &h->r;
	struct err own;
	int ret;

	if (ve_net_announce(&r->ve, &r->run, &own))
		log_warn("VE %u: its addresses could not be announced: %s", r->ve.id, own.msg);
	netlock_release(r->netlock);
	rst_sock_kick(r);
	ret = ve_thaw(&r->run, err);
	undo_forget(&r->undo);
	if (ve_lease_end(fd_take(&r->lease_fd), &own))
		log_warn("VE %u: %s", r->ve.id, own.msg);
	restore_free(h);
	return ret;
}

void verst_restore_abort(struct verst_restore *h)
{
	struct rst *r = &h->r;
	struct err err;

	rst_tree_kill(r);
	if (h->booted && ve_kill(&r->ve, &err))
		log_warn("VE %u: %s", r->ve.id, err.msg);
	if (r->lease_fd >= 0)
		close(fd_take(&r->lease_fd));
	undo_run(&r->undo);
	restore_free(h);
}

/* --- the plan, for people --- */

static void add_text(struct verst_findings *list, const char *where, const char *what)
{
	list->at = mem_realloc_array(list->at, list->nr + 1, sizeof(*list->at));
	list->at[list->nr++] = (struct verst_finding){mem_strdup(where), mem_strdup(what), NULL};
}

int verst_restore_plan(struct verst *v, int in_fd, struct verst_findings *ret, struct err *err)
{
	size_t nr;
	const struct rst_step *steps = rst_plan_steps(&nr);
	_free_ const struct rst_step **order = mem_alloc(nr * sizeof(*order));

	if (img_verify(in_fd, err) || rst_plan_sort(steps, nr, order, err))
		return -1;
	*ret = (struct verst_findings){0};
	add_text(ret, "environment", "namespaces, cgroups, network lock; init waits");
	add_text(ret, "stream", "tasks, mappings and pages as they arrive");
	add_text(ret, "mounts", "mounts the VE made, contents of tmpfs");
	for (size_t i = 0; i < nr; i++)
		add_text(ret, order[i]->name, order[i]->what);
	add_text(ret, "commit", "thawed, network unlocked, addresses announced");
	return 0;
}
