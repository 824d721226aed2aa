// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/mm_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "arch/arch.h"
#include "facts/proc.h"

#define must(w, call) cr_assert_eq((call), 0, #call ": %s", (w)->err.msg)

/* --- victims --- */

struct order {
	world_fn *fn;
	uint64_t arg;
};

static struct world *victims_world;

static void victim_main(struct world *w, unsigned self)
{
	struct order order;

	while (read(w->to[self][0], &order, sizeof(order)) == sizeof(order)) {
		uint64_t result = order.fn(order.arg);

		if (write(w->from[self][1], &result, sizeof(result)) != sizeof(result))
			break;
	}
	_exit(0);
}

/* Criterion shares a deleted file with its tests. */
static void unmap_shared_files(void)
{
	struct maps maps = {0};
	struct err err;
	_fd_ int fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (maps_read(fd, &maps, &err))
		_exit(1);
	vec_each(m, &maps.list)
		if (m->shared || !strncmp(m->path, "/dev/shm/", 9))
			munmap((void *)m->start, m->end - m->start);
	maps_free(&maps);
}

static pid_t fork_in_new_ns(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
}

void world_start(struct world *w, bool compress)
{
	struct img_writer_opts opts = {.arch = arch_name(), .page_bytes = 4096, .compress = compress};

	memset(w, 0, sizeof(*w));
	for (int i = 0; i < WORLD_VICTIMS; i++)
		cr_assert(!pipe2(w->to[i], O_CLOEXEC) && !pipe2(w->from[i], O_CLOEXEC));
	victims_world = w;
	w->image_fd = memfd_create("image", MFD_CLOEXEC);
	w->init = fork_in_new_ns();
	if (!w->init) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		unmap_shared_files();
		victim_main(w, 0);
	}
	cr_assert_gt(w->init, 0);
	w->c.run.init_pid = w->init;
	w->c.run.root_fd = w->r.run.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(w, img_writer_open(w->image_fd, &opts, &w->c.w, &w->err));
}

uint64_t world_do(struct world *w, unsigned victim, world_fn *fn, uint64_t arg)
{
	struct order order = {fn, arg};
	uint64_t result;

	cr_assert_eq(write(w->to[victim][1], &order, sizeof(order)), sizeof(order));
	cr_assert_eq(read(w->from[victim][0], &result, sizeof(result)), sizeof(result), "victim %u died",
		     victim);
	return result;
}

static uint64_t do_fork(uint64_t child)
{
	pid_t pid = fork();

	if (!pid)
		victim_main(victims_world, (unsigned)child);
	return (uint64_t)pid;
}

void world_fork(struct world *w, unsigned parent, unsigned child)
{
	cr_assert_gt((int64_t)world_do(w, parent, do_fork, child), 0);
}

static uint64_t do_exec(uint64_t arg)
{
	/* the answer comes from the pipe's end, which the new program holds */
	dup2(victims_world->from[arg][1], 1);
	dup2(victims_world->to[arg][0], 0);
	execl("/bin/sh", "sh", "-c", "printf 12345678; read x", NULL);
	_exit(1);
}

void world_exec(struct world *w, unsigned victim)
{
	world_do(w, victim, do_exec, victim);
}

pid_t world_pid(struct world *w, uint32_t vpid)
{
	vec_each(t, &w->c.tasks)
		if (t->vpid == vpid)
			return t->pid;
	return 0;
}

/* --- dump --- */

void world_round(struct world *w)
{
	struct cpt *c = &w->c;

	w->last = (struct verst_round){0};
	must(w, cpt_task_list(c, &w->err));
	must(w, cpt_mm_track(c, &w->err));
	must(w, cpt_task_write_tree(c, c->mm->round + 1, false, &w->err));
	must(w, cpt_mm_round(c, &w->last, &w->err));
	must(w, img_round_end(c->w, c->mm->round, &w->err));
}

/* True when it stands still by now; a task that ended meanwhile moves no more either. */
static bool stop_one(struct world *w, const struct cpt_task *t)
{
	struct proc_stat stat = {0};

	if (proc_stat_read(t->proc_fd, &stat, &w->err) || stat.state == 'T' || stat.state == 'Z')
		return true;
	kill(t->pid, SIGSTOP);
	return false;
}

/* Victims may run, and fork: until a whole list of them was found standing still. */
static void stop_victims(struct world *w)
{
	/* a list made while parents die may miss a child of theirs */
	for (unsigned still = 0; still < 5; still++) {
		must(w, cpt_task_list(&w->c, &w->err));
		vec_each(t, &w->c.tasks)
			if (!stop_one(w, t))
				still = 0;
	}
}

void world_freeze(struct world *w)
{
	struct cpt *c = &w->c;

	stop_victims(w);
	w->last = (struct verst_round){0};
	c->frozen = true;
	must(w, cpt_task_list(c, &w->err));
	must(w, cpt_mm_collect(c, &w->err));
	must(w, cpt_task_write_tree(c, c->mm->round + 1, true, &w->err));
	must(w, cpt_write_named(c, &w->err));
	must(w, cpt_mm_final(c, &w->last, &w->err));
	must(w, img_writer_end(c->w, &w->err));
}

/* --- restore --- */

void world_boot(struct world *w)
{
	struct rst *r = &w->r;
	struct rst_task *init = vec_add(&r->tasks);
	int executed[2];
	pid_t pid;

	cr_assert(!pipe2(executed, O_CLOEXEC));
	pid = fork_in_new_ns();
	if (!pid) { /* another program than the victims', whose file could not be given up as exe while it is
		       mapped */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/bin/sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	close(executed[1]);
	cr_assert_eq(read(executed[0], executed, 1), 0);
	close(executed[0]);
	r->blob_addr = 0x20000;
	*init = (struct rst_task){.t = {.pid = 1}, .pid = pid, .pidfd = -1};
	must(w, remote_seize(&pid, 1, REMOTE_BORN, &init->r, &w->err));
	must(w, remote_make_empty(init->r, r->blob_addr, &w->err));
}

static void take_record(struct world *w, const struct img_record *rec)
{
	struct rst *r = &w->r;

	if (rec->item == IMG_PAGES)
		must(w, rst_mm_pages(r, &rec->pages, &w->err));
	if (rec->item != IMG_OBJECT)
		return;
	if (rec->type == OBJ_tree)
		must(w, rst_tree_apply(r, &r->m.trees.at[rec->index], &w->err));
	if (rec->type == OBJ_mm)
		must(w, rst_mm_apply(r, &r->m.mms.at[rec->index], &w->err));
}

void world_restore(struct world *w)
{
	struct img_record rec;

	world_boot(w);
	cr_assert_eq(lseek(w->image_fd, 0, SEEK_SET), 0);
	must(w, img_reader_open(w->image_fd, &w->r.in, &w->err));
	do {
		must(w, img_read(w->r.in, &w->r.m, &rec, &w->err));
		take_record(w, &rec);
	} while (rec.item != IMG_END);
	must(w, rst_mm_finish(&w->r, &w->err));
}

/* --- comparing --- */

static void read_maps(pid_t pid, struct maps *ret, struct err *err)
{
	char path[32];
	_fd_ int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(maps_read_flags(fd, ret, err), 0, "%s", err->msg);
}

/*
 * What must be the same. Not the tracking of the source; not whether shared memory may be made writable,
 * which its file says; not the account of anonymous memory that was writable once, which depends on how the
 * kernel could merge its parts in between.
 */
static uint32_t flags_of(const struct map *m)
{
	uint32_t flags = m->flags & ~(uint32_t)MAP_FLAG_UFFD;

	if (m->shared)
		flags &= ~(uint32_t)MAP_FLAG_MAYWRITE;
	if (!m->ino)
		flags &= ~(uint32_t)MAP_FLAG_ACCOUNT;
	return flags;
}

static bool one_mapping(const struct map *a, const struct map *b)
{
	return a->end == b->start && a->prot == b->prot && a->shared == b->shared && a->ino == b->ino &&
	       (a->ino == 0 || a->offset + (a->end - a->start) == b->offset) && flags_of(a) == flags_of(b) &&
	       !strcmp(a->path, b->path) && !cpt_map_is_special(a);
}

/* Neighbours that the kernel could merge (the tracking keeps some apart) count as one. */
static void normalize(struct maps *maps, uint64_t blob_start, uint64_t blob_end)
{
	size_t nr = 0;

	vec_each(m, &maps->list) {
		struct map now = *m;

		if (blob_end && now.start >= blob_start && now.end <= blob_end)
			continue;
		if (!strcmp(now.path, "[vsyscall]"))
			continue;
		if (nr && one_mapping(&maps->list.at[nr - 1], &now))
			maps->list.at[nr - 1].end = now.end;
		else
			maps->list.at[nr++] = now;
	}
	maps->list.nr = nr;
}

/* Where one of the two has pages at all. */
static void pages_of(pid_t pid, const struct map *m, struct ranges *ret, struct err *err)
{
	struct pagemap_query q = {.any_of = PAGE_PRESENT | PAGE_SWAPPED, .ret = PAGE_PRESENT};
	struct ranges found = {0};
	page_areas areas = {0};
	char path[32];
	_fd_ int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(pagemap_scan(fd, m->start, m->end, &q, &areas, err), 0, "%s", err->msg);
	vec_each(a, &areas)
		ranges_append(&found, a->start, a->end);
	ranges_unite(ret, &found);
	ranges_free(&found);
	vec_free(&areas);
}

static void compare_bytes(const struct map *m, int fd, int fd2, uint32_t vpid)
{
	static uint8_t a[1 << 18], b[1 << 18];

	for (uint64_t at = m->start, len; at < m->end; at += len) {
		ssize_t x, y;

		len = MIN(m->end - at, sizeof(a));
		x = pread(fd, a, len, (off_t)at);
		y = pread(fd2, b, len, (off_t)at);
		cr_assert_eq(x, y, "task %u: %lx of %lx-%lx %s: %zd and %zd bytes can be read", vpid, at,
			     m->start, m->end, m->path, x, y);
		for (ssize_t i = 0; i < x; i += 4096)
			cr_assert(!memcmp(a + i, b + i, 4096), "task %u: page %lx of %lx-%lx %s differs",
				  vpid, at + (uint64_t)i, m->start, m->end, m->path);
	}
}

static void compare_task(struct world *w, pid_t pid, struct rst_task *t)
{
	struct maps a = {0}, b = {0};
	struct ranges pages = {0};
	uint64_t blob_start, blob_end;
	char path[32];
	_fd_ int fd = -1, fd2 = -1;

	read_maps(pid, &a, &w->err);
	read_maps(t->pid, &b, &w->err);
	remote_blob_range(t->r, &blob_start, &blob_end);
	normalize(&a, 0, 0);
	normalize(&b, blob_start, blob_end);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/mem", t->pid);
	fd2 = open(path, O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < MIN(a.list.nr, b.list.nr); i++) {
		const struct map *x = &a.list.at[i], *y = &b.list.at[i];

		cr_assert(x->start == y->start && x->end == y->end && x->prot == y->prot &&
				  x->shared == y->shared && flags_of(x) == flags_of(y) &&
				  x->offset == y->offset && !strcmp(x->path, y->path),
			  "task %u: %lx-%lx prot %x flags %x offset %lx %s became %lx-%lx prot %x flags %x "
			  "offset %lx %s",
			  t->t.pid, x->start, x->end, x->prot, flags_of(x), x->offset, x->path, y->start,
			  y->end, y->prot, flags_of(y), y->offset, y->path);

		if (!strncmp(x->path, "[vv", 3))
			continue;
		pages_of(pid, x, &pages, &w->err);
		pages_of(t->pid, x, &pages, &w->err);
		vec_each(r, &pages.list) {
			struct map part = *x;

			part.start = r->start;
			part.end = r->end;
			compare_bytes(&part, fd, fd2, t->t.pid);
		}
		ranges_clear(&pages);
	}
	ranges_free(&pages);
	cr_assert_eq(a.list.nr, b.list.nr, "task %u: %zu mappings became %zu", t->t.pid, a.list.nr,
		     b.list.nr);
	maps_free(&a);
	maps_free(&b);
}

void world_compare(struct world *w)
{
	vec_each(t, &w->c.tasks) {
		struct rst_task *rt = rst_tree_find(&w->r, t->vpid);

		if (t->zombie)
			continue;
		cr_assert(rt && rt->r, "task %u was not restored", t->vpid);
		compare_task(w, t->pid, rt);
	}
}

void world_check(struct world *w, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++)
		world_round(w);
	world_freeze(w);
	world_restore(w);
	world_compare(w);
}

void world_end(struct world *w)
{
	rst_mm_free(&w->r);
	rst_tree_kill(&w->r);
	vec_free(&w->r.tasks);
	img_reader_close(w->r.in);
	img_writer_close(w->c.w);
	cpt_mm_free(&w->c);
	cpt_file_free(&w->c);
	close(w->c.run.root_fd);
	cpt_task_free(&w->c);
	model_free(&w->c.m);
	model_free(&w->r.m);
	kill(w->init, SIGKILL);
	close(w->image_fd);
	for (int i = 0; i < WORLD_VICTIMS; i++) {
		close(w->to[i][0]);
		close(w->to[i][1]);
		close(w->from[i][0]);
		close(w->from[i][1]);
	}
}
