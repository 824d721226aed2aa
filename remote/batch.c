// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches. In the task's room: the calls, then struct blob_results, then the data; the latter two are read
 * back.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "remote/internal.h"

struct call {
	const char *what;
	unsigned flags;
	long nr;
	struct remote_arg arg[6];
};

struct pointer { /* both are offsets in the data */
	size_t at, to;
};

struct remote_batch {
	VEC(struct call) calls;
	struct buf data;
	VEC(struct pointer) pointers;
	struct buf out;	 /* results and data as read back */
	size_t out_data; /* offset of the data there; 0: it has not run */
};

struct remote_batch *remote_batch_new(void)
{
	return mem_new(struct remote_batch);
}

void remote_batch_reset(struct remote_batch *b)
{
	b->calls.nr = b->pointers.nr = 0;
	buf_clear(&b->data);
	buf_clear(&b->out);
	b->out_data = 0;
}

void remote_batch_free(struct remote_batch *b)
{
	if (!b)
		return;
	vec_free(&b->calls);
	vec_free(&b->pointers);
	buf_free(&b->data);
	buf_free(&b->out);
	free(b);
}

static void put_zeroes(struct buf *b, size_t len_bytes)
{
	if (!len_bytes)
		return;
	memset(buf_reserve(b, len_bytes), 0, len_bytes);
	b->len_bytes += len_bytes;
}

size_t remote_batch_data(struct remote_batch *b, const void *p, size_t len_bytes)
{
	size_t offset;

	put_zeroes(&b->data, -b->data.len_bytes & 15);
	offset = b->data.len_bytes;
	if (p)
		buf_put(&b->data, p, len_bytes);
	else
		put_zeroes(&b->data, len_bytes);
	return offset;
}

void remote_batch_pointer(struct remote_batch *b, size_t at, size_t to)
{
	vec_push(&b->pointers, ((struct pointer){at, to}));
}

size_t remote_batch_call(struct remote_batch *b, const char *what, unsigned flags, long nr, size_t nr_args,
			 const struct remote_arg *args)
{
	struct call *call = vec_add(&b->calls);

	call->what = what;
	call->flags = flags;
	call->nr = nr;
	memcpy(call->arg, args, MIN(nr_args, ARRAY_LEN(call->arg)) * sizeof(*args));
	return b->calls.nr - 1;
}

static size_t results_offset(const struct remote_batch *b)
{
	return b->calls.nr * sizeof(struct blob_call);
}

static size_t data_offset(const struct remote_batch *b)
{
	size_t end = results_offset(b) + sizeof(struct blob_results) + b->calls.nr * sizeof(int64_t);

	return (end + 15) & ~15UL;
}

static void encode(const struct remote_batch *b, uint64_t room, struct buf *ret)
{
	uint64_t data = room + data_offset(b);

	for (size_t i = 0; i < b->calls.nr; i++) {
		const struct call *call = &b->calls.at[i];
		struct blob_call c = {.nr = call->nr, .may_fail = call->flags & REMOTE_MAY_FAIL};

		for (int k = 0; k < 6; k++) {
			c.arg[k] = call->arg[k].value + (call->arg[k].kind == RA_DATA ? data : 0);
			if (call->arg[k].kind == RA_RESULT)
				c.from_result |= 1U << k;
		}
		buf_put(ret, &c, sizeof(c));
	}
	put_zeroes(ret, data_offset(b) - results_offset(b));
	buf_put(ret, b->data.at, b->data.len_bytes);
	vec_each(p, &b->pointers) {
		uint64_t to = data + p->to;

		memcpy(ret->at + data_offset(b) + p->at, &to, sizeof(to));
	}
}

/* The order to run it: written last, and in one piece with the batch where the task's memory can be written
 * plainly. */
static int write_batch(struct remote *r, const struct remote_batch *b, const struct buf *bytes,
		       struct err *err)
{
	struct {
		uint64_t calls, results;
		uint32_t nr_calls, again;
	} head = {r->room, r->room + results_offset(b), b->calls.nr, 1};
	uint64_t head_at = r->area + offsetof(struct blob_area, calls);
	struct iovec here[] = {{bytes->at, bytes->len_bytes}, {&head, sizeof(head)}};
	struct iovec there[] = {{(void *)r->room, bytes->len_bytes}, {(void *)head_at, sizeof(head)}};
	ssize_t len_bytes = bytes->len_bytes + sizeof(head);

	_Static_assert(offsetof(struct blob_area, again) - offsetof(struct blob_area, calls) == 20, "layout");
	if (r->mm->writable && process_vm_writev(r->tid, here, 2, there, 2, 0) == len_bytes)
		return 0;
	if (area_mem_fd(r, err) < 0)
		return -1;
	if (pwrite(r->mm->mem_fd, bytes->at, bytes->len_bytes, r->room) != (ssize_t)bytes->len_bytes ||
	    pwrite(r->mm->mem_fd, &head, sizeof(head), head_at) != sizeof(head))
		return err_sys(err, "writing a batch to task %d", r->tid);
	return 0;
}

static int enter_blob(struct remote *r, struct err *err)
{
	struct remote_mm *mm = r->mm;
	const uint64_t arg[6] = {mm->main.start + AREA_CODE_BYTES,
				 mm->main.end - mm->main.start - AREA_CODE_BYTES, PROT_READ | PROT_WRITE};
	_free_ struct arch_regs *regs = NULL;

	if (r->in_loop)
		return 0;
	regs = mem_dup(r->own, arch_regs_bytes());
	arch_regs_prepare_jump(regs, mm->main.start + BLOB_ENTER, r->area_end, r->area);
	if (!mm->writable)
		arch_regs_prepare_call(regs, mm->main.start + BLOB_FIRST, SYS_mprotect, arg);
	if (arch_regs_set(r->tid, regs, err) < 0)
		return -1;
	r->away = true;
	if (stop_sigmask(r, ~0ULL, err) < 0)
		return -1;
	r->in_loop = mm->writable = true;
	return 0;
}

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP;
}

/* Up to a signal that may be the end of the batch. */
static int wait_for_signal(struct remote *r, struct err *err)
{
	struct stop stop;

	for (;;) {
		if (stop_wait(r, &stop, err) < 0)
			return -1;
		if (stop.kind == STOP_CHILD)
			r->child = stop.pid;
		if (stop.kind == STOP_SIGNAL && is_fault(stop.sig))
			return err_set(err, ERR_SYSTEM, "task %d: signal %d in our code", r->tid, stop.sig);
		if (stop.kind == STOP_SIGNAL && stop.sig != SIGSTOP)
			return 0;
		/* SIGSTOP cannot be blocked; delivered, it takes effect when the task is released */
		if (stop_resume(r, PTRACE_CONT, stop.kind == STOP_SIGNAL ? SIGSTOP : 0, err) < 0)
			return -1;
	}
}

static int read_back(struct remote *r, struct remote_batch *b, struct err *err)
{
	size_t len_bytes = data_offset(b) + b->data.len_bytes - results_offset(b);

	buf_clear(&b->out);
	if (remote_read(r, r->room + results_offset(b), buf_reserve(&b->out, len_bytes), len_bytes, err) < 0)
		return -1;
	b->out.len_bytes = len_bytes;
	b->out_data = data_offset(b) - results_offset(b);
	return 0;
}

/* Reads the results back when the batch has ended. Another signal than its own, that is ignored as well, is
 * dropped. */
static int wait_for_end(struct remote *r, struct remote_batch *b, struct err *err)
{
	const struct blob_results *got;

	for (;;) {
		if (wait_for_signal(r, err) < 0 || read_back(r, b, err) < 0)
			return -1;
		got = (const void *)b->out.at;
		if (got->ended != BLOB_RUNS)
			break;
		if (stop_resume(r, PTRACE_CONT, 0, err) < 0)
			return -1;
	}
	return got->ended == BLOB_ENDED_IGNORING ? stop_park(r, err) : 0;
}

static int judge(const struct remote *r, const struct remote_batch *b, struct err *err)
{
	const struct blob_results *got = (const void *)b->out.at;
	int64_t last;

	if (!got->nr_done || got->nr_done > b->calls.nr)
		return err_set(err, ERR_SYSTEM, "task %d did not run the batch", r->tid);
	last = got->result[got->nr_done - 1];
	if (last >= 0 || last < -4095 || b->calls.at[got->nr_done - 1].flags & REMOTE_MAY_FAIL)
		return 0;
	errno = -last;
	return err_sys(err, "%s", b->calls.at[got->nr_done - 1].what);
}

static int start(struct remote *r, const struct remote_batch *b, struct err *err)
{
	struct buf bytes = {0};
	int failed;

	if (r->gone)
		return err_set(err, ERR_SYSTEM, "task %d has ended", r->tid);
	if (area_make(r, err) < 0 || area_room(r, data_offset(b) + b->data.len_bytes, err) < 0)
		return -1;
	encode(b, r->room, &bytes);
	failed = write_batch(r, b, &bytes, err);
	buf_free(&bytes);
	if (failed || enter_blob(r, err) < 0)
		return -1;
	return stop_resume(r, PTRACE_CONT, 0, err);
}

int remote_batch_run(struct remote *r, struct remote_batch *b, struct err *err)
{
	b->out_data = 0;
	if (!b->calls.nr)
		return 0;
	if (start(r, b, err) < 0 || wait_for_end(r, b, err) < 0)
		return stop_explain(r, err);
	return judge(r, b, err);
}

int64_t remote_batch_result(const struct remote_batch *b, size_t call)
{
	const struct blob_results *got = (const void *)b->out.at;

	if (!b->out_data || call >= got->nr_done)
		return -ECANCELED;
	return got->result[call];
}

const void *remote_batch_out(const struct remote_batch *b, size_t data_at)
{
	return b->out_data ? b->out.at + b->out_data + data_at : b->data.at + data_at;
}

int remote_syscall(struct remote *r, long nr, size_t nr_args, const uint64_t *args, int64_t *ret,
		   struct err *err)
{
	struct remote_arg arg[6] = {0};

	if (!r->single)
		r->single = remote_batch_new();
	remote_batch_reset(r->single);
	for (size_t i = 0; i < MIN(nr_args, ARRAY_LEN(arg)); i++)
		arg[i] = ra_num(args[i]);
	remote_batch_call(r->single, "system call", REMOTE_MAY_FAIL, nr, ARRAY_LEN(arg), arg);
	if (remote_batch_run(r, r->single, err) < 0)
		return -1;
	*ret = remote_batch_result(r->single, 0);
	return 0;
}

void remote_exit(struct remote *r, int status)
{
	struct remote_batch *b = remote_batch_new();
	struct err ignored;

	remote_call(b, "exit_group", 0, SYS_exit_group, ra_num(status));
	if (start(r, b, &ignored) < 0)
		kill(r->tid, SIGKILL);
	r->gone = true; /* nothing is left to detach from */
	remote_batch_free(b);
}
