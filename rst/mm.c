// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of the waiting tasks. A record's list is compared with what is there (model/aspace.h), and one
 * batch of calls makes the difference. Mappings have their final protection from the start: pages of what is
 * not writable go in by /proc/PID/mem.
 */
#include "rst/mm.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define CALLS_A_BATCH 4096u /* well within the blob's room */

int rst_mm_state(struct rst *r, struct rst_mm_state **ret, struct err *err)
{
	if (!r->mm)
		r->mm = mem_new(struct rst_mm_state);
	*ret = r->mm;
	return 0;
}

/* --- the book --- */

static void book_free(struct rst_mm *mm)
{
	if (!mm)
		return;
	aspace_free(&mm->as);
	ranges_free(&mm->private);
	ranges_free(&mm->writable);
	free(mm);
}

static void note_private(struct rst_mm *mm)
{
	ranges_clear(&mm->private);
	ranges_clear(&mm->writable);
	aspace_private(&mm->as, &mm->private);
	vec_each(v, &mm->as.vmas)
		if (vma_is_private(v) && v->prot & PROT_WRITE)
			ranges_append(&mm->writable, v->start, v->end);
}

int rst_mm_forked(struct rst *r, struct rst_task *parent, struct rst_task *child, struct err *err)
{
	book_free(child->mm);
	child->mm = mem_new(struct rst_mm);
	if (!parent->mm)
		return 0;
	aspace_copy(&child->mm->as, &parent->mm->as);
	note_private(child->mm);
	return 0;
}

void rst_mm_drop(struct rst *r, struct rst_task *t)
{
	book_free(t->mm);
	t->mm = NULL;
}

void rst_mm_free(struct rst *r)
{
	vec_each(t, &r->tasks)
		rst_mm_drop(r, t);
	if (!r->mm)
		return;
	rst_shm_free(r);
	vec_free(&r->mm->vdso);
	free(r->mm);
	r->mm = NULL;
}

/* --- what a record may say --- */

static int check_vma(struct rst *r, const struct vma_obj *v, struct err *err)
{
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

	if ((v->start | v->end | v->offset) & mask || v->end > RST_ADDRESS_END ||
	    v->prot > (PROT_READ | PROT_WRITE | PROT_EXEC) || v->offset + (v->end - v->start) < v->offset)
		return err_set(err, ERR_IMAGE, "mapping %lx-%lx: impossible", v->start, v->end);
	if (v->kind < VMA_ANON || v->kind > VMA_VVAR || (v->kind == VMA_ANON && (v->shm || v->reg)))
		return err_set(err, ERR_IMAGE, "mapping %lx: kind %d", v->start, v->kind);
	if (v->shm ? !model_shm(&r->m, v->shm) : v->kind == VMA_SHM)
		return err_set(err, ERR_IMAGE, "mapping %lx: there is no shared memory %u", v->start, v->shm);
	if (v->shm && !model_segment_fits(model_shm(&r->m, v->shm), v, mask + 1))
		return err_set(err, ERR_IMAGE, "mapping %lx: not within segment %u", v->start, v->shm);
	if (v->reg ? !model_reg(&r->m, v->reg)
		   : (v->kind == VMA_FILE || v->kind == VMA_FILE_SHARED) && !v->shm)
		return err_set(err, ERR_IMAGE, "mapping %lx: there is no file %u", v->start, v->reg);
	if (v->shm && v->reg)
		return err_set(err, ERR_IMAGE, "mapping %lx: of a file and of shared memory", v->start);
	return 0;
}

static int check_record(struct rst *r, const struct mm_obj *mm, struct err *err)
{
	if (model_validate_mm(mm, err))
		return -1;
	vec_each(v, &mm->vmas)
		if (check_vma(r, v, err))
			return -1;
	return rst_vdso_check(r, mm, err);
}

/* --- our code must not be where a mapping is to be --- */

static bool overlaps(const vma_vec *vmas, const struct mm_obj *mm, uint64_t start, uint64_t end)
{
	if (vmas)
		vec_each(v, vmas)
			if (v->start < end && start < v->end)
				return true;
	vec_each(v, &mm->vmas)
		if (v->start < end && start < v->end)
			return true;
	return false;
}

/* The lowest gap between and below all that is and is to be. */
static int find_gap(struct rst_task *t, const vma_vec *old, const struct mm_obj *mm, uint64_t len,
		    uint64_t *ret, struct err *err)
{
	uint64_t start, end, at = 1ull << 20;

	remote_blob_range(t->r, &start, &end);
	for (bool moved = true; moved;) {
		moved = false;
		vec_each(v, &mm->vmas)
			if (v->start < at + len && at < v->end) {
				at = v->end;
				moved = true;
			}
		vec_each(v, old)
			if (v->start < at + len && at < v->end) {
				at = v->end;
				moved = true;
			}
		if (at < end && start < at + len) {
			at = end;
			moved = true;
		}
	}
	if (len > 1ull << 46 || at + len > 1ull << 46)
		return err_set(err, ERR_IMAGE, "no room of %lu bytes between the mappings", len);
	*ret = at;
	return 0;
}

static int clear_blob(struct rst_task *t, const struct mm_obj *mm, struct err *err)
{
	uint64_t start, end, at;

	remote_blob_range(t->r, &start, &end);
	if (!end || !overlaps(NULL, mm, start, end))
		return 0;
	if (find_gap(t, &t->mm->as.vmas, mm, end - start, &at, err))
		return -1;
	return remote_blob_move(t->r, at, err);
}

/* --- files of mappings, sent into the task --- */

struct source { /* what a mapping is of */
	shm_id shm;
	reg_id reg;
	bool writable;
	int fd;	    /* ours */
	int number; /* in the task */
	bool borrowed;
};

typedef VEC(struct source) source_vec;

static struct source *source_of(source_vec *sources, const struct vma_obj *v)
{
	vec_each(s, sources)
		if (s->shm == v->shm && s->reg == v->reg && s->writable == v->file_writable)
			return s;
	return NULL;
}

static int open_source(struct rst *r, const struct vma_obj *v, struct source *ret, struct err *err)
{
	*ret = (struct source){
		.shm = v->shm, .reg = v->reg, .writable = v->file_writable, .borrowed = v->shm != 0};
	if (v->shm)
		return rst_shm_for_map(r, v->shm, v->file_writable, &ret->fd, err);
	return rst_reg_open(r, v->reg, v->file_writable ? O_RDWR : O_RDONLY, &ret->fd, err);
}

static bool is_segment(const struct rst *r, const struct vma_obj *v)
{
	return v->shm && model_shm(&r->m, v->shm)->kind == SHM_SYSV;
}

static int open_sources(struct rst *r, const vma_vec *map, source_vec *ret, struct err *err)
{
	vec_each(v, map) {
		struct source s;

		if (v->kind == VMA_ANON || source_of(ret, v))
			continue;
		if (is_segment(r, v)) { /* attached, not mapped; but it has to be there */
			int unused;

			if (rst_mm_shm_fd(r, v->shm, &unused, err))
				return err_ctx(err, "mapping %lx", v->start);
			continue;
		}
		if (open_source(r, v, &s, err))
			return err_ctx(err, "mapping %lx", v->start);
		vec_push(ret, s);
	}
	return 0;
}

static int send_sources(struct rst_task *t, source_vec *sources, struct err *err)
{
	_free_ int *fds = mem_alloc((sources->nr + 1) * 2 * sizeof(*fds));

	for (size_t i = 0; i < sources->nr; i++)
		fds[i] = sources->at[i].fd;
	if (sources->nr && remote_send_fds(t->r, fds, sources->nr, fds + sources->nr, err))
		return -1;
	for (size_t i = 0; i < sources->nr; i++)
		sources->at[i].number = fds[sources->nr + i];
	return 0;
}

static void close_sources(source_vec *sources)
{
	vec_each(s, sources)
		if (!s->borrowed)
			close(s->fd);
	vec_free(sources);
}

/* --- the batch --- */

struct builder {
	struct rst_task *t;
	struct remote_batch *b;
	size_t nr;
};

static int builder_run(struct builder *x, struct err *err)
{
	int ret = x->nr ? remote_batch_run(x->t->r, x->b, err) : 0;

	remote_batch_reset(x->b);
	x->nr = 0;
	return ret;
}

static int builder_step(struct builder *x, struct err *err)
{
	return ++x->nr >= CALLS_A_BATCH ? builder_run(x, err) : 0;
}

static const char *name_of(const struct vma_obj *v)
{
	switch (v->kind) {
	case VMA_ANON:
		return v->growsdown ? "mapping a stack" : "mapping memory";
	case VMA_SHM:
		return "mapping shared memory";
	case VMA_FILE_SHARED:
		return "mapping a file (shared)";
	default:
		return "mapping a file";
	}
}

/* What is not writable but was: the kernel has it in its account since, and keeps it apart from its
 * neighbours. */
static bool was_writable(const struct vma_obj *v)
{
	return vma_is_private(v) && v->accounted && !(v->prot & PROT_WRITE);
}

static int protect(struct builder *x, uint64_t start, uint64_t end, uint32_t prot, struct err *err)
{
	remote_call(x->b, "mprotect", 0, SYS_mprotect, ra_num(start), ra_num(end - start), ra_num(prot));
	return builder_step(x, err);
}

static int advise(struct builder *x, uint64_t start, uint64_t len, int advice, struct err *err)
{
	remote_call(x->b, "madvise", 0, SYS_madvise, ra_num(start), ra_num(len), ra_num(advice));
	return builder_step(x, err);
}

/*
 * From writable, where it is or is made so, to what it is to be, but still in the account: anonymous memory
 * that never had a page would leave it (mm/mprotect.c).
 */
static int protect_again(struct builder *x, const struct vma_obj *v, uint64_t start, uint64_t end,
			 struct err *err)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	bool untouched = v->kind == VMA_ANON && !ranges_touch(&x->t->mm->as.held, start, end);

	if (untouched && advise(x, start, page_bytes, MADV_POPULATE_WRITE, err))
		return -1;
	if (protect(x, start, end, v->prot, err))
		return -1;
	return untouched ? advise(x, start, page_bytes, MADV_DONTNEED, err) : 0;
}

static int map_one(struct builder *x, source_vec *sources, const struct vma_obj *v, struct err *err)
{
	int flags =
		MAP_FIXED_NOREPLACE | (v->growsdown ? MAP_GROWSDOWN : 0) | (v->noreserve ? MAP_NORESERVE : 0);
	int64_t fd = -1;
	uint64_t len = v->end - v->start;

	if (v->kind == VMA_ANON)
		flags |= MAP_ANONYMOUS;
	else
		fd = source_of(sources, v)->number;
	flags |= vma_is_private(v) ? MAP_PRIVATE : MAP_SHARED;
	remote_call(x->b, name_of(v), 0, SYS_mmap, ra_num(v->start), ra_num(len),
		    ra_num(was_writable(v) ? v->prot | PROT_WRITE : v->prot), ra_num(flags), ra_num(fd),
		    ra_num(v->offset));
	if (builder_step(x, err) || (was_writable(v) && protect_again(x, v, v->start, v->end, err)))
		return -1;
	/* before the first page comes, so that it can come as a huge one */
	if (v->advice & (VMA_ADV_HUGEPAGE | VMA_ADV_NOHUGEPAGE)) {
		int advice = v->advice & VMA_ADV_HUGEPAGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;

		/* a kernel without huge pages does without */
		remote_call(x->b, "madvise", REMOTE_MAY_FAIL, SYS_madvise, ra_num(v->start), ra_num(len),
			    ra_num(advice));
		return builder_step(x, err);
	}
	return 0;
}

static int attach_segment(struct rst *r, struct builder *x, const vma_vec *map, const struct vma_obj *v,
			  const struct aspace *old, const struct mm_obj *mm, struct err *err)
{
	uint64_t room = 0;

	if (!rst_sysv_is_first(map, v))
		return 0;
	if (!rst_sysv_is_whole(r, v) &&
	    find_gap(x->t, &old->vmas, mm, model_shm(&r->m, v->shm)->size_bytes, &room, err))
		return -1;
	x->nr += (size_t)rst_sysv_attach(r, x->b, map, v, room);
	return builder_step(x, err);
}

/* Where what stays is to have another protection. */
static int protect_kept(struct builder *x, const struct aspace *old, const struct mm_obj *mm, struct err *err)
{
	size_t first = 0;

	vec_each(v, &mm->vmas) {
		while (first < old->vmas.nr && old->vmas.at[first].end <= v->start)
			first++;
		for (size_t i = first; i < old->vmas.nr && old->vmas.at[i].start < v->end; i++) {
			const struct vma_obj *o = &old->vmas.at[i];
			uint64_t start = MAX(o->start, v->start), end = MIN(o->end, v->end);

			bool first_write = was_writable(v) && !o->accounted;

			if (!vma_same_backing(o, v))
				continue;
			if (first_write && protect(x, start, end, v->prot | PROT_WRITE, err))
				return -1;
			if (was_writable(v) && (first_write || o->prot & PROT_WRITE)) {
				if (protect_again(x, v, start, end, err))
					return -1;
			} else if (o->prot != v->prot && protect(x, start, end, v->prot, err)) {
				return -1;
			}
		}
	}
	return 0;
}

static int build(struct rst *r, struct rst_task *t, const struct aspace *old, const struct mm_obj *mm,
		 const struct ranges *unmap, const vma_vec *map, struct err *err)
{
	struct builder x = {.t = t, .b = remote_batch_new()};
	source_vec sources = {0};
	int ret = open_sources(r, map, &sources, err) || send_sources(t, &sources, err) ? -1 : 0;

	vec_each(u, &unmap->list) {
		if (ret)
			break;
		remote_call(x.b, "munmap", 0, SYS_munmap, ra_num(u->start), ra_num(u->end - u->start));
		ret = builder_step(&x, err);
	}
	if (!ret)
		ret = protect_kept(&x, old, mm, err);
	vec_each(v, map) {
		if (ret)
			break;
		ret = is_segment(r, v) ? attach_segment(r, &x, map, v, old, mm, err)
				       : map_one(&x, &sources, v, err);
	}
	vec_each(s, &sources) {
		if (ret)
			break;
		remote_call(x.b, "close", 0, SYS_close, ra_num(s->number));
		ret = builder_step(&x, err);
	}
	if (!ret)
		ret = builder_run(&x, err);
	close_sources(&sources);
	remote_batch_free(x.b);
	return ret;
}

int rst_mm_apply(struct rst *r, const struct mm_obj *mm, struct err *err)
{
	struct rst_task *t = rst_tree_of_mm(r, mm->id);
	struct rst_mm_state *state;
	struct aspace old = {0};
	struct ranges unmap = {0};
	vma_vec map = {0};
	int ret;

	if (!t)
		return err_set(err, ERR_IMAGE, "memory %u belongs to no task", mm->id);
	if (rst_mm_state(r, &state, err) || check_record(r, mm, err) || rst_tree_task(r, t->t.pid, &t, err))
		return err_ctx(err, "memory %u", mm->id);
	if (!t->mm)
		t->mm = mem_new(struct rst_mm);
	if (clear_blob(t, mm, err))
		return err_ctx(err, "memory of task %u", t->t.pid);
	aspace_copy(&old, &t->mm->as);
	aspace_apply(&t->mm->as, mm, &unmap, &map);
	t->mm->id = mm->id;
	note_private(t->mm);
	ret = build(r, t, &old, mm, &unmap, &map, err);
	aspace_free(&old);
	ranges_free(&unmap);
	vec_free(&map);
	return ret ? err_ctx(err, "memory of task %u", t->t.pid) : 0;
}
