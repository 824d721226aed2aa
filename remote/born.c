// SPDX-License-Identifier: GPL-2.0-only
/* What only tasks under construction need: an empty address space, children, and the end of our stay. */
#include <errno.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "remote/internal.h"

#define TASK_SIZE_BYTES 0x7ffffffff000ULL /* arch/x86/include/asm/page_64_types.h; more only on request */

/* The kernel would go on to write to memory that is about to vanish: at the thread's end, or at every
 * preemption. */
static int forget_thread_memory(struct remote *r, struct err *err)
{
	struct __ptrace_rseq_configuration conf = {0};
	struct remote_batch *b = remote_batch_new();
	int failed;

	remote_call(b, "set_robust_list", 0, SYS_set_robust_list, ra_num(0), ra_num(24));
	remote_call(b, "set_tid_address", 0, SYS_set_tid_address, ra_num(0));
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, r->tid, sizeof(conf), &conf) > 0 && conf.rseq_abi_pointer)
		remote_call(b, "rseq", 0, SYS_rseq, ra_num(conf.rseq_abi_pointer), ra_num(conf.rseq_abi_size),
			    ra_num(1 /* RSEQ_FLAG_UNREGISTER */), ra_num(conf.signature));
	failed = remote_batch_run(r, b, err);
	remote_batch_free(b);
	return failed;
}

static void forget_mappings(struct remote *r)
{
	struct remote_mm *mm = r->mm;

	vec_free(&mm->more);
	mm->main.start = mm->main.end = mm->next = mm->limit = 0;
	r->area = r->area_end = r->room = r->room_end = 0;
	r->in_loop = false;
}

int remote_blob_move(struct remote *r, uint64_t addr, struct err *err)
{
	struct remote_mm *mm = r->mm;
	VEC(struct remote_span) old = {0};
	struct remote_batch *b;
	int failed;

	if (mm->nr_inside != 1)
		return err_set(err, ERR_SYSTEM, "moving the code in task %d: it has threads", r->tid);
	if (mm->main.start == addr)
		return 0;
	if (mm->main.start)
		*vec_add(&old) = (struct remote_span){mm->main.start, mm->main.end};
	vec_each(span, &mm->more)
		vec_push(&old, *span);
	forget_mappings(r);
	failed = area_map(r, addr,
			  err); /* the call is made by the old blob's instruction, which is still there */
	b = remote_batch_new();
	vec_each(span, &old)
		remote_call(b, "munmap blob", 0, SYS_munmap, ra_num(span->start),
			    ra_num(span->end - span->start));
	failed = failed || remote_batch_run(r, b, err);
	remote_batch_free(b);
	vec_free(&old);
	return failed ? -1 : 0;
}

int remote_make_empty(struct remote *r, uint64_t addr, struct err *err)
{
	struct remote_batch *b;
	uint64_t start, end;
	int failed;

	if (forget_thread_memory(r, err) < 0 || remote_blob_move(r, addr, err) < 0)
		return -1;
	remote_blob_range(r, &start, &end);
	b = remote_batch_new();
	remote_call(b, "munmap below the blob", 0, SYS_munmap, ra_num(0), ra_num(start));
	remote_call(b, "munmap above the blob", 0, SYS_munmap, ra_num(end), ra_num(TASK_SIZE_BYTES - end));
	failed = remote_batch_run(r, b, err);
	remote_batch_free(b);
	return failed;
}

/* --- children --- */

static struct remote *make_child(const struct remote *parent, pid_t tid, bool same_mm)
{
	struct remote *r = mem_new(struct remote);

	r->tid = tid;
	r->kind = REMOTE_BORN;
	r->away = true;
	r->own = mem_dup(parent->own, arch_regs_bytes());
	r->sigmask = parent->sigmask;
	if (same_mm) {
		area_mm_share(r, parent->mm);
		return r;
	}
	r->mm = area_mm_new();
	r->mm->main.start = parent->mm->main.start;
	r->mm->main.end = parent->mm->main.end;
	r->mm->next = parent->mm->next;
	r->mm->limit = parent->mm->limit;
	r->mm->call_ip = parent->mm->call_ip;
	r->mm->writable = true;
	vec_each(span, &parent->mm->more)
		vec_push(&r->mm->more, *span);
	r->area = parent->area;
	r->area_end = parent->area_end;
	r->room = parent->room;
	r->room_end = parent->room_end;
	return r;
}

static int take_child(struct remote *parent, pid_t tid, bool same_mm, struct remote **ret, struct err *err)
{
	struct remote *r = make_child(parent, tid, same_mm);
	struct stop stop;

	if (stop_wait(r, &stop, err) < 0 || arch_regs_get(r->tid, r->own, err) < 0) {
		remote_release(r, &(struct err){0});
		return -1;
	}
	*ret = r;
	return 0;
}

int remote_clone(struct remote *r, const struct clone_args *args, struct remote **ret_child, struct err *err)
{
	struct clone_args copy = *args;
	struct remote_batch *b;
	size_t tids, at;
	int failed;

	if (r->kind != REMOTE_BORN ||
	    args->flags & CLONE_VFORK) /* nobody would catch it, or it would not return */
		return err_set(err, ERR_SYSTEM, "task %d must not clone in that way", r->tid);
	b = remote_batch_new();
	/* the pointer inside is only known once it is known where the data will lie */
	tids = remote_batch_data(b, (void *)args->set_tid, args->set_tid_size * sizeof(pid_t));
	copy.set_tid = 0;
	at = remote_batch_data(b, &copy, sizeof(copy));
	if (args->set_tid_size)
		remote_batch_pointer(b, at + offsetof(struct clone_args, set_tid), tids);
	remote_call(b, "clone3", 0, SYS_clone3, ra_data(at), ra_num(sizeof(copy)));
	r->child = 0;
	failed = remote_batch_run(r, b, err);
	remote_batch_free(b);
	if (failed)
		return -1;
	if (!r->child)
		return err_set(err, ERR_SYSTEM, "clone3: the child is not in our hands");
	return take_child(r, r->child, args->flags & CLONE_VM, ret_child, err);
}

/* --- the end of our stay --- */

static int unmap_by_own_code(struct remote *r, uint64_t start, uint64_t end, struct err *err)
{
	const uint64_t arg[6] = {start, end - start};
	int64_t result;

	if (stop_call(r, SYS_munmap, arg, &result, err) < 0)
		return -1;
	errno = -result;
	return result < 0 ? err_sys(err, "munmap in task %d", r->tid) : 0;
}

int remote_finish(struct remote *r, struct err *err)
{
	struct remote_mm *mm = r->mm;

	if (!area_leave(r) || !mm->main.start) /* the last of the address space does it for all */
		return 0;
	if (code_find(r, err) < 0)
		return -1;
	vec_each(span, &mm->more)
		if (unmap_by_own_code(r, span->start, span->end, err) < 0)
			return -1;
	if (unmap_by_own_code(r, mm->main.start, mm->main.end, err) < 0)
		return -1;
	forget_mappings(r);
	return 0;
}
