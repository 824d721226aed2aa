// SPDX-License-Identifier: GPL-2.0-only
/* What a process undoes of System V semaphores when it ends. No system call tells that. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define MAX_SETS 4096
#define MAX_SEMS 32000 /* SEMMSL of include/uapi/linux/sem.h */

/* As kernel/semundo.c has it. */
struct semundo_record {
	__u64 list; /* the same for who shares it */
	__u32 tid;  /* of the host */
	__u32 id, nr;
	__s32 adjust; /* nr and adjust 0 in one with the id ~0: there were more sets than can be looked at */
};

/* How many semaphores each set has. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, __u32);
} sizes SEC(".maps");

/* In other versions of Linux it is a pointer to what lies behind the struct. */
struct sem_undo___pointer {
	short *semadj;
} __attribute__((preserve_access_index));

static const short *adjustments(struct sem_undo *undo)
{
	if (bpf_core_field_exists(((struct sem_undo___pointer *)undo)->semadj))
		return BPF_CORE_READ((struct sem_undo___pointer *)undo, semadj);
	return (void *)undo + bpf_core_field_offset(struct sem_undo, semadj);
}

struct walk {
	struct seq_file *seq;
	const short *adjust;
	struct semundo_record r;
};

static long one_semaphore(__u64 i, void *arg)
{
	struct walk *w = arg;
	short adjust = 0;

	bpf_probe_read_kernel(&adjust, sizeof(adjust), w->adjust + i);
	if (adjust) {
		w->r.nr = (__u32)i;
		w->r.adjust = adjust;
		bpf_seq_write(w->seq, &w->r, sizeof(w->r));
	}
	return 0;
}

struct sets {
	struct seq_file *seq;
	struct list_head *head, *at;
	__u64 list;
	__u32 tid;
};

static struct list_head *next_of(const struct list_head *at)
{
	return BPF_CORE_READ(at, next);
}

static long one_set(__u64 i, void *arg)
{
	struct sets *s = arg;
	struct walk w = {.seq = s->seq};
	struct sem_undo *undo;
	__u32 id, *size;

	if (s->at == s->head || !s->at)
		return 1;
	undo = (void *)s->at - bpf_core_field_offset(struct sem_undo, list_proc);
	id = (__u32)BPF_CORE_READ(undo, semid);
	w.adjust = adjustments(undo);
	w.r.list = s->list;
	w.r.tid = s->tid;
	w.r.id = id;
	size = bpf_map_lookup_elem(&sizes, &id);
	if (size && *size <= MAX_SEMS)
		bpf_loop(*size, one_semaphore, &w, 0);
	s->at = next_of(s->at);
	return 0;
}

SEC("iter/task")
int semundo(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct sem_undo_list *list;
	struct sets s = {.seq = ctx->meta->seq};

	if (!task)
		return 0;
	list = BPF_CORE_READ(task, sysvsem.undo_list);
	if (!list)
		return 0;
	s.list = (__u64)list;
	s.tid = task->pid;
	s.head = (void *)list + bpf_core_field_offset(struct sem_undo_list, list_proc);
	s.at = next_of(s.head);
	bpf_loop(MAX_SETS, one_set, &s, 0);
	if (s.at != s.head) {
		struct semundo_record more = {.list = s.list, .tid = s.tid, .id = ~0u};

		bpf_seq_write(ctx->meta->seq, &more, sizeof(more));
	}
	return 0;
}
