// SPDX-License-Identifier: GPL-2.0-only
/*
 * Our mappings in a task. The main one holds the code, then what is cut from it in turn: for every thread its
 * area (struct blob_area, frame, stack), and rooms for batches. What is cut stays so until all is unmapped.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "remote/internal.h"

#define LIVING_BYTES	  (256 << 10) /* only address space: pages come when they are touched */
#define LIVING_ROOM_BYTES 8192	      /* for each thread */
#define MORE_BYTES	  (1 << 20)
#define PAGE_BYTES	  4096
#define STACK_BYTES	  4096
#define ALIGN_BYTES	  64					      /* of an area: frames want it */
#define AREA_BYTES	  (ARCH_FRAME_MAX_BYTES + STACK_BYTES + 1024) /* the longest */
#define ALIGN(v, to)	  (((v) + (to)-1) & ~((uint64_t)(to)-1))

struct remote_mm *area_mm_new(void)
{
	struct remote_mm *mm = mem_new(struct remote_mm);

	mm->nr_users = mm->nr_inside = 1;
	mm->mem_fd = -1;
	return mm;
}

void area_mm_share(struct remote *r, struct remote_mm *mm)
{
	r->mm = mm;
	mm->nr_users++;
	mm->nr_inside++;
}

bool area_leave(struct remote *r)
{
	if (r->left)
		return false;
	r->left = true;
	return --r->mm->nr_inside == 0;
}

void area_mm_put(struct remote_mm *mm)
{
	if (--mm->nr_users)
		return;
	if (mm->mem_fd >= 0)
		close(mm->mem_fd);
	vec_free(&mm->more);
	free(mm);
}

static int map(struct remote *r, uint64_t addr, size_t len_bytes, int prot, uint64_t *ret_addr,
	       struct err *err)
{
	int fixed = addr ? MAP_FIXED_NOREPLACE : 0;
	const uint64_t arg[6] = {addr,	len_bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed,
				 -1ULL, 0};
	int64_t got;

	if (stop_call(r, SYS_mmap, arg, &got, err) < 0)
		return -1;
	if (got < 0 && got > -4096) {
		errno = -got;
		return err_sys(err, "mapping our code in task %d", r->tid);
	}
	*ret_addr = got;
	return 0;
}

int area_map(struct remote *r, uint64_t addr, struct err *err)
{
	struct remote_mm *mm = r->mm;
	size_t living_bytes =
		ALIGN(LIVING_BYTES + mm->nr_users * (AREA_BYTES + LIVING_ROOM_BYTES), PAGE_BYTES);
	size_t len_bytes = r->kind == REMOTE_LIVING ? living_bytes : REMOTE_BLOB_BYTES;
	uint64_t start;

	if (mm->main.start)
		return 0;
	if (!mm->call_ip && code_find(r, err) < 0)
		return -1;
	if (map(r, addr, len_bytes, PROT_READ | PROT_EXEC, &start, err) < 0 || area_mem_fd(r, err) < 0)
		return -1;
	mm->main.start = start;
	mm->main.end = start + len_bytes;
	mm->next = start + AREA_CODE_BYTES;
	mm->limit = mm->main.end;
	mm->writable = false;
	if (AREA_BLOB_BYTES > AREA_CODE_BYTES ||
	    pwrite(mm->mem_fd, remote_blob, AREA_BLOB_BYTES, start) != (ssize_t)AREA_BLOB_BYTES)
		return err_sys(err, "writing our code to task %d", r->tid);
	if (r->kind == REMOTE_BORN)
		mm->call_ip = start + BLOB_FIRST;
	return 0;
}

static int make_sure_of(struct remote *r, size_t len_bytes, struct err *err)
{
	struct remote_mm *mm = r->mm;
	struct remote_span *span;
	size_t more_bytes = MAX(ALIGN(len_bytes, PAGE_BYTES), (size_t)MORE_BYTES);
	uint64_t start;

	if (mm->limit - mm->next >= len_bytes)
		return 0;
	if (map(r, 0, more_bytes, PROT_READ | PROT_WRITE, &start, err) < 0)
		return -1;
	span = vec_add(&mm->more);
	*span = (struct remote_span){start, start + more_bytes};
	mm->next = start;
	mm->limit = start + more_bytes;
	return 0;
}

/* Data in the main mapping is not writable for anybody but us before the first batch. */
static int put(struct remote *r, uint64_t addr, const struct buf *b, struct err *err)
{
	if (area_mem_fd(r, err) < 0)
		return -1;
	if (pwrite(r->mm->mem_fd, b->at, b->len_bytes, addr) != (ssize_t)b->len_bytes)
		return err_sys(err, "writing to task %d", r->tid);
	return 0;
}

static int make_frame(struct remote *r, uint64_t at, struct blob_area *area, struct arch_frame *ret,
		      struct err *err)
{
	if (r->kind != REMOTE_LIVING)
		return 0;
	if (arch_frame_make(r->tid, r->own, r->sigmask, at, ret, err) < 0)
		return -1;
	area->living = 1;
	area->sigmask = r->sigmask;
	area->frame_sp = ret->sp;
	area->restart = ret->restart;
	for (size_t i = 0; i < ARRAY_LEN(area->eintr); i++) {
		area->eintr[i].addr = ret->eintr[i].addr;
		area->eintr[i].value = ret->eintr[i].value;
	}
	return 0;
}

int area_make(struct remote *r, struct err *err)
{
	struct remote_mm *mm = r->mm;
	struct arch_frame frame = {0};
	struct blob_area area = {0};
	struct buf all = {0};
	size_t head_bytes = ALIGN(sizeof(area), ALIGN_BYTES);
	int failed;

	if (r->area)
		return 0;
	if (area_map(r, 0, err) < 0 || make_sure_of(r, AREA_BYTES, err) < 0)
		return -1;
	if (!r->away)
		arch_regs_leave_rseq(r->tid, r->own);
	mm->next = ALIGN(mm->next, ALIGN_BYTES);
	if (make_frame(r, mm->next + head_bytes, &area, &frame, err) < 0)
		return -1;
	memset(buf_reserve(&all, head_bytes), 0, head_bytes);
	memcpy(all.at, &area, sizeof(area));
	all.len_bytes = head_bytes;
	buf_put(&all, frame.bytes.at, frame.bytes.len_bytes);
	failed = put(r, mm->next, &all, err);
	if (!failed) {
		r->area = mm->next;
		r->area_end = ALIGN(r->area + all.len_bytes + STACK_BYTES, ALIGN_BYTES);
		mm->next = r->area_end;
	}
	buf_free(&all);
	buf_free(&frame.bytes);
	return failed;
}

int area_room(struct remote *r, size_t len_bytes, struct err *err)
{
	struct remote_mm *mm = r->mm;

	if (r->room_end - r->room >= len_bytes)
		return 0;
	len_bytes = ALIGN(len_bytes, PAGE_BYTES);
	if (make_sure_of(r, len_bytes, err) < 0)
		return -1;
	r->room = mm->next;
	r->room_end = mm->next = r->room + len_bytes;
	return 0;
}
