// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which task has which address space, and which pages are written while the VE runs: a userfaultfd in
 * write-protect-async mode, made by an injected call (a userfaultfd belongs to the address space of its
 * maker), taken out and closed inside, and PAGEMAP_SCAN, which also arms.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "cpt/mm.h"

/* Newer than the headers of Debian 12. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define FEATURE_WP_HUGETLBFS_SHMEM (1ull << 12)
#define FEATURE_WP_ASYNC	   (1ull << 15)

/* --- who has what --- */

/* kernel/kcmp.c gives an order, so equal ones are found by sorting. */
static int by_space(const void *a, const void *b)
{
	const struct cpt_task *x = *(struct cpt_task *const *)a, *y = *(struct cpt_task *const *)b;
	long order = x == y ? 0 : syscall(SYS_kcmp, x->pid, y->pid, KCMP_VM, 0, 0);

	if (order == 1 || order == 2)
		return order == 1 ? -1 : 1;
	return x < y ? -1 : x > y;
}

static bool shares_space(const struct cpt_task *a, const struct cpt_task *b)
{
	return syscall(SYS_kcmp, a->pid, b->pid, KCMP_VM, 0, 0) == 0;
}

/*
 * An exec gives a task a new address space under the same pid. What we track is known by its mappings being
 * registered, which only we do, and always for some page of the stack.
 */
static int still_there(const struct cpt_space *s, bool *ret, struct err *err)
{
	struct pagemap_query q = {.all_of = PAGE_WPALLOWED,
				  .any_of = PAGE_PRESENT | PAGE_SWAPPED,
				  .ret = PAGE_WPALLOWED,
				  .max_pages = 1};
	page_areas areas = {0};
	uint64_t end = s->maps.list.nr ? s->maps.list.at[s->maps.list.nr - 1].end : 0;
	int result;

	if (s->uffd < 0) { /* nothing of it was ever sent while it ran, so there is nothing to mistake */
		*ret = true;
		return 0;
	}
	/* [vsyscall] lies beyond what can be scanned */
	vec_each(m, &s->maps.list)
		if (m->start < 1ull << 63)
			end = m->end;
	result = pagemap_scan(s->pagemap_fd, 0, end, &q, &areas, err);
	*ret = areas.nr > 0;
	vec_free(&areas);
	return result;
}

static int open_pagemap(const struct cpt_task *t, struct cpt_space *s, struct err *err)
{
	if (s->pagemap_fd >= 0)
		close(s->pagemap_fd);
	if (s->mem_fd >= 0)
		close(fd_take(&s->mem_fd));
	s->pagemap_fd = openat(t->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	return s->pagemap_fd < 0 ? err_sys(err, "pagemap") : 0;
}

static struct cpt_space *new_space(struct cpt *c)
{
	struct cpt_space *s = mem_new(struct cpt_space);

	s->id = s->obj.id = ++c->mm->last_id;
	s->uffd = s->pagemap_fd = s->mem_fd = -1;
	vec_push(&c->mm->spaces, s);
	return s;
}

/* t is the first task of the tree with its address space. */
static int identify(struct cpt *c, struct cpt_task *t, struct err *err)
{
	struct cpt_space *s = cpt_space_find(c, t->mm);
	bool same = false;

	/* one that was passed over in its first round gets a new id: ids are first seen in ascending order */
	if (s && (s->listed || (s->skipped && !s->recorded)))
		s = NULL;
	if (s) {
		if (open_pagemap(t, s, err) || still_there(s, &same, err))
			return -1;
		if (!same)
			s = NULL;
	}
	if (!s) {
		s = new_space(c);
		if (open_pagemap(t, s, err))
			return -1;
	}
	s->listed = true;
	s->pid = t->pid;
	s->vpid = t->vpid;
	t->mm = s->id;
	return 0;
}

static void free_space(struct cpt_space *s)
{
	if (s->uffd >= 0)
		close(s->uffd);
	if (s->pagemap_fd >= 0)
		close(s->pagemap_fd);
	if (s->mem_fd >= 0)
		close(s->mem_fd);
	maps_free(&s->maps);
	vec_each(v, &s->obj.vmas)
		free(v->anon_name);
	vec_free(&s->obj.vmas);
	free(s->obj.auxv.at);
	ranges_free(&s->owed);
	free(s);
}

static void forget_unlisted(struct cpt *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->mm->spaces.nr; i++) {
		struct cpt_space *s = c->mm->spaces.at[i];

		if (s->listed)
			c->mm->spaces.at[kept++] = s;
		else
			free_space(s);
	}
	c->mm->spaces.nr = kept;
}

void cpt_track_free(struct cpt *c)
{
	vec_each(s, &c->mm->spaces)
		(*s)->listed = false;
	forget_unlisted(c);
	vec_free(&c->mm->spaces);
}

/* The process ended while we looked: the next list of tasks will not have it. */
static bool has_gone(const struct cpt *c, const struct err *err)
{
	return !c->frozen && (err->sys_errno == ESRCH || err->sys_errno == ENOENT);
}

int cpt_track_identify(struct cpt *c, struct err *err)
{
	_free_ struct cpt_task **sorted = mem_alloc((c->tasks.nr + 1) * sizeof(*sorted));
	_free_ struct cpt_task **first =
		mem_alloc((c->tasks.nr + 1) * sizeof(*first)); /* [task]: who stands for it */
	size_t nr = 0;

	vec_each(s, &c->mm->spaces)
		(*s)->listed = false;
	vec_each(t, &c->tasks)
		if (!t->zombie)
			sorted[nr++] = t;
	qsort(sorted, nr, sizeof(*sorted), by_space);
	for (size_t i = 0; i < nr; i++) {
		bool joined = i && shares_space(sorted[i - 1], sorted[i]);

		first[sorted[i] - c->tasks.at] = joined ? first[sorted[i - 1] - c->tasks.at] : sorted[i];
	}
	vec_each(t, &c->tasks) { /* in the order of the tree, so that new ids ascend in it */
		struct cpt_task *rep = first[t - c->tasks.at];

		if (!rep)
			t->mm = 0;
		else if (rep < t)
			t->mm = rep->mm;
		else if (identify(c, t, err)) {
			if (!has_gone(c, err))
				return err_ctx(err, "memory of task %u (%s)", t->vpid, t->comm);
			t->mm = 0;
		}
	}
	forget_unlisted(c);
	return 0;
}

/* --- tracking --- */

/* In the task: userfaultfd(2); its copy here. 1: the task cannot have one, which is no error. */
static int make_uffd(struct remote *r, const struct cpt_task *t, int *ret_fd, struct err *err)
{
	uint64_t args[6] = {O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY};
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP_ASYNC | FEATURE_WP_HUGETLBFS_SHMEM};
	_fd_ int fd = -1;
	int64_t inside, closed;

	if (remote_syscall(r, SYS_userfaultfd, 1, args, &inside, err))
		return -1;
	if (inside < 0)
		return 1;
	fd = (int)syscall(SYS_pidfd_getfd, t->pidfd, (int)inside, 0);
	args[0] = (uint64_t)inside;
	if (remote_syscall(r, SYS_close, 1, args, &closed, err))
		return -1;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		return 1;
	*ret_fd = fd_take(&fd);
	return 0;
}

int cpt_track_begin(struct cpt *c, const struct cpt_task *t, struct cpt_space *s, struct err *err)
{
	struct remote *r = NULL;
	int ret;

	if (remote_seize(&t->pid, 1, REMOTE_LIVING, &r, err))
		return err_ctx(err, "task %u (%s)", t->vpid, t->comm);
	if (!r)
		return 0; /* ended meanwhile */
	c->mm->injected++;
	ret = make_uffd(r, t, &s->uffd, err);
	if (ret > 0)
		log_debug("task %u (%s): its writes cannot be tracked, its memory is sent while it is frozen",
			  t->vpid, t->comm);
	if (remote_release(r, ret < 0 ? &(struct err){0} : err))
		return -1;
	return ret < 0 ? -1 : 0;
}

static bool trackable(const struct map *m)
{
	return !m->shared && !cpt_map_is_special(m) && !(m->flags & MAP_FLAG_HUGETLB);
}

/* A VMA may have vanished, or be one that the kernel refuses (a userfaultfd of the program): it stays
 * untracked. */
static bool register_range(int uffd, uint64_t start, uint64_t end)
{
	struct uffdio_register reg = {.range = {start, end - start}, .mode = UFFDIO_REGISTER_MODE_WP};

	return !ioctl(uffd, UFFDIO_REGISTER, &reg);
}

/* Mappings in a row are registered with one call; what lies there already stays as it is. */
static void register_all(struct cpt_space *s)
{
	size_t nr = s->maps.list.nr;
	const struct map *m = s->maps.list.at;

	for (size_t i = 0, behind; i < nr; i = behind) {
		behind = i + 1;
		if (!trackable(&m[i]))
			continue;
		while (behind < nr && trackable(&m[behind]))
			behind++;
		if (register_range(s->uffd, m[i].start, m[behind - 1].end))
			continue;
		for (size_t k = i; k < behind; k++)
			register_range(s->uffd, m[k].start, m[k].end);
	}
}

/* --- scans: runs of private mappings, those of files apart, as page cache pages are none of ours there ---
 */

typedef int scan_fn(struct cpt_space *s, uint64_t start, uint64_t end, bool file, void *arg, struct err *err);

static int each_group(struct cpt_space *s, scan_fn *fn, void *arg, struct err *err)
{
	size_t nr = s->maps.list.nr;
	const struct map *m = s->maps.list.at;

	for (size_t i = 0, behind; i < nr; i = behind) {
		behind = i + 1;
		if (!trackable(&m[i]))
			continue;
		while (behind < nr && trackable(&m[behind]) && !m[behind].ino == !m[i].ino)
			behind++;
		if (fn(s, m[i].start, m[behind - 1].end, m[i].ino != 0, arg, err))
			return -1;
	}
	return 0;
}

struct scan {
	struct pagemap_query q;
	page_areas *areas;
	bool can_scan;
};

static int scan_group(struct cpt_space *s, uint64_t start, uint64_t end, bool file, void *arg,
		      struct err *err)
{
	struct scan *scan = arg;
	struct pagemap_query q = scan->q;

	if (file)
		q.none_of |= PAGE_FILE;
	if (!scan->can_scan) {
		q.none_of &= ~(uint64_t)PAGE_PFNZERO;
		return pagemap_scan_entries(s->pagemap_fd, start, end, &q, scan->areas, err);
	}
	return pagemap_scan(s->pagemap_fd, start, end, &q, scan->areas, err);
}

/*
 * mremap of kernels before 6.14 took the protection bits of pages along into a mapping that is not registered
 * (mm/mremap.c), where they would pass for clean once it is.
 */
static bool mremap_keeps_marks(void)
{
	unsigned major = 0, minor = 0;
	struct utsname uts;

	uname(&uts);
	return sscanf(uts.release, "%u.%u", &major, &minor) != 2 || major < 6 || (major == 6 && minor < 14);
}

int cpt_track_cover(struct cpt_space *s, struct err *err)
{
	page_areas bare = {0};
	struct scan scan = {.q = {.none_of = PAGE_PFNZERO | PAGE_WPALLOWED,
				  .any_of = PAGE_PRESENT | PAGE_SWAPPED,
				  .ret = PAGE_PRESENT},
			    .areas = &bare,
			    .can_scan = true};
	int ret = mremap_keeps_marks() ? each_group(s, scan_group, &scan, err) : 0;

	register_all(s);
	vec_each(a, &bare) {
		struct uffdio_writeprotect wp = {.range = {a->start, a->end - a->start}};

		ioctl(s->uffd, UFFDIO_WRITEPROTECT, &wp);
	}
	vec_free(&bare);
	return ret;
}

int cpt_track_arm(struct cpt_space *s, struct ranges *ret_written, struct err *err)
{
	page_areas written = {0};
	struct scan scan = {.q = {.none_of = PAGE_PFNZERO,
				  .all_of = PAGE_WRITTEN,
				  .any_of = PAGE_PRESENT | PAGE_SWAPPED,
				  .ret = PAGE_WRITTEN | PAGE_PRESENT,
				  .arm = true},
			    .areas = &written,
			    .can_scan = true};
	int ret = each_group(s, scan_group, &scan, err);

	vec_each(a, &written)
		ranges_append(ret_written, a->start, a->end);
	vec_free(&written);
	return ret;
}

/*
 * Frozen, most pages still are as they were armed. To be told of the others is three times as fast as to be
 * told of all: the kernel looks at the entries of those and goes on. What lies between the others is present,
 * tracked and unwritten; areas behind the end of a mapping are among it, which the caller knows to be none.
 */
static int scan_others(struct cpt_space *s, uint64_t start, uint64_t end, page_areas *ret, struct err *err)
{
	const struct pagemap_query q = {.any_of = PAGE_WRITTEN,
					.or_without = PAGE_PRESENT,
					.ret = PAGE_WPALLOWED | PAGE_WRITTEN | PAGE_SWAPPED | PAGE_PRESENT |
					       PAGE_PFNZERO};
	page_areas others = {0};
	int result = pagemap_scan(s->pagemap_fd, start, end, &q, &others, err);

	vec_each(a, &others) {
		if (start < a->start)
			vec_push(ret, ((struct page_area){start, a->start, PAGE_WPALLOWED}));
		if (a->flags & (PAGE_PRESENT | PAGE_SWAPPED) && !(a->flags & PAGE_PFNZERO))
			vec_push(ret, ((struct page_area){
					      a->start, a->end,
					      a->flags & (PAGE_WPALLOWED | PAGE_WRITTEN | PAGE_SWAPPED)}));
		start = a->end;
	}
	if (start < end)
		vec_push(ret, ((struct page_area){start, end, PAGE_WPALLOWED}));
	vec_free(&others);
	return result;
}

static int scan_frozen_group(struct cpt_space *s, uint64_t start, uint64_t end, bool file, void *arg,
			     struct err *err)
{
	struct scan *scan = arg;

	/* of a file a page of the cache may be armed too, by the mark of one that was given up */
	return file || s->uffd < 0 ? scan_group(s, start, end, file, arg, err)
				   : scan_others(s, start, end, scan->areas, err);
}

int cpt_track_pages(const struct cpt *c, struct cpt_space *s, page_areas *ret, struct err *err)
{
	struct scan scan = {.q = {.none_of = PAGE_PFNZERO,
				  .any_of = PAGE_PRESENT | PAGE_SWAPPED,
				  .ret = PAGE_WPALLOWED | PAGE_WRITTEN | PAGE_SWAPPED},
			    .areas = ret,
			    .can_scan = c->mm->can_scan};

	return each_group(s, c->frozen && c->mm->can_scan ? scan_frozen_group : scan_group, &scan, err);
}
