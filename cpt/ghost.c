// SPDX-License-Identifier: GPL-2.0-only
/* Files without a name: the image carries what they hold. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cpt/file.h"

#define OVERFLOW_ID 65534

static uint32_t id_in_ve(const struct cpt *c, uint32_t id)
{
	return id >= c->run.uid_base && id - c->run.uid_base < 65536 ? id - c->run.uid_base : OVERFLOW_ID;
}

static uint64_t hash_of(const struct stat *st)
{
	return idx_hash_u64(st->st_dev, st->st_ino);
}

/* The nearest directory above the lost name that is still there: the new file is made in it, so on the same
 * filesystem. */
static char *dir_above(struct cpt *c, const char *path)
{
	char *dir = mem_strdup(path);

	for (;;) {
		char *slash = strrchr(dir, '/');
		struct stat st;

		slash[slash == dir] = 0;
		if (slash == dir || (!cpt_reg_stat(c, dir, &st) && S_ISDIR(st.st_mode)))
			return dir;
	}
}

static void fill(struct cpt *c, struct ghost_obj *g, const struct stat *st)
{
	g->mode = st->st_mode;
	g->uid = id_in_ve(c, st->st_uid);
	g->gid = id_in_ve(c, st->st_gid);
	g->size_bytes = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	g->mtime_ns = st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec;
}

/* A descriptor of ours to read it by, whatever it was opened for. */
static int reopen(int fd, bool readable, int *ret_fd, struct err *err)
{
	char name[32];
	int new;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	new = open(name, (readable ? O_RDONLY : O_PATH) | O_CLOEXEC | O_NOATIME);
	if (new < 0 && errno == EPERM)
		new = open(name, (readable ? O_RDONLY : O_PATH) | O_CLOEXEC);
	if (new < 0)
		return err_sys(err, "open again");
	*ret_fd = new;
	return 0;
}

int cpt_ghost_of(struct cpt *c, int fd, const struct stat *st, const char *path, ghost_id *ret,
		 struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	uint64_t hash = hash_of(st);
	struct ghost_obj *g;
	int own = -1;

	for (uint32_t i = idx_first(&s->ghost_idx, hash); i != IDX_END; i = idx_next(&s->ghost_idx, i)) {
		if (s->ghosts.at[i].dev == st->st_dev && s->ghosts.at[i].ino == st->st_ino) {
			*ret = s->ghosts.at[i].id;
			return 0;
		}
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return err_set(err, ERR_CHECKPOINT,
			       "only regular files and directories can be carried without a name");
	if (reopen(fd, S_ISREG(st->st_mode), &own, err))
		return -1;
	g = vec_add(&c->m.ghosts);
	g->id = (ghost_id)c->m.ghosts.nr;
	g->dir = dir_above(c, path);
	fill(c, g, st);
	idx_add(&s->ghost_idx, hash);
	vec_push(&s->ghosts, ((struct cpt_ghost_known){st->st_dev, st->st_ino, g->id, own}));
	*ret = g->id;
	return 0;
}

int cpt_ghost_refresh(struct cpt *c, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(k, &s->ghosts) {
		struct stat st;

		if (fstat(k->fd, &st))
			return err_sys(err, "deleted file of %s", c->m.ghosts.at[k->id - 1].dir);
		fill(c, &c->m.ghosts.at[k->id - 1], &st);
	}
	return 0;
}

static int write_batch(struct cpt *c, int fd, uint64_t start, size_t nr_pages, size_t page_bytes,
		       struct err *err)
{
	uint8_t *room = img_pages_room(c->w, nr_pages, err);
	size_t len = nr_pages * page_bytes, done = 0;

	if (!room)
		return -1;
	while (done < len) {
		ssize_t n = pread(fd, room + done, len - done, (off_t)(start + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			break; /* the last page ends behind the file */
		done += (size_t)n;
	}
	memset(room + done, 0, len - done);
	return img_pages_commit(c->w, start, nr_pages, err);
}

/* Holes are not read: what is between SEEK_DATA and SEEK_HOLE. */
static int write_content(struct cpt *c, int fd, uint64_t size_bytes, struct err *err)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), at = 0;

	while (at < size_bytes) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;
		uint64_t end;

		if (data < 0 && errno == ENXIO)
			break; /* a hole up to the end */
		if (data < 0)
			data = (off_t)at;
		hole = lseek(fd, data, SEEK_HOLE);
		end = hole < 0 || (uint64_t)hole > size_bytes ? size_bytes : (uint64_t)hole;
		at = MAX(at, (uint64_t)data / page_bytes * page_bytes);
		while (at < end) {
			size_t nr = MIN((end - at + page_bytes - 1) / page_bytes, (uint64_t)IMG_BATCH_PAGES);

			if (write_batch(c, fd, at, nr, page_bytes, err))
				return -1;
			at += nr * page_bytes;
		}
	}
	return 0;
}

int cpt_ghost_write(struct cpt *c, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(k, &s->ghosts) {
		const struct ghost_obj *g = &c->m.ghosts.at[k->id - 1];

		if (!S_ISREG(g->mode) || !g->size_bytes)
			continue;
		if (img_pages_begin(c->w, PAGES_GHOST, g->id, err) ||
		    write_content(c, k->fd, g->size_bytes, err) || img_pages_end(c->w, err))
			return err_ctx(err, "deleted file of %s", g->dir);
	}
	return 0;
}
