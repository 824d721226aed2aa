// SPDX-License-Identifier: GPL-2.0-only
/* The memory of a task. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/uio.h>
#include <unistd.h>

#include "remote/internal.h"

int area_mem_fd(struct remote *r, struct err *err)
{
	_free_ char *path = NULL;

	if (r->mm->mem_fd >= 0)
		return r->mm->mem_fd;
	path = mem_printf("/proc/%d/mem", r->tid);
	r->mm->mem_fd = open(path, O_RDWR | O_CLOEXEC);
	if (r->mm->mem_fd < 0)
		return err_sys(err, "%s", path);
	return r->mm->mem_fd;
}

typedef ssize_t vm_fn(pid_t pid, const struct iovec *here, unsigned long nr_here, const struct iovec *there,
		      unsigned long nr_there, unsigned long flags);

/* As much as goes by process_vm_*; the number of bytes. */
static size_t by_vm(struct remote *r, vm_fn *fn, uint64_t addr, char *p, size_t len_bytes)
{
	size_t done = 0;

	while (done < len_bytes) {
		struct iovec here = {p + done, len_bytes - done},
			     there = {(void *)(addr + done), len_bytes - done};
		ssize_t got = fn(r->tid, &here, 1, &there, 1, 0);

		if (got <= 0)
			break;
		done += got;
	}
	return done;
}

int remote_read(struct remote *r, uint64_t addr, void *p, size_t len_bytes, struct err *err)
{
	size_t done = by_vm(r, process_vm_readv, addr, p, len_bytes);

	while (done < len_bytes) {
		ssize_t got = area_mem_fd(r, err) < 0
				      ? -1
				      : pread(r->mm->mem_fd, (char *)p + done, len_bytes - done, addr + done);

		if (got == 0)
			errno = EFAULT;
		if (got <= 0)
			return err_sys(err, "reading %#" PRIx64 " of task %d", addr + done, r->tid);
		done += got;
	}
	return 0;
}

int remote_write(struct remote *r, uint64_t addr, const void *p, size_t len_bytes, struct err *err)
{
	size_t done = by_vm(r, process_vm_writev, addr, (char *)p, len_bytes);

	while (done < len_bytes) {
		ssize_t put = area_mem_fd(r, err) < 0 ? -1
						      : pwrite(r->mm->mem_fd, (const char *)p + done,
							       len_bytes - done, addr + done);

		if (put <= 0)
			return err_sys(err, "writing %#" PRIx64 " of task %d", addr + done, r->tid);
		done += put;
	}
	return 0;
}
