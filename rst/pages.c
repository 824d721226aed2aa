// SPDX-License-Identifier: GPL-2.0-only
/* Pages into the waiting tasks, straight to their addresses. */
#include "rst/mm.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define PIECES_A_WRITE 1024u /* UIO_MAXIOV */
#define CALLS_A_BATCH  4096u

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- bytes --- */

struct writer {
	struct rst_task *t;
	struct iovec there[PIECES_A_WRITE];
	size_t nr;
	const uint8_t *from; /* of the first piece; the others follow */
	uint64_t bytes;
};

static int writer_flush(struct writer *x, struct err *err)
{
	struct iovec here = {(void *)(uintptr_t)x->from, x->bytes};
	ssize_t n = x->nr ? process_vm_writev(x->t->pid, &here, 1, x->there, x->nr, 0) : 0;

	if (n < 0)
		return err_sys(err, "writing memory at %p", x->there[0].iov_base);
	if ((uint64_t)n != x->bytes)
		return err_set(err, ERR_RESTORE, "writing memory at %p: only %zd of %lu bytes went in",
			       x->there[0].iov_base, n, x->bytes);
	x->nr = 0;
	x->bytes = 0;
	return 0;
}

static int write_run(struct writer *x, uint64_t start, const uint8_t *data, uint64_t len, struct err *err)
{
	const struct ranges *writable = &x->t->mm->writable;

	if (!ranges_touch(writable, start, start + len)) {
		if (writer_flush(x, err))
			return -1;
		return remote_write(x->t->r, start, data, len,
				    err); /* by /proc/PID/mem, which may write where the task may not */
	}
	if (!ranges_cover(writable, start, start + len)) { /* over the border of two mappings */
		uint64_t page_bytes = page_size();

		for (uint64_t at = 0; at < len; at += page_bytes)
			if (write_run(x, start + at, data + at, page_bytes, err))
				return -1;
		return 0;
	}
	if (x->nr == PIECES_A_WRITE || (x->nr && x->from + x->bytes != data)) {
		if (writer_flush(x, err))
			return -1;
	}
	if (!x->nr)
		x->from = data;
	x->there[x->nr++] = (struct iovec){(void *)(uintptr_t)start, len};
	x->bytes += len;
	return 0;
}

/* --- pages that are to go --- */

static int drop_held(struct rst_task *t, const struct ranges *drop, struct err *err)
{
	struct ranges there = {0};
	struct remote_batch *b = remote_batch_new();
	size_t nr = 0;
	int ret = 0;

	ranges_copy(&there, drop);
	ranges_intersect(&there, &t->mm->as.held);
	vec_each(r, &there.list) {
		remote_call(b, "dropping pages", 0, SYS_madvise, ra_num(r->start), ra_num(r->end - r->start),
			    ra_num(MADV_DONTNEED));
		if (++nr < CALLS_A_BATCH)
			continue;
		ret = remote_batch_run(t->r, b, err);
		remote_batch_reset(b);
		nr = 0;
		if (ret)
			break;
	}
	if (!ret && nr)
		ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	ranges_free(&there);
	return ret;
}

/* The first mapping that ends behind the address. */
static size_t first_vma(const struct aspace *as, uint64_t at)
{
	size_t low = 0, high = as->vmas.nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (as->vmas.at[mid].end <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int write_zeros(struct writer *x, uint64_t start, uint64_t end, struct err *err)
{
	static const uint8_t zeros[65536];

	if (writer_flush(x, err))
		return -1;
	for (uint64_t at = start, len; at < end; at += len) {
		len = MIN(end - at, sizeof(zeros));
		if (remote_write(x->t->r, at, zeros, len, err))
			return -1;
	}
	return 0;
}

/* Zeros: in anonymous memory no page at all; where a file is mapped they have to be written. */
static int zero_run(struct writer *x, uint64_t start, uint64_t end, struct ranges *drop, struct ranges *add,
		    struct err *err)
{
	const struct aspace *as = &x->t->mm->as;

	for (size_t i = first_vma(as, start); i < as->vmas.nr && as->vmas.at[i].start < end; i++) {
		const struct vma_obj *v = &as->vmas.at[i];
		uint64_t from = MAX(start, v->start), to = MIN(end, v->end);

		ranges_append(v->kind == VMA_FILE ? add : drop, from, to);
		if (v->kind == VMA_FILE && write_zeros(x, from, to, err))
			return -1;
	}
	return 0;
}

static int run_in_place(struct writer *x, const struct pages_run *run, const uint8_t **data,
			struct ranges *drop, struct ranges *add, struct err *err)
{
	uint64_t len = run->nr_pages * page_size(), end = run->start + len;

	if (run->nr_pages > RST_ADDRESS_END / page_size() ||
	    !ranges_cover(&x->t->mm->private, run->start, end))
		return err_set(err, ERR_IMAGE, "pages %lx-%lx are not in private memory", run->start, end);
	switch (run->kind) {
	case PAGES_DATA:
		ranges_append(add, run->start, end);
		*data += len;
		return write_run(x, run->start, *data - len, len, err);
	case PAGES_ZERO:
		return zero_run(x, run->start, end, drop, add, err);
	case PAGES_DROP:
		ranges_append(drop, run->start, end);
		return 0;
	case PAGES_INHERIT: /* it came with the fork */
		return 0;
	}
	return err_set(err, ERR_IMAGE, "pages %lx: unknown kind %d", run->start, run->kind);
}

static int mm_pages(struct rst *r, const struct img_pages *p, struct err *err)
{
	struct rst_task *t = rst_tree_of_mm(r, p->id);
	_free_ struct writer *x = mem_new(struct writer);
	struct ranges drop = {0}, add = {0};
	const uint8_t *data = p->data;
	int ret = 0;

	if (!t || !t->r || !t->mm || t->mm->id != p->id)
		return err_set(err, ERR_IMAGE, "pages of memory %u, which is not there", p->id);
	x->t = t;
	for (size_t i = 0; !ret && i < p->nr_runs; i++)
		ret = run_in_place(x, &p->runs[i], &data, &drop, &add, err);
	if (!ret)
		ret = writer_flush(x, err);
	if (!ret)
		ret = drop_held(t, &drop, err);
	ranges_subtract(&t->mm->as.held, &drop);
	ranges_unite(&t->mm->as.held, &add);
	ranges_free(&drop);
	ranges_free(&add);
	return ret ? err_ctx(err, "memory of task %u", t->t.pid) : 0;
}

int rst_mm_pages(struct rst *r, const struct img_pages *p, struct err *err)
{
	for (size_t i = 0; i < p->nr_runs; i++)
		r->stats.pages += p->runs[i].nr_pages;
	if (p->target == PAGES_MM)
		return mm_pages(r, p, err);
	if (p->target == PAGES_SHM)
		return rst_shm_pages(r, p, err);
	return err_set(err, ERR_IMAGE, "pages of an unknown target %d", p->target);
}
