// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/semundo.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>

#include "kernel/bpf/semundo.skel.h"

#define READ_BYTES (64u << 10)

struct semundo {
	struct semundo_bpf *bpf;
};

int semundo_new(struct semundo **ret, struct err *err)
{
	struct semundo_bpf *bpf = semundo_bpf__open_and_load();

	if (!bpf)
		return err_set(err, ERR_KERNEL, "the iterator of semaphore adjustments cannot be loaded: %s",
			       strerror(errno));
	*ret = mem_new(struct semundo);
	(*ret)->bpf = bpf;
	return 0;
}

void semundo_free(struct semundo *w)
{
	if (!w)
		return;
	semundo_bpf__destroy(w->bpf);
	free(w);
}

int semundo_add_set(struct semundo *w, uint32_t id, uint32_t nr, struct err *err)
{
	if (bpf_map_update_elem(bpf_map__fd(w->bpf->maps.sizes), &id, &nr, BPF_ANY))
		return err_sys(err, "semaphore set %u", id);
	return 0;
}

static int open_walk(struct semundo *w, int pidfd, struct err *err)
{
	union bpf_iter_link_info info = {.task = {.pid_fd = (uint32_t)pidfd}};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &info, .iter_info_len = sizeof(info));
	_fd_ int link = bpf_link_create(bpf_program__fd(w->bpf->progs.semundo), 0, BPF_TRACE_ITER, &opts);
	int fd = link < 0 ? -1 : bpf_iter_create(link);

	return fd < 0 ? err_sys(err, "iterator of semaphore adjustments") : fd;
}

/* As kernel/bpf/semundo.bpf.c has it. */
static int take(const struct semundo_entry *e, semundo_entries *ret, struct err *err)
{
	if (e->id == UINT32_MAX)
		return err_set(err, ERR_CHECKPOINT, "it undoes what it did to too many sets of semaphores");
	vec_push(ret, *e);
	return 0;
}

static int read_all(int fd, struct buf *text, struct err *err)
{
	for (;;) {
		ssize_t n = read(fd, buf_reserve(text, READ_BYTES), READ_BYTES);

		if (n < 0 &&
		    (errno == EAGAIN || errno == EINTR)) /* bpf_seq_read: after so many without output */
			continue;
		if (n < 0)
			return err_sys(err, "iterator of semaphore adjustments");
		if (n == 0)
			return 0;
		text->len_bytes += (size_t)n;
	}
}

int semundo_read(struct semundo *w, int pidfd, semundo_entries *ret, struct err *err)
{
	_fd_ int fd = open_walk(w, pidfd, err);
	struct buf text = {0};
	int result = fd < 0 ? -1 : read_all(fd, &text, err);

	for (size_t at = 0; !result && at + sizeof(struct semundo_entry) <= text.len_bytes;
	     at += sizeof(struct semundo_entry)) {
		struct semundo_entry e;

		memcpy(&e, text.at + at, sizeof(e));
		result = take(&e, ret, err);
	}
	buf_free(&text);
	return result;
}
