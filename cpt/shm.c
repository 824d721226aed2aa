// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared memory objects: shared anonymous memory and memfds. They can be written through any of their
 * mappings, by processes that come and go between two rounds, by write(2) and by fallocate(2): no set of
 * tracked mappings sees all of that. So what was sent is remembered as a hash of every page, and a round
 * sends the pages whose hash is another one.
 */
#include "cpt/mm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

#define CHUNK_PAGES 512u
#define READ_PAGES  128u

struct hash_chunk {
	XXH128_hash_t at[CHUNK_PAGES];
};

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct cpt_shm *find(const struct cpt *c, dev_t dev, ino_t ino)
{
	vec_each(s, &c->mm->shms)
		if ((*s)->dev == dev && (*s)->ino == ino && !(*s)->segment)
			return *s;
	return NULL;
}

/* fd is taken over. link: its name, of which " (deleted)" is no part. */
static struct cpt_shm *add(struct cpt *c, int fd, const struct stat *st, const char *link)
{
	struct cpt_shm *s = mem_new(struct cpt_shm);
	struct shm_obj *obj = vec_add(&c->m.shms);
	size_t len = strlen(link), tail = strlen(" (deleted)");

	if (len > tail && !strcmp(link + len - tail, " (deleted)"))
		len -= tail;
	*s = (struct cpt_shm){.id = (shm_id)c->m.shms.nr, .dev = st->st_dev, .ino = st->st_ino, .fd = fd};
	obj->id = s->id;
	if (!strncmp(link, "/memfd:", 7)) {
		obj->kind = SHM_MEMFD;
		obj->name = mem_printf("%.*s", (int)len - 7, link + 7);
	} else {
		obj->kind = SHM_ANON;
		obj->name = mem_strdup("");
	}
	vec_push(&c->mm->shms, s);
	return s;
}

struct shm_obj *cpt_shm_add_segment(struct cpt *c, int fd, const struct stat *st, uint32_t ipc_id)
{
	struct cpt_shm *s = add(c, fd, st, "");
	struct shm_obj *obj = &c->m.shms.at[s->id - 1];

	s->segment = true;
	obj->kind = SHM_SYSV;
	obj->ipc_id = ipc_id;
	return obj;
}

int cpt_shm_of_mapping(struct cpt *c, const struct cpt_task *t, const struct map *m, shm_id *ret,
		       struct err *err)
{
	struct cpt_shm *s = find(c, m->dev, m->ino);
	char path[64], link[512];
	_fd_ int fd = -1;
	struct stat st;
	ssize_t n;

	if (s) {
		*ret = s->id;
		return 0;
	}
	snprintf(path, sizeof(path), "map_files/%lx-%lx", m->start, m->end);
	n = readlinkat(t->proc_fd, path, link, sizeof(link) - 1);
	if (n < 0)
		return err_sys(err, "%s", path);
	link[n] = 0;
	fd = openat(t->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(err, "%s (%s)", path, link);
	if (st.st_dev != m->dev || st.st_ino != m->ino) { /* another mapping by now */
		errno = ENOENT;
		return err_sys(err, "%s", path);
	}
	*ret = add(c, fd_take(&fd), &st, link)->id;
	return 0;
}

int cpt_mm_shm_of_fd(struct cpt *c, int fd, const struct stat *st, shm_id *ret, struct err *err)
{
	struct cpt_shm *s = find(c, st->st_dev, st->st_ino);
	char path[32], link[512];
	_fd_ int own = -1;
	ssize_t n;

	if (s) {
		*ret = s->id;
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return err_sys(err, "%s", path);
	link[n] = 0;
	own = open(path, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return err_sys(err, "%s (%s)", path, link);
	s = add(c, fd_take(&own), st, link);
	*ret = s->id;
	return cpt_shm_refresh(c, err);
}

int cpt_shm_refresh(struct cpt *c, struct err *err)
{
	vec_each(at, &c->mm->shms) {
		struct cpt_shm *s = *at;
		struct shm_obj *obj = &c->m.shms.at[s->id - 1];
		struct stat st;
		int seals = fcntl(s->fd, F_GET_SEALS);

		if (fstat(s->fd, &st))
			return err_sys(err, "shared memory %u", s->id);
		obj->size_bytes = (uint64_t)st.st_size;
		if (s->segment) /* the rest is in the list of segments */
			continue;
		obj->mode = st.st_mode & 07777;
		obj->uid = st.st_uid - c->run.uid_base;
		obj->gid = st.st_gid - c->run.uid_base;
		obj->seals = obj->kind == SHM_MEMFD && seals > 0 ? (uint32_t)seals : 0;
	}
	return 0;
}

/* Its first record came with those of the files; another one if it changed since. */
static int put_changed(struct cpt *c, struct cpt_shm *s, struct err *err)
{
	const struct shm_obj *obj = &c->m.shms.at[s->id - 1];
	bool first = !s->put.id;
	bool same = s->put.size_bytes == obj->size_bytes && s->put.seals == obj->seals &&
		    s->put.mode == obj->mode && s->put.uid == obj->uid && s->put.gid == obj->gid &&
		    s->put.dest == obj->dest && s->put.locked == obj->locked && s->put.gone == obj->gone;

	s->put = *obj;
	return first || same ? 0 : img_put_shm(c->w, obj, err);
}

int cpt_shm_write_gone(struct cpt *c, struct err *err)
{
	vec_each(s, &c->mm->shms)
		if ((*s)->put.id && c->m.shms.at[(*s)->id - 1].gone && put_changed(c, *s, err))
			return -1;
	return 0;
}

/* --- pages --- */

/* The parts of it that exist, in whole pages. */
static int present(const struct cpt_shm *s, uint64_t size_bytes, struct ranges *ret, struct err *err)
{
	uint64_t mask = page_size() - 1;

	for (off_t at = 0; (uint64_t)at < size_bytes;) {
		off_t data = lseek(s->fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(s->fd, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(err, "shared memory %u: holes", s->id);
		ranges_append(ret, (uint64_t)data & ~mask, ((uint64_t)hole + mask) & ~mask);
		at = hole;
	}
	return 0;
}

static XXH128_hash_t *hash_at(struct cpt_shm *s, uint64_t page)
{
	size_t chunk = (size_t)(page / CHUNK_PAGES);

	while (s->hashes.nr <= chunk)
		vec_push(&s->hashes, (struct hash_chunk *)NULL);
	if (!s->hashes.at[chunk])
		s->hashes.at[chunk] = mem_new(struct hash_chunk);
	return &s->hashes.at[chunk]->at[page % CHUNK_PAGES];
}

/* Remembers the page; true if the other side has just that. A page that was never hashed has 0, which no page
 * hashes to. */
static bool unchanged(struct cpt_shm *s, uint64_t offset, const void *page)
{
	XXH128_hash_t *slot = hash_at(s, offset / page_size()), hash = XXH3_128bits(page, page_size());
	bool same = XXH128_isEqual(*slot, hash) && ranges_cover(&s->held, offset, offset + page_size());

	*slot = hash;
	return same;
}

/* Of a segment, tasks see the last page whole; read(2) ends with its size. */
static void read_tail(const struct cpt_shm *s, uint64_t at, uint8_t *to, size_t len_bytes)
{
	size_t skip = at % page_size(), len = MIN(len_bytes, page_size() - skip);
	const uint8_t *page;

	if (!s->segment || !skip || !len)
		return;
	page = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, s->fd, (off_t)(at - skip));
	if (page == MAP_FAILED)
		return;
	memcpy(to, page + skip, len);
	munmap((void *)page, page_size());
}

static void read_at(const struct cpt_shm *s, uint64_t offset, void *to, size_t len_bytes)
{
	size_t got = 0;

	while (got < len_bytes) {
		ssize_t n = pread(s->fd, (uint8_t *)to + got, len_bytes - got, (off_t)(offset + got));

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	memset((uint8_t *)to + got, 0, len_bytes - got); /* behind the end there is nothing */
	read_tail(s, offset + got, (uint8_t *)to + got, len_bytes - got);
}

static int send_block(struct cpt *c, const struct cpt_shm *s, uint64_t offset, size_t nr_pages,
		      struct err *err)
{
	void *room = img_pages_room(c->w, nr_pages, err);

	if (!room)
		return -1;
	read_at(s, offset, room, nr_pages * page_size());
	return img_pages_commit(c->w, offset, nr_pages, err);
}

static int send_run(struct cpt *c, uint64_t offset, const uint8_t *pages, size_t nr_pages, struct err *err)
{
	void *room = nr_pages ? img_pages_room(c->w, nr_pages, err) : NULL;

	if (!nr_pages)
		return 0;
	if (!room)
		return -1;
	memcpy(room, pages, nr_pages * page_size());
	return img_pages_commit(c->w, offset, nr_pages, err);
}

/* The runs of pages whose hash is another one. */
static int send_changed(struct cpt *c, struct cpt_shm *s, uint64_t offset, size_t nr_pages, uint8_t *buf,
			struct err *err)
{
	size_t page_bytes = page_size(), first = 0;

	read_at(s, offset, buf, nr_pages * page_bytes);
	for (size_t i = 0; i < nr_pages; i++) {
		if (!unchanged(s, offset + i * page_bytes, buf + i * page_bytes))
			continue;
		if (send_run(c, offset + first * page_bytes, buf + first * page_bytes, i - first, err))
			return -1;
		first = i + 1;
	}
	return send_run(c, offset + first * page_bytes, buf + first * page_bytes, nr_pages - first, err);
}

static int send_pages(struct cpt *c, struct cpt_shm *s, const struct ranges *now, struct verst_round *ret,
		      struct err *err)
{
	uint64_t page_bytes = page_size(), most = READ_PAGES * page_bytes;
	/* without an earlier or a later round there is nothing to compare */
	bool compare = !c->frozen || s->held.list.nr;
	_free_ uint8_t *buf = compare ? mem_alloc(most) : NULL;

	vec_each(r, &now->list) {
		ret->scanned_pages += (r->end - r->start) / page_bytes;
		for (uint64_t at = r->start; at < r->end; at += most) {
			size_t nr = MIN(r->end - at, most) / page_bytes;

			if (compare ? send_changed(c, s, at, nr, buf, err) : send_block(c, s, at, nr, err))
				return -1;
		}
	}
	return 0;
}

static int send_drops(struct cpt *c, const struct ranges *drops, struct err *err)
{
	vec_each(r, &drops->list)
		if (img_pages_run(c->w, r->start, (r->end - r->start) / page_size(), PAGES_DROP, err))
			return -1;
	return 0;
}

static int send_shm(struct cpt *c, struct cpt_shm *s, struct verst_round *ret, struct err *err)
{
	struct ranges now = {0}, drops = {0};
	int result = -1;

	if (c->m.shms.at[s->id - 1].gone)
		return put_changed(c, s, err);
	if (put_changed(c, s, err) || present(s, s->put.size_bytes, &now, err))
		goto out;
	ranges_copy(&drops, &s->held);
	ranges_subtract(&drops, &now);
	result = 0;
	/* what is gone first: each of the two is one ascending list */
	if (drops.list.nr)
		result = img_pages_begin(c->w, PAGES_SHM, s->id, err) || send_drops(c, &drops, err) ||
			 img_pages_end(c->w, err);
	if (!result && now.list.nr)
		result = img_pages_begin(c->w, PAGES_SHM, s->id, err) || send_pages(c, s, &now, ret, err) ||
			 img_pages_end(c->w, err);
	if (!result)
		ranges_copy(&s->held, &now);
out:
	ranges_free(&now);
	ranges_free(&drops);
	return result ? err_ctx(err, "shared memory %u", s->id) : 0;
}

int cpt_shm_send(struct cpt *c, struct verst_round *ret, struct err *err)
{
	vec_each(s, &c->mm->shms)
		if (send_shm(c, *s, ret, err))
			return -1;
	return 0;
}

void cpt_shm_free(struct cpt *c)
{
	vec_each(at, &c->mm->shms) {
		close((*at)->fd);
		ranges_free(&(*at)->held);
		vec_each(h, &(*at)->hashes)
			free(*h);
		vec_free(&(*at)->hashes);
		free(*at);
	}
	vec_free(&c->mm->shms);
}
