// SPDX-License-Identifier: GPL-2.0-only
/* The phases of memory: check, track, rounds, and the frozen part. */
#include "cpt/mm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "facts/proc.h"
#include "facts/vdso.h"

#define CHECKED_NS 500000000

struct cpt_space *cpt_space_find(const struct cpt *c, mm_id id)
{
	if (id)
		vec_each(s, &c->mm->spaces)
			if ((*s)->id == id)
				return *s;
	return NULL;
}

struct cpt_space *cpt_space_of(const struct cpt *c, const struct cpt_task *t)
{
	struct cpt_space *s = cpt_space_find(c, t->mm);

	return s && s->vpid == t->vpid ? s : NULL;
}

static int state_open(struct cpt *c, struct err *err)
{
	struct stat st;
	_fd_ int fd = -1;

	if (c->mm)
		return 0;
	fd = (int)syscall(SYS_memfd_create, "verst", MFD_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(err, "memfd");
	c->mm = mem_new(struct cpt_mm_state);
	c->mm->shm_dev = st.st_dev;
	c->mm->vdso_digest = vdso_digest();
	c->mm->can_scan = pagemap_scan_works();
	return 0;
}

static void forget_files(struct cpt *c)
{
	vec_each(k, &c->mm->files)
		free((char *)k->path);
	vec_free(&c->mm->files);
}

void cpt_mm_free(struct cpt *c)
{
	if (!c->mm)
		return;
	cpt_track_free(c);
	cpt_shm_free(c);
	mirror_free(&c->mm->mirror);
	forget_files(c);
	vec_each(k, &c->mm->checked)
		maps_free(&k->maps);
	vec_free(&c->mm->checked);
	free(c->mm);
	c->mm = NULL;
}

/* The process ended, or its mappings changed, while we looked. */
static bool is_race(const struct cpt *c, const struct err *err)
{
	return !c->frozen && (err->sys_errno == ESRCH || err->sys_errno == ENOENT);
}

/* --- check --- */

/* Of files only what can be asked cheaply: is it a file at all. */
static void check_file(struct cpt *c, const struct cpt_task *t, const struct map *m, const char *where)
{
	char link[64];
	struct stat st;

	if (!m->ino || m->dev == c->mm->shm_dev)
		return;
	snprintf(link, sizeof(link), "map_files/%lx-%lx", m->start, m->end);
	if (fstatat(t->proc_fd, link, &st, 0) || S_ISREG(st.st_mode))
		return;
	if (S_ISCHR(st.st_mode) && !strcmp(m->path, "/dev/zero"))
		return;
	findings_add(c->findings, where, NULL, "it maps %s, which is not a file", m->path);
}

static int check_task(struct cpt *c, const struct cpt_task *t, struct err *err)
{
	char where[64];
	struct maps maps = {0};
	const char *hint, *what, *said = "";

	if (maps_read_flags(t->proc_fd, &maps, err))
		return is_race(c, err) ? 0 : err_ctx(err, "%s", cpt_where(t, -1, where));
	cpt_where(t, -1, where);
	vec_each(m, &maps.list) {
		what = cpt_vma_obstacle(c, m, &hint);
		if (!what)
			check_file(c, t, m, where);
		else if (strcmp(what, said)) /* once for mappings in a row */
			findings_add(c->findings, where, hint, "%s at %lx", what, m->start);
		said = what ? what : "";
	}
	vec_push(&c->mm->checked, ((struct checked_maps){t->pid, io_now_ns(), maps}));
	return 0;
}

int cpt_mm_check(struct cpt *c, struct err *err)
{
	if (state_open(c, err) || cpt_sysv_list(c, err))
		return -1;
	vec_each(t, &c->tasks)
		if (!t->zombie && check_task(c, t, err))
			return -1;
	return 0;
}

/* --- mappings into objects --- */

static void clear_vmas(struct mm_obj *mm)
{
	vec_each(v, &mm->vmas)
		free(v->anon_name);
	mm->vmas.nr = 0;
}

/* While the VE runs, a mapping that goes away under our hands is left out: the next round sees what is there
 * then. */
static int read_vmas(struct cpt *c, const struct cpt_task *t, struct cpt_space *s, struct err *err)
{
	clear_vmas(&s->obj);
	s->obj.vdso_digest = 0;
	vec_each(m, &s->maps.list) {
		struct vma_obj v;
		int got = cpt_vma_obj(c, t, m, &v, err);

		if (got < 0 && !is_race(c, err))
			return -1;
		if (got)
			continue;
		vec_push(&s->obj.vmas, v);
		if (v.kind == VMA_VDSO)
			s->obj.vdso_digest = c->mm->vdso_digest;
	}
	return 0;
}

static void take_flags(struct maps *to, const struct maps *from)
{
	for (size_t i = 0; i < to->list.nr; i++)
		to->list.at[i].flags = from->list.at[i].flags;
}

/* Our code in a stopped task is none of its mappings; a neighbour of the same kind may have been merged with
 * it. */
static void cut_out_blob(const struct cpt_task *t, struct maps *maps)
{
	uint64_t start = 0, end = 0;
	size_t nr = 0;

	if (t->threads.nr && t->threads.at[0].r)
		remote_blob_range(t->threads.at[0].r, &start, &end);
	if (!end)
		return;
	vec_each(m, &maps->list) {
		struct map below = *m, above = *m;

		below.end = MIN(m->end, start);
		above.start = MAX(m->start, end);
		if (m->end <= start || m->start >= end)
			maps->list.at[nr++] = *m;
		else if (below.start < below.end)
			maps->list.at[nr++] = below;
		else if (above.start <
			 above.end) /* on one side only: anonymous mappings below and above of it differ */
			maps->list.at[nr++] = above;
	}
	maps->list.nr = nr;
}

/* Flags as of the check, which was just before the first round. */
static bool take_checked(struct cpt *c, const struct cpt_task *t, struct maps *now)
{
	vec_each(k, &c->mm->checked) {
		bool usable;

		if (k->pid != t->pid)
			continue;
		usable = io_now_ns() - k->at_ns < CHECKED_NS && maps_same(now, &k->maps);
		if (usable)
			take_flags(now, &k->maps);
		maps_free(&k->maps);
		k->pid = 0;
		return usable;
	}
	return false;
}

/*
 * The list of mappings is read without flags where that is enough: smaps walks the page tables, and 100
 * processes would take longer than everything else together. Flags of a list that did not change are those of
 * the last look.
 */
static int read_maps(struct cpt *c, const struct cpt_task *t, struct cpt_space *s, struct err *err)
{
	struct maps now = {0};

	if (maps_read(t->proc_fd, &now, err))
		return -1;
	cut_out_blob(t, &now);
	if (s->flags_known && maps_same(&now, &s->maps)) {
		take_flags(&now, &s->maps);
	} else if ((c->frozen || !take_checked(c, t, &now)) && maps_read_flags(t->proc_fd, &now, err)) {
		maps_free(&now);
		return -1;
	} else {
		cut_out_blob(t, &now);
	}
	maps_free(&s->maps);
	s->maps = now;
	s->flags_known = true;
	return 0;
}

static int look_at(struct cpt *c, const struct cpt_task *t, struct cpt_space *s, struct err *err)
{
	s->skipped = false;
	if (!c->frozen)
		s->flags_known = false; /* time enough to look again */
	if (!read_maps(c, t, s, err) && !read_vmas(c, t, s, err))
		return 0;
	if (!is_race(c, err))
		return err_ctx(err, "memory of task %u (%s)", t->vpid, t->comm);
	s->skipped = true;
	return 0;
}

/* --- tracking --- */

int cpt_mm_track(struct cpt *c, struct err *err)
{
	if (state_open(c, err) || cpt_track_identify(c, err))
		return -1;
	if (!c->mm->can_scan)
		return 0;
	vec_each(t, &c->tasks) {
		struct cpt_space *s = cpt_space_of(c, t);

		if (!s || s->uffd >= 0 || s->recorded)
			continue;
		if (cpt_track_begin(c, t, s, err))
			return -1;
	}
	return 0;
}

void cpt_mm_tree(struct cpt *c, const struct cpt_task *t, struct tree_task *ret)
{
	const struct mirror_task *known = c->mm ? mirror_find(&c->mm->mirror, t->vpid) : NULL;

	ret->mm = t->mm;
	ret->fresh = !known || known->t.mm != t->mm;
}

/* --- records --- */

/* An unchanged list need not be told again. */
static bool list_changed(const struct aspace *as, const struct mm_obj *mm)
{
	size_t i = 0;

	vec_each(v, &mm->vmas) {
		if (vma_is_vdso(v))
			continue;
		if (i == as->vmas.nr || as->vmas.at[i].start != v->start || as->vmas.at[i].end != v->end ||
		    as->vmas.at[i].prot != v->prot || as->vmas.at[i].advice != v->advice ||
		    as->vmas.at[i].accounted != v->accounted || !vma_same_backing(&as->vmas.at[i], v))
			return true;
		i++;
	}
	return i != as->vmas.nr;
}

static int put_mm(struct cpt *c, struct cpt_space *s, struct mirror_task *dest, struct err *err)
{
	if (!c->frozen && s->recorded && !list_changed(&dest->as, &s->obj))
		return 0;
	if (img_put_mm(c->w, &s->obj, err))
		return -1;
	aspace_apply(&dest->as, &s->obj, NULL, NULL);
	s->recorded = true;
	return 0;
}

/* The task had another address space when its list was read than when its pages are looked at, or has none
 * any more. */
static int gone_meanwhile(struct cpt_space *s, bool *ret, struct err *err)
{
	page_areas any = {0};
	struct pagemap_query q = {.all_of = PAGE_WPALLOWED,
				  .any_of = PAGE_PRESENT | PAGE_SWAPPED,
				  .ret = PAGE_WPALLOWED,
				  .max_pages = 1};

	*ret = true;
	for (size_t i = 0; i < s->maps.list.nr && !any.nr; i++) {
		const struct map *m = &s->maps.list.at[i];

		if (cpt_map_is_special(m))
			continue;
		if (pagemap_scan(s->pagemap_fd, m->start, m->end, &q, &any, err))
			return -1;
	}
	*ret = !any.nr;
	vec_free(&any);
	return 0;
}

/*
 * Pages count as clean from here on. Files for direct I/O that are open before: the task stands still
 * meanwhile; that were opened just now: nothing of this arming is believed, and the next one is done with the
 * task standing still.
 */
static int arm(const struct cpt_task *t, struct cpt_space *s, struct ranges *ret_written, struct err *err)
{
	struct stopped_threads held = {0};
	bool before, after;
	int ret;

	if (cpt_direct_has(t, &before, err) || (before && cpt_direct_stop(t, &held, err)))
		return -1;
	ret = cpt_track_cover(s, err) || cpt_track_arm(s, ret_written, err) ? -1 : 0;
	if (cpt_direct_go(&held, ret ? &(struct err){0} : err) || ret || cpt_direct_has(t, &after, err))
		return -1;
	if (s->distrusted)
		ranges_add(ret_written, 0, UINT64_MAX);
	s->distrusted = after && !before;
	return 0;
}

static int send_space(struct cpt *c, const struct cpt_task *t, struct cpt_space *s, struct verst_round *ret,
		      struct err *err)
{
	struct mirror_task *dest;
	struct ranges written = {0};
	bool gone = false;
	int result = -1;

	if (!c->frozen) {
		if (s->uffd < 0 || s->skipped)
			return 0;
		if (arm(t, s, &written, err) || gone_meanwhile(s, &gone, err))
			goto out;
		s->skipped = gone;
		result = 0;
		if (gone)
			goto out;
	}
	result = mirror_make(&c->mm->mirror, s->vpid, c->mm->round, &dest, err) || put_mm(c, s, dest, err) ||
				 cpt_pages_send(c, s, dest, &written, ret, err)
			 ? -1
			 : 0;
out:
	ranges_free(&written);
	return result;
}

/* Parents before children: a child is forked at the other side when its first record comes, from what its
 * parent has then. */
static int send_spaces(struct cpt *c, struct verst_round *ret, struct err *err)
{
	vec_each(t, &c->tasks) {
		struct cpt_space *s = cpt_space_of(c, t);

		if (s && send_space(c, t, s, ret, err))
			return err_ctx(err, "memory of task %u (%s)", t->vpid, t->comm);
	}
	return cpt_shm_send(c, ret, err);
}

static int begin_round(struct cpt *c, struct err *err)
{
	const struct tree_obj *tree = &c->m.trees.at[c->m.trees.nr - 1];

	c->mm->round++;
	return mirror_tree(&c->mm->mirror, tree, err);
}

static void count_dirty(struct cpt *c, struct verst_round *ret)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	struct err ignored;

	vec_each(at, &c->mm->spaces) {
		struct cpt_space *s = *at;
		page_areas areas = {0};

		if (!s->skipped && s->uffd >= 0)
			cpt_track_pages(c, s, &areas, &ignored);
		vec_each(a, &areas)
			if (a->flags & PAGE_WRITTEN)
				ret->dirty_pages += (a->end - a->start) / page_bytes;
		vec_free(&areas);
	}
}

static void count_sent(struct cpt *c, uint64_t pages, uint64_t zeros, struct verst_round *ret)
{
	uint64_t zeros_now, pages_now = img_writer_pages(c->w, &zeros_now);

	ret->sent_pages += pages_now - pages;
	ret->zero_pages += zeros_now - zeros;
}

int cpt_mm_round(struct cpt *c, struct verst_round *ret, struct err *err)
{
	uint64_t zeros, pages = img_writer_pages(c->w, &zeros);

	if (begin_round(c, err))
		return -1;
	forget_files(c);
	if (cpt_sysv_list(c, err))
		return -1;
	vec_each(t, &c->tasks) {
		struct cpt_space *s = cpt_space_of(c, t);

		if (s && look_at(c, t, s, err))
			return -1;
	}
	if (cpt_shm_refresh(c, err) || cpt_write_named(c, err) || send_spaces(c, ret, err))
		return -1;
	count_sent(c, pages, zeros, ret);
	count_dirty(c, ret);
	return 0;
}

/* --- frozen --- */

/* THP_enabled of status: 0 after prctl(PR_SET_THP_DISABLE) */
static int read_thp(const struct cpt_task *t, struct mm_obj *mm, struct err *err)
{
	struct buf text;
	const char *line;

	if (io_read_file(t->proc_fd, "status", 64u << 10, &text, err))
		return -1;
	line = strstr((char *)text.at, "\nTHP_enabled:");
	mm->thp_disable = line && strtol(line + strlen("\nTHP_enabled:"), NULL, 10) == 0;
	buf_free(&text);
	return 0;
}

/* The end of the heap to the page; cpt/thread.c asks the task itself for the byte. */
static uint64_t heap_end(const struct maps *maps, uint64_t start_brk)
{
	uint64_t end = start_brk;

	vec_each(m, &maps->list)
		if (!strcmp(m->path, "[heap]"))
			end = MAX(end, m->end);
	return end;
}

static int read_layout(struct cpt *c, const struct cpt_task *t, struct cpt_space *s, struct err *err)
{
	struct mm_obj *mm = &s->obj;
	struct proc_stat stat;
	struct buf auxv;

	if (proc_stat_read(t->proc_fd, &stat, err) || read_thp(t, mm, err) ||
	    cpt_reg_of_exe(c, t, &mm->exe, err) || io_read_file(t->proc_fd, "auxv", 4096, &auxv, err))
		return -1;
	free(mm->auxv.at);
	mm->auxv = bytes_dup(auxv.at, auxv.len_bytes);
	buf_free(&auxv);
	mm->start_code = stat.start_code;
	mm->end_code = stat.end_code;
	mm->start_data = stat.start_data;
	mm->end_data = stat.end_data;
	mm->start_brk = stat.start_brk;
	mm->brk = heap_end(&s->maps, stat.start_brk);
	mm->start_stack = stat.start_stack;
	mm->arg_start = stat.arg_start;
	mm->arg_end = stat.arg_end;
	mm->env_start = stat.env_start;
	mm->env_end = stat.env_end;
	return 0;
}

/* The model has a copy, for those who look up a task's memory; ids ascend there. */
static int by_id(const void *a, const void *b)
{
	const struct mm_obj *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void into_model(struct cpt *c, const struct cpt_space *s)
{
	struct mm_obj *mm = vec_add(&c->m.mms);

	*mm = s->obj;
	mm->auxv = bytes_dup(s->obj.auxv.at, s->obj.auxv.len_bytes);
	memset(&mm->vmas, 0, sizeof(mm->vmas));
	vec_each(v, &s->obj.vmas) {
		struct vma_obj *copy = vec_add(&mm->vmas);

		*copy = *v;
		copy->anon_name = mem_strdup(v->anon_name);
	}
}

int cpt_mm_collect(struct cpt *c, struct err *err)
{
	if (state_open(c, err) || cpt_track_identify(c, err) || cpt_sysv_list(c, err))
		return -1;
	forget_files(c);
	vec_each(t, &c->tasks) {
		struct cpt_space *s = cpt_space_of(c, t);

		if (!s && t->mm)
			return err_set(err, ERR_CHECKPOINT,
				       "task %u (%s) shares its memory with task %u (vfork?): try again",
				       t->vpid, t->comm, cpt_space_find(c, t->mm)->vpid);
		if (!s)
			continue;
		if (look_at(c, t, s, err) || read_layout(c, t, s, err))
			return err_ctx(err, "memory of task %u (%s)", t->vpid, t->comm);
		into_model(c, s);
	}
	vec_sort(&c->m.mms, by_id);
	return cpt_shm_refresh(c, err);
}

int cpt_mm_final(struct cpt *c, struct verst_round *ret, struct err *err)
{
	uint64_t zeros, pages = img_writer_pages(c->w, &zeros);

	if (begin_round(c, err))
		return -1;
	vec_each(s, &c->mm->spaces) { /* what was asked in the task since */
		const struct mm_obj *mm = model_mm(&c->m, (*s)->id);

		(*s)->obj.brk = mm->brk;
	}
	if (send_spaces(c, ret, err))
		return -1;
	count_sent(c, pages, zeros, ret);
	return 0;
}
