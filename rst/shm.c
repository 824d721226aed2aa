// SPDX-License-Identifier: GPL-2.0-only
/* Shared memory objects: made here on first use, filled through a descriptor of ours, mapped by the tasks. */
#include "rst/mm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Newer than the headers of Debian 12. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#define MFD_EXEC	0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

static int make_memfd(const struct shm_obj *obj, struct err *err)
{
	/* without MFD_ALLOW_SEALING a memfd has F_SEAL_SEAL from the start */
	unsigned flags = MFD_CLOEXEC | (obj->seals == F_SEAL_SEAL ? 0 : MFD_ALLOW_SEALING);
	unsigned exec = obj->seals & F_SEAL_EXEC && !(obj->mode & 0111) ? MFD_NOEXEC_SEAL : MFD_EXEC;
	int fd = (int)syscall(SYS_memfd_create, obj->name ? obj->name : "", flags | exec);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = (int)syscall(SYS_memfd_create, obj->name ? obj->name : "", flags);
	return fd < 0 ? err_sys(err, "memfd_create") : fd;
}

/* Shared anonymous memory has no call that gives a descriptor; its mapping does. */
static int make_anon(uint64_t size_bytes, struct err *err)
{
	char path[80];
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	int fd;

	if (p == MAP_FAILED)
		return err_sys(err, "shared memory of %lu bytes", size_bytes);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		 (unsigned long)p + size_bytes);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err_sys(err, "shared memory: %s", path);
	munmap(p, size_bytes);
	return fd;
}

static int set_size(struct rst_shm *s, const struct shm_obj *obj, struct err *err)
{
	if (s->size_bytes == obj->size_bytes)
		return 0;
	if (obj->kind == SHM_SYSV)
		return err_set(err, ERR_IMAGE, "shared memory %u: a segment keeps its size", obj->id);
	if (ftruncate(s->fd, (off_t)obj->size_bytes))
		return err_sys(err, "shared memory %u: size %lu", obj->id, obj->size_bytes);
	s->size_bytes = obj->size_bytes;
	ranges_remove(&s->held, s->size_bytes, UINT64_MAX);
	return 0;
}

static int make(struct rst *r, const struct shm_obj *obj, struct rst_shm *s, struct err *err)
{
	if (obj->hugetlb || obj->gone || obj->kind < SHM_ANON || obj->kind > SHM_SYSV)
		return err_set(err, ERR_IMAGE, "shared memory %u is of an unknown kind", obj->id);
	if (obj->kind != SHM_MEMFD && !obj->size_bytes)
		return err_set(err, ERR_IMAGE, "shared memory %u has no size", obj->id);
	if (obj->kind == SHM_SYSV) {
		if (rst_sysv_make(r, obj, &s->fd, err))
			return err_ctx(err, "System V shared memory segment %u", obj->ipc_id);
	} else {
		s->fd = obj->kind == SHM_MEMFD ? make_memfd(obj, err) : make_anon(obj->size_bytes, err);
	}
	if (s->fd < 0)
		return -1;
	s->size_bytes = obj->kind == SHM_MEMFD ? 0 : obj->size_bytes;
	s->segment = obj->kind == SHM_SYSV;
	return set_size(s, obj, err);
}

static struct rst_shm *find(struct rst_mm_state *state, shm_id id)
{
	vec_each(s, &state->shms)
		if (s->id == id)
			return s;
	return NULL;
}

struct rst_shm *rst_shm_find(struct rst *r, shm_id id)
{
	struct rst_shm *s = r->mm ? find(r->mm, id) : NULL;

	return s && s->fd >= 0 ? s : NULL;
}

static int shm_get(struct rst *r, shm_id id, struct rst_shm **ret, struct err *err)
{
	const struct shm_obj *obj = model_shm(&r->m, id);
	struct rst_mm_state *state;
	struct rst_shm *s;

	if (!obj)
		return err_set(err, ERR_IMAGE, "there is no shared memory %u", id);
	if (rst_mm_state(r, &state, err))
		return -1;
	s = find(state, id);
	if (!s) {
		s = vec_add(&state->shms);
		*s = (struct rst_shm){.id = id, .fd = -1, .read_only_fd = -1};
	}
	if (s->fd < 0 ? make(r, obj, s, err) : set_size(s, obj, err))
		return -1;
	*ret = s;
	return 0;
}

int rst_mm_shm_fd(struct rst *r, shm_id id, int *ret_fd, struct err *err)
{
	struct rst_shm *s;

	if (shm_get(r, id, &s, err))
		return -1;
	*ret_fd = s->fd;
	return 0;
}

int rst_shm_for_map(struct rst *r, shm_id id, bool writable, int *ret_fd, struct err *err)
{
	char path[32];
	struct rst_shm *s;

	if (shm_get(r, id, &s, err))
		return -1;
	if (!writable && s->read_only_fd < 0) {
		/* a mapping of a descriptor that can write would keep F_SEAL_WRITE from being set
		 * (mm/memfd.c) */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
		s->read_only_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (s->read_only_fd < 0)
			return err_sys(err, "shared memory %u", id);
	}
	*ret_fd = writable ? s->fd : s->read_only_fd;
	return 0;
}

/* --- content --- */

/* Behind the end of a segment, but on its last page, which tasks see whole (cpt/shm.c). */
static int write_tail(const struct rst_shm *s, uint64_t at, const uint8_t *data, uint64_t len,
		      struct err *err)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), skip = s->size_bytes % page_bytes;
	uint8_t *page;

	if (!skip || at + len <= s->size_bytes)
		return 0;
	page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd,
		    (off_t)(s->size_bytes - skip));
	if (page == MAP_FAILED)
		return err_sys(err, "its last page");
	memcpy(page + skip, data + (s->size_bytes - at), page_bytes - skip);
	munmap(page, page_bytes);
	return 0;
}

static int write_all(const struct rst_shm *s, uint64_t at, const uint8_t *data, uint64_t len, struct err *err)
{
	if (s->segment && at < s->size_bytes && write_tail(s, at, data, len, err))
		return -1;
	len = at < s->size_bytes ? MIN(len, s->size_bytes - at) : 0;
	while (len) {
		ssize_t n = pwrite(s->fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, "write");
		at += (uint64_t)n;
		data += n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int one_run(struct rst_shm *s, const struct pages_run *run, const uint8_t **data, struct err *err)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), len = run->nr_pages * page_bytes,
		 end = run->start + len;

	if (run->start % page_bytes || run->start > RST_ADDRESS_END ||
	    run->nr_pages > RST_ADDRESS_END / page_bytes)
		return err_set(err, ERR_IMAGE, "pages at %lx: impossible", run->start);
	switch (run->kind) {
	case PAGES_DATA:
		if (end > (s->size_bytes + page_bytes - 1) / page_bytes * page_bytes)
			return err_set(err, ERR_IMAGE, "pages %lx-%lx are behind its end", run->start, end);
		ranges_add(&s->held, run->start, end);
		*data += len;
		return write_all(s, run->start, *data - len, len, err);
	case PAGES_ZERO:
	case PAGES_DROP:
		if (ranges_touch(&s->held, run->start, end) &&
		    fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)run->start,
			      (off_t)len))
			return err_sys(err, "hole");
		ranges_remove(&s->held, run->start, end);
		return 0;
	default:
		return err_set(err, ERR_IMAGE, "pages %lx: kind %d", run->start, run->kind);
	}
}

int rst_shm_pages(struct rst *r, const struct img_pages *p, struct err *err)
{
	const uint8_t *data = p->data;
	struct rst_shm *s;

	if (shm_get(r, p->id, &s, err))
		return -1;
	for (size_t i = 0; i < p->nr_runs; i++)
		if (one_run(s, &p->runs[i], &data, err))
			return err_ctx(err, "shared memory %u", p->id);
	return 0;
}

/* --- the end --- */

int rst_shm_finish(struct rst *r, struct err *err)
{
	vec_each(obj, &r->m.shms) {
		struct rst_shm *s;
		uint32_t seals = obj->seals & ~(uint32_t)F_SEAL_SEAL;

		if (obj->gone)
			continue;
		if (shm_get(r, obj->id, &s, err))
			return -1;
		if (obj->kind == SHM_SYSV) {
			if (rst_sysv_finish(r, obj, err))
				return err_ctx(err, "System V shared memory segment %u", obj->ipc_id);
			continue;
		}
		if (fchown(s->fd, obj->uid + r->run.uid_base, obj->gid + r->run.uid_base) ||
		    fchmod(s->fd, obj->mode & 07777))
			return err_sys(err, "shared memory %u: owner and mode", obj->id);
		if (obj->kind != SHM_MEMFD || !seals)
			continue;
		if (fcntl(s->fd, F_ADD_SEALS, obj->seals))
			return err_sys(err, "shared memory %u (%s): seals", obj->id, obj->name);
	}
	return 0;
}

void rst_shm_free(struct rst *r)
{
	vec_each(s, &r->mm->shms) {
		if (s->fd >= 0)
			close(s->fd);
		if (s->read_only_fd >= 0)
			close(s->read_only_fd);
		ranges_free(&s->held);
	}
	vec_free(&r->mm->shms);
}
