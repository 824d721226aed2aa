// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/filewalk.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>

#include "kernel/bpf/filewalk.skel.h"

#define READ_BYTES (256u << 10)

/* As kernel/bpf/filewalk.bpf.c has it. */
struct record {
	uint64_t file, pos;
	uint32_t fd, flags;
	uint8_t cloexec, locks;
	uint16_t path_bytes;
	uint32_t reserved;
	char path[];
};

struct filewalk {
	struct filewalk_bpf *bpf;
	struct buf text; /* records as they were read */
};

int filewalk_new(struct filewalk **ret, struct err *err)
{
	struct filewalk_bpf *bpf = filewalk_bpf__open_and_load();
	struct filewalk *w;

	if (!bpf)
		return err_set(err, ERR_KERNEL, "the iterator of open files cannot be loaded: %s",
			       strerror(errno));
	w = mem_new(struct filewalk);
	w->bpf = bpf;
	*ret = w;
	return 0;
}

void filewalk_free(struct filewalk *w)
{
	if (!w)
		return;
	filewalk_bpf__destroy(w->bpf);
	buf_free(&w->text);
	free(w);
}

static int open_walk(struct filewalk *w, int pidfd, struct err *err)
{
	union bpf_iter_link_info info = {.task = {.pid_fd = (uint32_t)pidfd}};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &info, .iter_info_len = sizeof(info));
	_fd_ int link = bpf_link_create(bpf_program__fd(w->bpf->progs.filewalk), 0, BPF_TRACE_ITER, &opts);
	int fd;

	if (link < 0)
		return err_sys(err, "iterator of open files");
	fd = bpf_iter_create(link);
	return fd < 0 ? err_sys(err, "iterator of open files") : fd;
}

static int read_all(struct filewalk *w, int fd, struct err *err)
{
	buf_clear(&w->text);
	for (;;) {
		ssize_t n = read(fd, buf_reserve(&w->text, READ_BYTES), READ_BYTES);

		if (n < 0 && (errno == EAGAIN ||
			      errno == EINTR)) /* bpf_seq_read: after so many records without output */
			continue;
		if (n < 0)
			return err_sys(err, "iterator of open files");
		if (n == 0)
			return 0;
		w->text.len_bytes += (size_t)n;
	}
}

int filewalk_read(struct filewalk *w, int pidfd, filewalk_entries *ret, struct err *err)
{
	_fd_ int fd = open_walk(w, pidfd, err);

	if (fd < 0 || read_all(w, fd, err))
		return -1;
	ret->nr = 0;
	for (size_t at = 0; at + sizeof(struct record) <= w->text.len_bytes;) {
		struct record r;

		memcpy(&r, w->text.at + at, sizeof(r)); /* paths leave what follows at any address */
		at += sizeof(r);
		if (r.path_bytes > w->text.len_bytes - at)
			return err_set(err, ERR_SYSTEM, "iterator of open files: a record is cut");
		vec_push(ret, ((struct filewalk_entry){
				      .file = r.file,
				      .pos = r.pos,
				      .fd = r.fd,
				      .flags = r.flags,
				      .cloexec = r.cloexec,
				      .maybe_locked = r.locks,
				      .path = r.path_bytes ? (const char *)w->text.at + at : NULL,
			      }));
		at += r.path_bytes;
	}
	return 0;
}
