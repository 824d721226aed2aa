// SPDX-License-Identifier: GPL-2.0-only
/* All descriptors of a process in one read: what readlink, fcntl, lseek and fdinfo would tell one by one. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define PATH_BYTES 4096

/* As kernel/filewalk.c has it. */
struct filewalk_record {
	__u64 file; /* the same for the same open file */
	__u64 pos;
	__u32 fd, flags;
	__u8 cloexec, locks; /* locks: the file, whoever opened it, has or had some */
	__u16 path_bytes;    /* with its NUL; 0: it is too long */
	__u32 reserved;
	char path[PATH_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct filewalk_record);
} scratch SEC(".maps");

static bool is_cloexec(struct task_struct *task, __u32 fd)
{
	unsigned long *bits = BPF_CORE_READ(task, files, fdt, close_on_exec), word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), bits + fd / (8 * sizeof(word)));
	return word >> fd % (8 * sizeof(word)) & 1;
}

static bool is_empty(const struct list_head *list)
{
	return BPF_CORE_READ(list, next) == list;
}

static bool has_locks(struct file *file)
{
	struct file_lock_context *c = BPF_CORE_READ(file, f_inode, i_flctx);

	return c && !(is_empty(&c->flc_flock) && is_empty(&c->flc_posix) && is_empty(&c->flc_lease));
}

SEC("iter/task_file")
int filewalk(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct filewalk_record *r;
	__u32 zero = 0;
	long len;

	if (!task || !file)
		return 0;
	r = bpf_map_lookup_elem(&scratch, &zero);
	if (!r)
		return 0;
	r->file = (__u64)file;
	r->pos = (__u64)file->f_pos;
	r->fd = ctx->fd;
	r->flags = file->f_flags;
	r->cloexec = is_cloexec(task, ctx->fd);
	r->locks = has_locks(file);
	r->reserved = 0;
	len = bpf_d_path((struct path *)&file->f_path, r->path, sizeof(r->path));
	if (len < 0 || len > PATH_BYTES - 1)
		len = 0;
	r->path_bytes = (__u16)len;
	bpf_seq_write(ctx->meta->seq, r,
		      __builtin_offsetof(struct filewalk_record, path) + (len & (PATH_BYTES - 1)));
	return 0;
}
