// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inotify queues. A watch is known by its inode: the kernel tells a handle, by which the file is opened on
 * the mounts of its filesystem until it shows up under a path of the VE. Events cannot be put back into a
 * queue, so it must be empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "cpt/file.h"
#include "cpt/ns.h"
#include "facts/fdinfo.h"
#include "facts/proc.h"

#define LINK "anon_inode:inotify"
#define NO_DECODE                                                                                            \
	0x81	      /* include/linux/exportfs.h FILEID_INO64_GEN: a name for fanotify, which nobody opens */
#define WAIT_TRIES 20 /* for its readers, while the VE runs */
#define WAIT_US	   5000

static bool inotify_match(const struct cpt_fd *fd)
{
	return !strcmp(fd->link, LINK);
}

static int unread_bytes(int fd)
{
	int bytes = 0;

	return ioctl(fd, FIONREAD, &bytes) ? 0 : bytes;
}

/*
 * A watch on a cgroup's files tells that they are to be read again (systemd's are on cgroup.events), and to
 * stop the VE is such an event, as to let it go on is (kernel/cgroup/freezer.c cgroup_update_frozen, for
 * each cgroup). So a queue that has only these is never empty in a VE that stands still; and what is in it
 * comes again by itself.
 */
static bool repeats_itself(const struct cpt *c, const fdinfo_inotify_watches *watches)
{
	struct stat st;

	if (!watches->nr || fstat(c->run.cgroup_fd, &st))
		return false;
	vec_each(w, watches)
		if (w->dev != st.st_dev)
			return false;
	return true;
}

/* --- what a watch is on --- */

void cpt_inotify_forget_mounts(struct cpt *c)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(m, &s->inotify_mounts) {
		free(m->path);
		cleanup_fd(&m->fd);
	}
	vec_free(&s->inotify_mounts);
}

static int add_mount(void *arg, dev_t dev, const char *path)
{
	struct cpt_file_state *s = arg;

	vec_push(&s->inotify_mounts, ((struct cpt_inotify_mount){dev, mem_strdup(path), -1}));
	return 0;
}

/*
 * open_by_handle_at(2) refuses a mere place (O_PATH), and opening more than that is an event. So it is done
 * once, while the VE runs and somebody reads it, and kept.
 */
static bool open_mount(const struct cpt *c, struct cpt_inotify_mount *m)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

	if (m->fd < 0)
		m->fd = (int)syscall(SYS_openat2, c->run.root_fd, m->path, &how, sizeof(how));
	return m->fd >= 0;
}

static int open_by_handle(int mount_fd, const struct fdinfo_inotify_watch *w)
{
	union {
		struct file_handle h;
		uint8_t room[sizeof(struct file_handle) + sizeof(w->handle)];
	} u = {.h = {.handle_bytes = w->handle_bytes, .handle_type = w->handle_type}};

	if (!w->handle_bytes || w->handle_type == NO_DECODE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	memcpy(u.h.f_handle, w->handle, w->handle_bytes);
	return open_by_handle_at(mount_fd, &u.h, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* The path that leads to it, searched for on its mount, from its top on. */
static bool find_name(struct cpt *c, int mount_fd, const char *mountpoint, struct cpt_fd *f)
{
	const struct cpt_file_state *s = cpt_file_state(c);
	_free_ char *below = mem_printf("%s/x", strcmp(mountpoint, "/") ? mountpoint : ""), *top = NULL;
	const char *path;
	struct stat st;

	cpt_fdopen_in_root(c, mountpoint); /* from the first such call on the prefix is known */
	if (!fstat(mount_fd, &st) && st.st_dev == f->st.st_dev && st.st_ino == f->st.st_ino)
		path = top = mem_printf("%.*s%s", (int)s->root_prefix_bytes, s->root_prefix, mountpoint);
	else
		path = cpt_names_find(c, mount_fd, &f->st, below);
	if (!path || strlen(path) >= sizeof(f->link) || cpt_reg_stat(c, path, &st) ||
	    st.st_dev != f->st.st_dev || st.st_ino != f->st.st_ino)
		return false;
	strcpy(f->link, path);
	f->st = st;
	f->deleted = false;
	return true;
}

/* f becomes the watched file if it has a path on this mount. 1 it has, 0 not, -1. */
static int look_on_mount(struct cpt *c, struct cpt_inotify_mount *m, const struct fdinfo_inotify_watch *w,
			 struct cpt_fd *f, struct err *err)
{
	_fd_ int fd = -1;

	if (!open_mount(c, m))
		return 0; /* hidden below another */
	fd = open_by_handle(m->fd, w);
	if (fd < 0 && errno == ESTALE)
		return 0;
	if (fd < 0) {
		/* no handles there (proc, devpts), but numbers */
		*f = (struct cpt_fd){.local = -1, .st = {.st_dev = w->dev, .st_ino = w->ino}};
		return find_name(c, m->fd, m->path, f);
	}
	if (cpt_fdopen_own(c, fd, f, err))
		return -1;
	f->local = -1;
	if (f->deleted && (S_ISDIR(f->st.st_mode) || !f->st.st_nlink))
		return 0;
	if (!f->deleted && cpt_reg_leads_to(c, f->link, f->st.st_dev, f->st.st_ino))
		return 1;
	/* its name was forgotten, or is another one */
	return find_name(c, m->fd, m->path, f);
}

static int look_on_mounts(struct cpt *c, const struct fdinfo_inotify_watch *w, struct cpt_fd *f,
			  struct err *err)
{
	int ret = 0;

	vec_each(m, &cpt_file_state(c)->inotify_mounts)
		if (!ret && m->dev == w->dev)
			ret = look_on_mount(c, m, w, f, err);
	return ret;
}

/* 1 found, 0 it has no path, -1. */
static int look(struct cpt *c, const struct fdinfo_inotify_watch *w, struct cpt_fd *f, struct err *err)
{
	int ret = look_on_mounts(c, w, f, err);

	if (ret)
		return ret;
	/* perhaps it is on a mount that is not known yet */
	cpt_inotify_forget_mounts(c);
	if (cpt_mount_each(c, add_mount, cpt_file_state(c), err))
		return -1;
	return look_on_mounts(c, w, f, err);
}

/* --- check --- */

/* An idle reader takes its events at once. */
static bool stays_busy(int fd)
{
	for (int i = 0; unread_bytes(fd); i++) {
		if (i == WAIT_TRIES)
			return true;
		usleep(WAIT_US);
	}
	return false;
}

static int check_watches(struct cpt *c, const char *where, const fdinfo_inotify_watches *watches,
			 struct err *err)
{
	_free_ struct cpt_fd *f = mem_new(struct cpt_fd);
	int ret = 0;

	vec_each(w, watches) {
		ret = look(c, w, f, err);
		if (ret < 0)
			break;
		if (!ret)
			findings_add(c->findings, where, NULL,
				     "inotify watch %u is on a file without a path in the VE (inode %llu)",
				     w->wd, (unsigned long long)w->ino);
		if (w->wd > INOTIFY_WD_MAX)
			findings_add(c->findings, where, "restart the program",
				     "inotify watch %u: numbers up to %u are carried", w->wd, INOTIFY_WD_MAX);
	}
	return ret < 0 ? -1 : 0;
}

static int inotify_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	fdinfo_inotify_watches watches;
	char where[64];
	int ret;

	cpt_fdopen_where(fd, where);
	if (fdinfo_inotify_parse(fd->fdinfo, &watches, err))
		return -1;
	if (!repeats_itself(c, &watches) && stays_busy(fd->local))
		findings_add(c->findings, where, "the program must read them",
			     "inotify queue with events that nobody reads");
	ret = watches.nr ? check_watches(c, where, &watches, err) : 0;
	vec_free(&watches);
	return ret;
}

/* --- the moment of the stop --- */

static int list_task(struct cpt *c, const struct cpt_task *t, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	char name[32], link[32];
	proc_numbers fds;

	if (proc_numbers_read(t->proc_fd, "fd", &fds, err))
		return err->sys_errno == ENOENT || err->sys_errno == ESRCH ? 0 : -1;
	vec_each(fd, &fds) {
		ssize_t len;

		snprintf(name, sizeof(name), "fd/%u", *fd);
		len = readlinkat(t->proc_fd, name, link, sizeof(link));
		if (len == sizeof(LINK) - 1 && !memcmp(link, LINK, sizeof(LINK) - 1))
			vec_push(&s->inotifys, ((struct cpt_inotify_known){t->pid, t->start_ticks, *fd}));
	}
	vec_free(&fds);
	return 0;
}

int cpt_inotify_list(struct cpt *c, struct err *err)
{
	vec_free(&cpt_file_state(c)->inotifys);
	vec_each(t, &c->tasks)
		if (!t->zombie && list_task(c, t, err))
			return -1;
	return 0;
}

static bool is_repeating(struct cpt *c, int fd)
{
	struct cpt_file_state *s = cpt_file_state(c);
	fdinfo_inotify_watches watches;
	struct err ignored;
	bool ret;

	if (fdinfo_read(s->proc_self, (unsigned)fd, &s->text, &ignored) ||
	    fdinfo_inotify_parse((const char *)s->text.at, &watches, &ignored))
		return false;
	ret = repeats_itself(c, &watches);
	vec_free(&watches);
	return ret;
}

/* By another file at its number, or none: not busy. */
static bool is_busy(struct cpt *c, const struct cpt_task *t, unsigned nr)
{
	_fd_ int fd = (int)syscall(SYS_pidfd_getfd, t->pidfd, nr, 0);
	char name[32], link[32];
	ssize_t len;

	if (fd < 0)
		return false;
	snprintf(name, sizeof(name), "fd/%d", fd);
	len = readlinkat(cpt_file_state(c)->proc_self, name, link, sizeof(link));
	return len == sizeof(LINK) - 1 && !memcmp(link, LINK, sizeof(LINK) - 1) && unread_bytes(fd) &&
	       !is_repeating(c, fd);
}

bool cpt_inotify_busy(struct cpt *c, char ret[static 64])
{
	vec_each(k, &cpt_file_state(c)->inotifys) {
		vec_each(t, &c->tasks) {
			if (t->pid != k->pid || t->start_ticks != k->start_ticks || t->zombie ||
			    !is_busy(c, t, k->fd))
				continue;
			cpt_where(t, (int)k->fd, ret);
			return true;
		}
	}
	return false;
}

/* --- collect --- */

static int collect_watch(struct cpt *c, const struct fdinfo_inotify_watch *w, struct inotify_watch *ret,
			 struct err *err)
{
	_free_ struct cpt_fd *f = mem_new(struct cpt_fd);
	int found = look(c, w, f, err);

	if (found < 0)
		return -1;
	if (!found || w->wd > INOTIFY_WD_MAX)
		return err_set(err, ERR_CHECKPOINT, "the file (inode %llu) has no path in the VE",
			       (unsigned long long)w->ino);
	*ret = (struct inotify_watch){.wd = w->wd, .mask = w->mask};
	return cpt_reg_of_fd(c, f, &ret->reg, err);
}

static int inotify_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	fdinfo_inotify_watches watches;
	struct inotify_obj *obj;
	int result = 0;

	if (fdinfo_inotify_parse(fd->fdinfo, &watches, err))
		return -1;
	/* one that was made after they were listed; or one that only is on its way in a socket */
	if (unread_bytes(fd->local) && !repeats_itself(c, &watches)) {
		vec_free(&watches);
		return err_set(err, ERR_CHECKPOINT,
			       "an inotify queue with unread events cannot be carried: try again");
	}
	obj = vec_add(&c->m.inotifys);
	obj->id = (uint32_t)c->m.inotifys.nr;
	ret->of = obj->id;
	vec_each(w, &watches) {
		if (!result && collect_watch(c, w, vec_add(&obj->watches), err))
			result = err_ctx(err, "inotify watch %u", w->wd);
	}
	vec_free(&watches);
	return result;
}

const struct cpt_file_kind cpt_inotify_kind = {
	.kind = FILE_INOTIFY,
	.match = inotify_match,
	.check = inotify_check,
	.collect = inotify_collect,
};
