// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cgroups that the VE made below its own. Tasks are born in the VE's own and go to theirs when all are
 * there. Controllers are switched on after that, because a cgroup with processes in it gives none to its
 * children.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "rst/rst.h"

#define FREEZE	"cgroup.freeze"
#define SUBTREE "cgroup.subtree_control"

static bool is_own(const struct cgroup_obj *g)
{
	return !strcmp(g->path, "/");
}

static int open_group(const struct rst *r, const char *path, int *ret_fd, struct err *err)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	int fd = (int)syscall(SYS_openat2, r->run.cgroup_fd, strcmp(path, "/") ? path + 1 : ".", &how,
			      sizeof(how));

	if (fd < 0)
		return err_sys(err, "cgroup %s", path);
	*ret_fd = fd;
	return 0;
}

int rst_cgroup_open_any(struct rst *r, int *ret_fd, struct err *err)
{
	const struct task_obj *init = model_task(&r->m, 1);

	return open_group(r, init && init->cgroup ? init->cgroup : "/", ret_fd, err);
}

/* fn for each with its directory. */
static int for_each(struct rst *r,
		    int (*fn)(struct rst *r, const struct cgroup_obj *g, int dir, struct err *err),
		    struct err *err)
{
	vec_each(g, &r->m.cgroups) {
		_fd_ int dir = -1;

		if (open_group(r, g->path, &dir, err))
			return -1;
		if (fn(r, g, dir, err))
			return err_ctx(err, "cgroup %s", g->path);
	}
	return 0;
}

static const struct cgroup_file *file_of(const struct cgroup_obj *g, const char *name)
{
	vec_each(f, &g->files)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

/* --- they, and who is in them --- */

static int make_all(struct rst *r, struct err *err)
{
	vec_each(g, &r->m.cgroups)
		if (!is_own(g) && mkdirat(r->run.cgroup_fd, g->path + 1, 0755))
			return err_sys(err, "cgroup %s", g->path);
	return 0;
}

static int move_task(struct rst *r, const struct rst_task *t, const char *path, struct err *err)
{
	char pid[16];
	_fd_ int dir = -1;

	snprintf(pid, sizeof(pid), "%d", t->pid);
	if (open_group(r, path, &dir, err) || io_write_file(dir, "cgroup.procs", pid, err))
		return err_ctx(err, "task %u into cgroup %s", t->t.pid, path);
	return 0;
}

static int move_all(struct rst *r, struct err *err)
{
	vec_each(t, &r->tasks) {
		const struct task_obj *obj = model_task(&r->m, t->t.pid);

		if (t->r && obj->cgroup && strcmp(obj->cgroup, "/") && move_task(r, t, obj->cgroup, err))
			return -1;
	}
	return 0;
}

/* "memory pids", one at a time so that an error can name it. */
static int enable_controllers(struct rst *r, const struct cgroup_obj *g, int dir, struct err *err)
{
	const struct cgroup_file *f = file_of(g, SUBTREE);
	_free_ char *list = mem_strdup(f && f->value ? f->value : "");
	char *save = NULL;

	for (char *word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		_free_ char *text = mem_printf("+%s", word);

		if (io_write_file(dir, SUBTREE, text, err))
			return err_ctx(err, "controller %s", word);
	}
	return 0;
}

/* --- owners --- */

static uint32_t host_id(const struct rst *r, uint32_t id)
{
	return id == CGROUP_FOREIGN ? 0 : r->run.uid_base + id;
}

/* An empty name: the directory itself. */
static int set_owner(struct rst *r, int dir, const char *name, uint32_t uid, uint32_t gid, struct err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return err_sys(err, "%s", name);
	if (st.st_uid == host_id(r, uid) && st.st_gid == host_id(r, gid))
		return 0;
	if (fchownat(dir, name, host_id(r, uid), host_id(r, gid), AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return err_sys(err, "owner of %s", name);
	return 0;
}

/* What the engine made is the engine's: files that are not listed get the owner of their directory. */
static int own_files(struct rst *r, const struct cgroup_obj *g, int dir, struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return err_sys(err, "directory");
	while ((e = readdir(d)))
		if (e->d_type == DT_REG && !file_of(g, e->d_name) &&
		    set_owner(r, dir, e->d_name, g->uid, g->gid, err))
			return -1;
	return 0;
}

static int set_attributes(struct rst *r, const struct cgroup_obj *g, int dir, struct err *err)
{
	if (set_owner(r, dir, "", g->uid, g->gid, err) || (!is_own(g) && own_files(r, g, dir, err)))
		return -1;
	if (fchmod(dir, g->mode))
		return err_sys(err, "mode");
	vec_each(f, &g->files) {
		/* a controller that this node does not have; if a value is set there, that will be an error
		 */
		if (faccessat(dir, f->name, F_OK, AT_EACCESS) && errno == ENOENT)
			continue;
		if (set_owner(r, dir, f->name, f->uid, f->gid, err))
			return -1;
		if (fchmodat(dir, f->name, f->mode, 0))
			return err_sys(err, "mode of %s", f->name);
	}
	vec_each(x, &g->xattrs)
		if (fsetxattr(dir, x->name, x->value.at, x->value.len_bytes, 0))
			return err_sys(err, "attribute %s", x->name);
	return 0;
}

int rst_cgroup_build(struct rst *r, struct err *err)
{
	return make_all(r, err) || move_all(r, err) || for_each(r, enable_controllers, err) ||
			       for_each(r, set_attributes, err)
		       ? -1
		       : 0;
}

/* --- values --- */

static int set_limits(struct rst *r, const struct cgroup_obj *g, int dir, struct err *err)
{
	vec_each(f, &g->files)
		if (f->value && strcmp(f->name, SUBTREE) && strcmp(f->name, FREEZE) &&
		    io_write_file(dir, f->name, f->value, err))
			return err_ctx(err, "setting it to %s", f->value);
	return 0;
}

int rst_cgroup_limits(struct rst *r, struct err *err)
{
	return for_each(r, set_limits, err);
}

static int set_freezer(struct rst *r, const struct cgroup_obj *g, int dir, struct err *err)
{
	const struct cgroup_file *f = file_of(g, FREEZE);

	return f && f->value ? io_write_file(dir, FREEZE, f->value, err) : 0;
}

int rst_cgroup_freezer(struct rst *r, struct err *err)
{
	return for_each(r, set_freezer, err);
}
