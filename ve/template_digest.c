// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <xxhash.h>

#include "ve/template.h"

static void put(XXH3_state_t *state, const void *p, size_t len_bytes)
{
	uint64_t len = len_bytes;

	/* The length too: else two things could share out one row of bytes differently. */
	XXH3_128bits_update(state, &len, sizeof(len));
	XXH3_128bits_update(state, p, len_bytes);
}

static int put_file(XXH3_state_t *state, int dir, const char *name, struct err *err)
{
	_fd_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_free_ char *bytes = mem_alloc(1 << 16);
	ssize_t n;

	if (fd < 0)
		return err_sys(err, "%s", name);
	while ((n = read(fd, bytes, 1 << 16)) > 0)
		XXH3_128bits_update(state, bytes, (size_t)n);
	return n < 0 ? err_sys(err, "%s", name) : 0;
}

static int put_link(XXH3_state_t *state, int dir, const char *name, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	if (n < 0)
		return err_sys(err, "%s", name);
	put(state, target, (size_t)n);
	return 0;
}

/* Only capabilities of files: no other attribute makes a difference to what runs. */
static void put_xattr(XXH3_state_t *state, int dir, const char *name)
{
	char path[PATH_MAX], value[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
	n = lgetxattr(path, "security.capability", value, sizeof(value));
	put(state, value, n > 0 ? (size_t)n : 0);
}

static int walk(XXH3_state_t *state, int dir, struct err *err);

static int put_entry(XXH3_state_t *state, int dir, const char *name, struct err *err)
{
	struct stat st;
	uint64_t facts[4];
	_fd_ int sub = -1;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(err, "%s", name);
	facts[0] = st.st_mode;
	facts[1] = st.st_uid;
	facts[2] = st.st_gid;
	facts[3] = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : (uint64_t)st.st_rdev;
	put(state, name, strlen(name));
	put(state, facts, sizeof(facts));
	put_xattr(state, dir, name);
	if (S_ISREG(st.st_mode))
		return put_file(state, dir, name, err);
	if (S_ISLNK(st.st_mode))
		return put_link(state, dir, name, err);
	if (!S_ISDIR(st.st_mode))
		return 0;
	sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0)
		return err_sys(err, "%s", name);
	return walk(state, sub, err) ? err_ctx(err, "%s", name) : 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int walk(XXH3_state_t *state, int dir, struct err *err)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	_dir_ DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	VEC(char *) names = {0};
	struct dirent *e;

	if (!d)
		return err_sys(err, "directory");
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			vec_push(&names, mem_strdup(e->d_name));
	vec_sort(&names, by_text);
	vec_each(name, &names) {
		if (!r)
			r = put_entry(state, dir, *name, err);
		free(*name);
	}
	put(state, &names.nr, sizeof(names.nr));
	vec_free(&names);
	return r;
}

int template_digest(const char *root, char ret[static 33], struct err *err)
{
	_fd_ int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	XXH3_state_t *state;
	XXH128_hash_t hash;
	int r;

	if (dir < 0)
		return err_sys(err, "%s", root);
	state = XXH3_createState();
	XXH3_128bits_reset(state);
	r = walk(state, dir, err);
	hash = XXH3_128bits_digest(state);
	XXH3_freeState(state);
	snprintf(ret, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
	return r ? err_ctx(err, "%s", root) : 0;
}
