// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cgroups that the VE made below its own, and which tasks are in them. One walk finds both, while the VE
 * runs to tell obstacles, and once it is frozen. A VE that made none costs one directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "cpt/cpt.h"
#include "ve/node.h"

#define FILE_MAX_BYTES (16u << 20)
#define XATTR_BYTES    (64u << 10)
#define USUAL_MODE     0644 /* kernel/cgroup/cgroup.c, cgroup_file_mode: of what can be read and written */

typedef VEC(char *) names;

static void free_names(names *n)
{
	vec_each(name, n)
		free(*name);
	vec_free(n);
}

/* What cannot be carried: found before, or refused now. */
__attribute__((format(printf, 5, 6))) static int refuse(struct cpt *c, const char *path, const char *hint,
							struct err *err, const char *fmt, ...)
{
	char text[256], where[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(where, sizeof(where), "cgroup %s", path);
	if (!c->findings)
		return err_set(err, ERR_CHECKPOINT, "%s", text);
	findings_add(c->findings, where, hint, "%s", text);
	return 0;
}

/* While the VE runs, a cgroup or a task may go between two looks. */
static int unless_gone(const struct cpt *c, const struct err *err)
{
	bool gone = err->sys_errno == ENOENT || err->sys_errno == ENODEV || err->sys_errno == ESRCH;

	return !c->frozen && gone ? 0 : -1;
}

static uint32_t ve_id(const struct cpt *c, uint32_t host_id)
{
	uint32_t id = host_id - c->run.uid_base;

	return host_id >= c->run.uid_base && id < 65536 ? id : CGROUP_FOREIGN;
}

static int read_text(int dir, const char *name, struct buf *ret, struct err *err)
{
	if (io_read_file(dir, name, FILE_MAX_BYTES, ret, err))
		return -1;
	while (ret->len_bytes && strchr(" \n", ret->at[ret->len_bytes - 1]))
		ret->at[--ret->len_bytes] = 0;
	return 0;
}

/* --- one file --- */

/* NULL if it is as in a new cgroup. */
static int read_value(struct cpt *c, int dir, const struct cgroup_obj *g, const char *name, char **ret,
		      struct err *err)
{
	const struct cgroup_control *control = cgroup_control_of(name);
	struct buf text;
	const char *value;
	int result = 0;

	*ret = NULL;
	if (!control)
		return 0;
	if (read_text(dir, name, &text, err))
		return unless_gone(c, err);
	value = (const char *)text.at;
	/* an idle group shows a weight of 0, which cannot be written (kernel/sched/core.c,
	 * cpu_weight_read_u64) */
	if (cgroup_is_initial(control, value) || (!strcmp(name, "cpu.weight") && !strcmp(value, "0")))
		;
	else if (!control->carried || strchr(value, '\n') || strlen(value) > CGROUP_VALUE_MAX)
		result = refuse(c, g->path, NULL, err, "it has %s set", name);
	else
		*ret = mem_strdup(value);
	buf_free(&text);
	return result;
}

/* As the kernel makes it: that of the VE's own cgroup is such a one, or was until the VE got it. */
static uint32_t usual_mode(const struct cpt *c, const char *name)
{
	struct stat st;

	if (cgroup_is_delegated(name) || fstatat(c->run.cgroup_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return USUAL_MODE;
	return st.st_mode & 07777;
}

static int read_file(struct cpt *c, int dir, struct cgroup_obj *g, const char *name, struct err *err)
{
	struct cgroup_file f = {0};
	struct stat st;

	if (!strcmp(g->path, "/") && !cgroup_is_delegated(name))
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		err_sys(err, "%s", name);
		return unless_gone(c, err);
	}
	f.uid = ve_id(c, st.st_uid);
	f.gid = ve_id(c, st.st_gid);
	f.mode = st.st_mode & 07777;
	if (read_value(c, dir, g, name, &f.value, err))
		return -1;
	if (!f.value && f.uid == g->uid && f.gid == g->gid && f.mode == usual_mode(c, name))
		return 0;
	f.name = mem_strdup(name);
	vec_push(&g->files, f);
	return 0;
}

/* --- one cgroup --- */

static int read_names(int dir, names *ret_files, names *ret_dirs, struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return err_sys(err, "directory");
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
			char *name = mem_strdup(e->d_name);

			if (e->d_type == DT_DIR)
				vec_push(ret_dirs, name);
			else
				vec_push(ret_files, name);
		}
	return 0;
}

/* Only user.* can be set from inside; the node's own are none of the VE's business. */
static int read_xattrs(int dir, struct cgroup_obj *g, struct err *err)
{
	_free_ char *list = NULL;
	ssize_t len = flistxattr(dir, NULL, 0);

	if (!len || (len < 0 && errno == EOPNOTSUPP))
		return 0;
	list = mem_alloc(XATTR_BYTES);
	len = flistxattr(dir, list, XATTR_BYTES);
	if (len < 0)
		return err_sys(err, "attributes");
	for (const char *name = list; name < list + len; name += strlen(name) + 1) {
		_free_ uint8_t *value = NULL;
		ssize_t value_len;

		if (strncmp(name, "user.", 5))
			continue;
		value = mem_alloc(XATTR_BYTES);
		value_len = fgetxattr(dir, name, value, XATTR_BYTES);
		if (value_len < 0)
			return err_sys(err, "attribute %s", name);
		vec_push(&g->xattrs,
			 ((struct cgroup_xattr){mem_strdup(name), bytes_dup(value, (size_t)value_len)}));
	}
	return 0;
}

static int text_has(int dir, const char *name, const char *what, bool *ret, struct err *err)
{
	struct buf text;

	if (read_text(dir, name, &text, err))
		return -1;
	*ret = strstr((char *)text.at, what) != NULL;
	buf_free(&text);
	return 0;
}

static bool is_set_frozen(const struct cgroup_obj *g)
{
	vec_each(f, &g->files)
		if (!strcmp(f->name, "cgroup.freeze"))
			return f->value != NULL;
	return false;
}

/* What is injected does not run in a task that is frozen. */
static int check_state(struct cpt *c, int dir, const struct cgroup_obj *g, struct err *err)
{
	bool threaded, populated = false;

	if (text_has(dir, "cgroup.type", "threaded", &threaded, err) ||
	    (is_set_frozen(g) && text_has(dir, "cgroup.events", "populated 1", &populated, err)))
		return -1;
	if (threaded && refuse(c, g->path, NULL, err, "it is threaded"))
		return -1;
	if (populated)
		return refuse(c, g->path, "write 0 to its cgroup.freeze", err,
			      "it is frozen and there are tasks in it");
	return 0;
}

static int read_members(struct cpt *c, int dir, char *path, struct err *err)
{
	struct buf text;

	if (io_read_file(dir, "cgroup.procs", FILE_MAX_BYTES, &text, err))
		return err->sys_errno == EOPNOTSUPP ? 0 : -1; /* a threaded one, which was told */
	for (char *p = (char *)text.at, *end;; p = end) {
		unsigned long pid = strtoul(p, &end, 10);

		if (end == p)
			break;
		vec_push(&c->members, ((struct cpt_member){(pid_t)pid, path}));
	}
	buf_free(&text);
	return 0;
}

static int read_group(struct cpt *c, int dir, struct cgroup_obj *g, names *ret_dirs, struct err *err)
{
	bool own = !strcmp(g->path, "/");
	names files = {0};
	struct stat st;
	int ret = 0;

	if (fstat(dir, &st))
		return err_sys(err, "stat");
	g->uid = ve_id(c, st.st_uid);
	g->gid = ve_id(c, st.st_gid);
	g->mode = st.st_mode & 07777;
	if (read_names(dir, &files, ret_dirs, err))
		ret = -1;
	for (size_t i = 0; !ret && i < files.nr; i++)
		ret = read_file(c, dir, g, files.at[i], err);
	free_names(&files);
	if (ret || read_xattrs(dir, g, err))
		return -1;
	if (c->findings && cpt_task_check_entered(c, dir, err) && err->sys_errno != EOPNOTSUPP)
		return -1;
	return own || (!check_state(c, dir, g, err) && !read_members(c, dir, g->path, err)) ? 0 : -1;
}

static int visit(struct cpt *c, int dir, const char *path, unsigned depth, struct err *err);

static int visit_below(struct cpt *c, int dir, const char *path, const char *name, unsigned depth,
		       struct err *err)
{
	_free_ char *sub = mem_printf("%s/%s", strcmp(path, "/") ? path : "", name);
	_fd_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		err_sys(err, "cgroup %s", sub);
		return unless_gone(c, err);
	}
	if (depth >= CGROUP_DEPTH_MAX || strlen(sub) > 4095 || c->m.cgroups.nr >= CGROUPS_MAX)
		return refuse(c, sub, NULL, err, "%s is too deep, or one of too many", name);
	return visit(c, fd, sub, depth + 1, err);
}

static int visit(struct cpt *c, int dir, const char *path, unsigned depth, struct err *err)
{
	struct cgroup_obj *g = vec_add(&c->m.cgroups);
	names dirs = {0};
	int ret = 0;

	g->path = mem_strdup(path);
	if (read_group(c, dir, g, &dirs, err)) {
		err_ctx(err, "cgroup %s", path);
		ret = unless_gone(c, err);
	}
	for (size_t i = 0; !ret && i < dirs.nr; i++)
		ret = visit_below(c, dir, path, dirs.at[i], depth, err);
	free_names(&dirs);
	return ret;
}

static int walk_all(struct cpt *c, struct err *err)
{
	return visit(c, c->run.cgroup_fd, "/", 0, err);
}

static void forget(struct cpt *c)
{
	vec_each(g, &c->m.cgroups)
		model_free_cgroup(g);
	vec_free(&c->m.cgroups);
	vec_free(&c->members);
}

/* --- before the freeze --- */

/* What of a group's path is below the VE's own: "" for that itself; NULL: the group is elsewhere. */
static const char *below_own(const struct cpt *c, const char *group)
{
	char own[96];
	size_t len;

	snprintf(own, sizeof(own), "/%s/%u", c->ve.node->cgroup, c->ve.id);
	len = strlen(own);
	for (const char *at = group; (at = strstr(at, own)); at += len)
		if (!at[len] || at[len] == '/')
			return at + len;
	return NULL;
}

/* A line of /proc/PID/cgroup: "0::/verst/101" of v2, "4:memory:/verst/101" of v1. */
static void check_line(struct cpt *c, const struct cpt_task *t, const char *controllers, const char *group)
{
	const char *below = below_own(c, group);
	char where[64];

	cpt_where(t, -1, where);
	if (*controllers && below && *below)
		findings_add(c->findings, where, "move it to the VE's own",
			     "it is in the cgroup %s of the v1 hierarchy %s", below, controllers);
	if (!*controllers && !below)
		findings_add(c->findings, where, "move it back", "it is not in the VE's cgroup, but in %s",
			     group);
}

static int check_task(struct cpt *c, const struct cpt_task *t, struct err *err)
{
	char *save = NULL;
	struct buf text;

	if (io_read_file(t->proc_fd, "cgroup", FILE_MAX_BYTES, &text, err))
		return unless_gone(c, err);
	for (char *line = strtok_r((char *)text.at, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *words = strchr(line, ':'), *group = words ? strchr(words + 1, ':') : NULL;

		if (!group)
			continue;
		*group = 0;
		check_line(c, t, words + 1, group + 1);
	}
	buf_free(&text);
	return 0;
}

int cpt_cgroup_look(struct cpt *c, struct err *err)
{
	int ret = walk_all(c, err);

	forget(c);
	return ret;
}

int cpt_cgroup_check(struct cpt *c, struct err *err)
{
	int ret = cpt_cgroup_look(c, err);

	vec_each(t, &c->tasks)
		if (!ret && !t->zombie)
			ret = check_task(c, t, err);
	return ret;
}

/* --- frozen --- */

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct cgroup_obj *)a)->path, ((const struct cgroup_obj *)b)->path);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct cpt_member *)a)->pid, y = ((const struct cpt_member *)b)->pid;

	return x < y ? -1 : x > y;
}

/* The VE's own as every VE has it. */
static bool is_plain(const struct cgroup_obj *g)
{
	return !g->uid && !g->gid && g->mode == 0755 && !g->files.nr && !g->xattrs.nr;
}

int cpt_cgroup_collect(struct cpt *c, struct err *err)
{
	uint32_t id = 0;

	if (walk_all(c, err))
		return -1;
	if (c->m.cgroups.nr == 1 && is_plain(c->m.cgroups.at))
		forget(c);
	vec_sort(&c->m.cgroups, by_path);
	vec_sort(&c->members, by_pid);
	vec_each(g, &c->m.cgroups)
		g->id = ++id;
	return 0;
}

const char *cpt_cgroup_of(const struct cpt *c, const struct cpt_task *t)
{
	const struct cpt_member key = {.pid = t->pid}, *found;

	found = c->members.nr ? bsearch(&key, c->members.at, c->members.nr, sizeof(*c->members.at), by_pid)
			      : NULL;
	return found ? found->path : "/";
}
