// SPDX-License-Identifier: GPL-2.0-only
/* Files without a name: made anew without one, in the directory they were in, then filled from the image. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "rst/file.h"
#include "rst/owner.h"

/* A name nobody has, for filesystems that cannot make nameless files, and for directories. */
static int make_and_unlink(int dir, const struct ghost_obj *g, int *ret_fd, struct err *err)
{
	_free_ char *name = mem_printf(".verst-%d-%u", getpid(), g->id);
	_fd_ int fd = -1;

	if (S_ISDIR(g->mode)) {
		if (mkdirat(dir, name, 0700))
			return err_sys(err, "mkdir");
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	} else {
		fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	if (fd < 0)
		err_sys(err, "%s", name);
	if (unlinkat(dir, name, S_ISDIR(g->mode) ? AT_REMOVEDIR : 0) && fd >= 0)
		return err_sys(err, "%s", name);
	if (fd < 0)
		return -1;
	*ret_fd = fd_take(&fd);
	return 0;
}

static int make_nameless(int dir, const struct ghost_obj *g, int *ret_fd, struct err *err)
{
	int fd = -1;

	if (S_ISREG(g->mode)) {
		fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
			return err_sys(err, "O_TMPFILE");
	}
	if (fd < 0)
		return make_and_unlink(dir, g, ret_fd, err);
	*ret_fd = fd;
	return 0;
}

static int make(struct rst *r, const struct ghost_obj *g, int *ret_fd, struct err *err)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_fd_ int dir = (int)syscall(SYS_openat2, r->run.root_fd, g->dir, &how, sizeof(how));
	unsigned uid = r->run.uid_base + g->uid, gid = r->run.uid_base + g->gid;
	_fd_ int fd = -1;
	_rst_owner_ struct rst_owner owner = RST_OWNER_NONE;
	int ret;

	if (dir < 0)
		return err_sys(err, "directory %s", g->dir);
	if (rst_owner_become(r, g->uid, g->gid, &owner, err))
		return -1;
	ret = make_nameless(dir, g, &fd, err);
	rst_owner_leave(&owner);
	if (ret)
		return err_ctx(err, "in %s", g->dir);
	if (fchown(fd, uid, gid) || fchmod(fd, g->mode & 07777) ||
	    (S_ISREG(g->mode) && ftruncate(fd, (off_t)g->size_bytes)))
		return err_sys(err, "in %s", g->dir);
	*ret_fd = fd_take(&fd);
	return 0;
}

int rst_ghost_fd(struct rst *r, ghost_id id, int *ret_fd, struct err *err)
{
	struct rst_file_state *s = rst_file_state(r);
	const struct ghost_obj *g = model_ghost(&r->m, id);
	struct rst_ghost new = {.id = id};

	vec_each(known, &s->ghosts) {
		if (known->id == id) {
			*ret_fd = known->fd;
			return 0;
		}
	}
	if (!g || (!S_ISREG(g->mode) && !S_ISDIR(g->mode)))
		return err_set(err, ERR_IMAGE, "file without a name %u does not exist, or is none", id);
	if (make(r, g, &new.fd, err))
		return -1;
	vec_push(&s->ghosts, new);
	*ret_fd = new.fd;
	return 0;
}

static int write_run(int fd, const struct ghost_obj *g, uint64_t start, const uint8_t *data,
		     uint64_t len_bytes, struct err *err)
{
	uint64_t done = 0;

	/* the last page ends behind the file */
	len_bytes = MIN(len_bytes, g->size_bytes - start);
	while (done < len_bytes) {
		ssize_t n = pwrite(fd, data + done, len_bytes - done, (off_t)(start + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, "write");
		done += (uint64_t)n;
	}
	return 0;
}

int rst_ghost_pages(struct rst *r, const struct img_pages *p, struct err *err)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct ghost_obj *g = model_ghost(&r->m, p->id);
	const uint8_t *data = p->data;
	int fd;

	if (!g || !S_ISREG(g->mode))
		return err_set(err, ERR_IMAGE, "pages of a file without a name, %u, that does not exist",
			       p->id);
	if (rst_ghost_fd(r, p->id, &fd, err))
		return err_ctx(err, "deleted file %u", p->id);
	/* its size may have become known only now */
	if (ftruncate(fd, (off_t)g->size_bytes))
		return err_sys(err, "deleted file of %s", g->dir);
	for (size_t i = 0; i < p->nr_runs; i++) {
		const struct pages_run *run = &p->runs[i];

		if (run->kind == PAGES_INHERIT || run->start >= g->size_bytes)
			return err_set(err, ERR_IMAGE, "deleted file of %s: pages it cannot have", g->dir);
		if (run->kind != PAGES_DATA)
			continue; /* a hole */
		if (write_run(fd, g, run->start, data, run->nr_pages * page_bytes, err))
			return err_ctx(err, "deleted file of %s", g->dir);
		data += run->nr_pages * page_bytes;
	}
	return 0;
}

int rst_ghost_finish(struct rst *r, struct err *err)
{
	struct rst_file_state *s = rst_file_state(r);

	vec_each(known, &s->ghosts) {
		const struct ghost_obj *g = model_ghost(&r->m, known->id);
		struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					    {g->mtime_ns / 1000000000, g->mtime_ns % 1000000000}};
		int place;

		if (S_ISREG(g->mode) && ftruncate(known->fd, (off_t)g->size_bytes))
			return err_sys(err, "deleted file of %s", g->dir);
		if (futimens(known->fd, times))
			return err_sys(err, "time of a deleted file of %s", g->dir);
		/* an executable must not be open for writing by anyone */
		if (rst_reg_again(known->fd, O_PATH, &place, err))
			return err_ctx(err, "deleted file of %s", g->dir);
		close(known->fd);
		known->fd = place;
	}
	return 0;
}
