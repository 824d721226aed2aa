// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/filedata.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/xattr.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "migrate/frame.h"

#define BLOCK_BYTES    (64u * 1024)
#define SUMS_MIN_BYTES (256u * 1024) /* smaller files are sent whole */

/* One sum a block; a zero sum stands for a block of zeros. */
struct filetree_sums {
	VEC(XXH128_hash_t) at;
};

void filesend_sums_free(struct filetree_sums *sums)
{
	if (!sums)
		return;
	vec_free(&sums->at);
	free(sums);
}

/* --- extended attributes --- */

/* The *xattr calls know no directory descriptor: the way leads through /proc/self/fd. Names of the upper tree
 * are short of PATH_MAX by construction (filetree_look). */
static void proc_path(int dir_fd, const char *path, char ret[static PATH_MAX + 64])
{
	snprintf(ret, PATH_MAX + 64, "/proc/self/fd/%d/%s", dir_fd, path);
}

bool filedata_has_xattr(int dir_fd, const char *path, const char *name)
{
	char at[PATH_MAX + 64];

	proc_path(dir_fd, path, at);
	return lgetxattr(at, name, NULL, 0) >= 0;
}

static bool travels(const char *name)
{
	/* overlay's own marks are made anew by the far side's overlay */
	return strncmp(name, "trusted.overlay.", 16) && strlen(name) <= FILEOP_XATTR_NAME_MAX;
}

static int put_xattrs(struct filesend *s, const char *path, struct buf *out, struct err *err)
{
	char at[PATH_MAX + 64], names[65536], value[FILEOP_XATTR_VALUE_MAX];
	size_t count_at = out->len_bytes;
	uint32_t nr = 0;
	ssize_t len;

	proc_path(s->dir_fd, path, at);
	buf_put_u32(out, 0);
	len = llistxattr(at, names, sizeof(names));
	if (len < 0)
		return errno == ENOTSUP || errno == ENOENT ? 0
							   : err_sys(err, "/%s: extended attributes", path);
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t got;

		if (!travels(name))
			continue;
		got = lgetxattr(at, name, value, sizeof(value));
		if (got < 0 && (errno == ENODATA || errno == ENOENT))
			continue;
		if (got < 0)
			return err_sys(err, "/%s: attribute %s", path, name);
		if (++nr > FILEOP_XATTRS_MAX)
			return err_set(err, ERR_CHECKPOINT, "/%s: more than %d extended attributes", path,
				       FILEOP_XATTRS_MAX);
		buf_put_str(out, name);
		buf_put_u32(out, (uint32_t)got);
		buf_put(out, value, (size_t)got);
	}
	nr = htole32(nr);
	memcpy(out->at + count_at, &nr, sizeof(nr));
	return 0;
}

static int emit(struct filesend *s, struct buf *b, struct err *err)
{
	int ret;

	if (b->len_bytes > FRAME_BODY_MAX_BYTES)
		ret = err_set(err, ERR_CHECKPOINT, "extended attributes of more than %u bytes",
			      FRAME_BODY_MAX_BYTES);
	else
		ret = s->emit(s->arg, b, err);
	buf_free(b);
	return ret;
}

int filedata_send_attr(struct filesend *s, const char *path, struct err *err)
{
	struct buf b = {0};
	struct stat st;

	if (fstatat(s->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		/* gone again: the next comparison says so */
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "/%s", path);
	buf_put_u8(&b, FILEOP_ATTR);
	buf_put_str(&b, path);
	buf_put_u32(&b, st.st_mode & 07777);
	buf_put_u32(&b, st.st_uid);
	buf_put_u32(&b, st.st_gid);
	buf_put_u64(&b, (uint64_t)(st.st_atim.tv_sec * 1000000000LL + st.st_atim.tv_nsec));
	buf_put_u64(&b, (uint64_t)(st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec));
	if (put_xattrs(s, path, &b, err)) {
		buf_free(&b);
		return -1;
	}
	return emit(s, &b, err);
}

/* --- content --- */

static int send_open(struct filesend *s, const char *path, enum fileop_open how, uint64_t size_bytes,
		     struct err *err)
{
	struct buf b = {0};

	buf_put_u8(&b, FILEOP_OPEN);
	buf_put_str(&b, path);
	buf_put_u8(&b, how);
	buf_put_u64(&b, size_bytes);
	return emit(s, &b, err);
}

static int send_data(struct filesend *s, uint64_t offset, const uint8_t *p, size_t len_bytes, struct err *err)
{
	struct buf b = {0};

	buf_put_u8(&b, FILEOP_DATA);
	buf_put_u64(&b, offset);
	buf_put(&b, p, len_bytes);
	s->stats.bytes += len_bytes;
	return emit(s, &b, err);
}

static int send_hole(struct filesend *s, uint64_t offset, uint64_t len_bytes, struct err *err)
{
	struct buf b = {0};

	buf_put_u8(&b, FILEOP_HOLE);
	buf_put_u64(&b, offset);
	buf_put_u64(&b, len_bytes);
	return emit(s, &b, err);
}

static bool is_zero(const uint8_t *p, size_t len_bytes)
{
	return !len_bytes || (!*p && !memcmp(p, p + 1, len_bytes - 1));
}

static XXH128_hash_t sum_of(const uint8_t *p, size_t len_bytes)
{
	if (is_zero(p, len_bytes))
		return (XXH128_hash_t){0};
	return XXH3_128bits(p, len_bytes);
}

struct content {
	struct filesend *s;
	const struct filetree_sums *known; /* NULL: the far side's file is all zeros */
	struct filetree_sums *sums;	   /* NULL: not worth it */
};

/* One block, full or the file's last. Holes of the file need not come here when nothing is known of it. */
static int send_block(struct content *c, uint64_t block, const uint8_t *p, size_t len_bytes, struct err *err)
{
	XXH128_hash_t sum = sum_of(p, len_bytes), had = {0};
	bool zero = !sum.low64 && !sum.high64;

	if (c->sums) {
		while (c->sums->at.nr <= block)
			vec_add(&c->sums->at);
		c->sums->at.at[block] = sum;
	}
	if (c->known && block < c->known->at.nr)
		had = c->known->at.at[block];
	if (XXH128_isEqual(sum, had))
		return 0;
	if (zero)
		return send_hole(c->s, block * BLOCK_BYTES, len_bytes, err);
	return send_data(c->s, block * BLOCK_BYTES, p, len_bytes, err);
}

/* Where data begins at or after `from`: holes are skipped, unless the far side may have something there. */
static uint64_t next_data(int fd, uint64_t from, bool skip)
{
	off_t at = skip ? lseek(fd, (off_t)from, SEEK_DATA) : -1;

	/* filesystems without SEEK_DATA: everything is data */
	if (at < 0)
		return skip && errno == ENXIO ? UINT64_MAX : from;
	return (uint64_t)at / BLOCK_BYTES * BLOCK_BYTES;
}

static int send_content(struct content *c, int fd, uint64_t size_bytes, bool *ret_whole, struct err *err)
{
	_free_ uint8_t *block = mem_alloc(BLOCK_BYTES);

	for (uint64_t at = 0; at < size_bytes; at += BLOCK_BYTES) {
		size_t want;
		ssize_t n;

		at = next_data(fd, at, !c->known);
		if (at >= size_bytes)
			break;
		want = (size_t)MIN((uint64_t)BLOCK_BYTES, size_bytes - at);
		n = pread(fd, block, want, (off_t)at);
		if (n < 0)
			return err_sys(err, "read");
		if ((size_t)n < want) {
			/* it has become shorter: the next comparison finds that, and must not trust these
			 * sums */
			*ret_whole = false;
			return 0;
		}
		if (send_block(c, at / BLOCK_BYTES, block, want, err))
			return -1;
	}
	return 0;
}

int filedata_send(struct filesend *s, struct filetree_entry *e, enum fileop_open how,
		  const struct filetree_sums *known, struct err *err)
{
	_fd_ int fd = openat(s->dir_fd, e->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct content c = {.s = s, .known = known};
	struct stat st;
	bool whole = true;

	if (fd < 0 || fstat(fd, &st)) {
		if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
			return 0; /* gone or something else by now: the next comparison finds that */
		return err_sys(err, "/%s", e->path);
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	if (st.st_size >= SUMS_MIN_BYTES)
		c.sums = e->sums = mem_new(struct filetree_sums);
	if (send_open(s, e->path, known ? FILEOP_OPEN_KEEP : how, (uint64_t)st.st_size, err) ||
	    send_content(&c, fd, (uint64_t)st.st_size, &whole, err))
		return err_ctx(err, "/%s", e->path);
	if (!whole)
		filesend_sums_free(ptr_take(&e->sums));
	return filedata_send_attr(s, e->path, err);
}
