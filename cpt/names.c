// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file that has lost the name it was opened by, but has another: any name will do to open it again. It is
 * searched for on the file's mount, while the VE runs; what was found is remembered, and believed when it
 * still leads to the file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "cpt/file.h"

#define MAX_ENTRIES 2000000 /* looked at, some seconds */
#define MAX_DEPTH   128

struct walk {
	uint64_t mount;
	dev_t dev;
	ino_t ino;
	char path[PATH_MAX]; /* where the walk is */
	size_t left;	     /* entries that may still be looked at */
};

static bool mount_of(int fd, uint64_t *ret)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) || !(st.stx_mask & STATX_MNT_ID))
		return false;
	*ret = st.stx_mnt_id;
	return true;
}

static bool walk_dir(struct walk *w, int dir_fd, unsigned depth);

static bool walk_entry(struct walk *w, int dir_fd, const struct dirent *e, unsigned depth)
{
	size_t len = strlen(w->path), name = strlen(e->d_name);
	struct stat st;
	bool found = false;
	int fd;

	if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !w->left-- ||
	    len + name + 2 > sizeof(w->path) ||
	    fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
		return false;
	w->path[len] = '/';
	memcpy(w->path + len + 1, e->d_name, name + 1);
	if (!S_ISDIR(st.st_mode)) {
		found = st.st_dev == w->dev && st.st_ino == w->ino;
	} else {
		fd = openat(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		found = fd >= 0 && walk_dir(w, fd, depth + 1);
	}
	if (!found)
		w->path[len] = 0;
	return found;
}

/* Takes the descriptor. */
static bool walk_dir(struct walk *w, int dir_fd, unsigned depth)
{
	uint64_t mount;
	bool found = false;
	_dir_ DIR *dir = depth <= MAX_DEPTH && mount_of(dir_fd, &mount) && mount == w->mount
				 ? fdopendir(dir_fd)
				 : NULL;
	struct dirent *e;

	if (!dir) {
		close(dir_fd);
		return false;
	}
	while (!found && w->left && (e = readdir(dir)))
		found = walk_entry(w, dirfd(dir), e, depth);
	return found;
}

static int open_dir(struct cpt *c, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS};

	return (int)syscall(SYS_openat2, c->run.root_fd, *path ? path : "/", &how, sizeof(how));
}

/* From the lost name's directory upwards as far as the mount goes: its top is where to begin. */
static int top_of_mount(struct cpt *c, struct walk *w, const char *path)
{
	int top = -1;

	snprintf(w->path, sizeof(w->path), "%s", path);
	for (char *slash; (slash = strrchr(w->path, '/'));) {
		uint64_t mount;
		int fd;

		*slash = 0;
		fd = open_dir(c, w->path);
		if (fd < 0 && errno == ENOENT)
			continue; /* the directory is gone as well */
		if (fd < 0 || !mount_of(fd, &mount) || mount != w->mount) {
			cleanup_fd(&fd);
			*slash = '/'; /* what was found last is the top */
			slash[strcspn(slash + 1, "/") + 1] = 0;
			break;
		}
		cleanup_fd(&top);
		top = fd;
	}
	return top;
}

const char *cpt_names_find(struct cpt *c, int fd, const struct stat *st, const char *path)
{
	struct cpt_file_state *s = cpt_file_state(c);
	struct walk *w;
	char *ret = NULL;
	int top;

	for (size_t i = 0; i < s->names.nr; i++) {
		const struct cpt_name_known *n = &s->names.at[i];

		if (n->dev == st->st_dev && n->ino == st->st_ino &&
		    cpt_reg_leads_to(c, n->path, n->dev, n->ino))
			return n->path;
	}
	w = mem_new(struct walk);
	w->dev = st->st_dev;
	w->ino = st->st_ino;
	w->left = MAX_ENTRIES;
	top = mount_of(fd, &w->mount) ? top_of_mount(c, w, path) : -1;
	if (top >= 0 && walk_dir(w, top, 0)) {
		struct cpt_name_known *n = vec_add(&s->names);

		n->dev = st->st_dev;
		n->ino = st->st_ino;
		n->path = ret = mem_printf("%.*s%s", (int)s->root_prefix_bytes, s->root_prefix, w->path);
	}
	free(w);
	return ret;
}
