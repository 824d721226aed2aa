// SPDX-License-Identifier: GPL-2.0-only
/* What is written into cgroups by the node's root: only what the VE's root could have written there. */
#include "model/validate.h"

static bool is_own(const struct cgroup_obj *g)
{
	return !strcmp(g->path, "/");
}

/* "/" or "/a/b": no component is empty, "." or "..". */
static bool is_path(const char *path)
{
	unsigned depth = 0;

	if (!strcmp(path, "/"))
		return true;
	while (*path == '/' && depth++ < CGROUP_DEPTH_MAX) {
		size_t len = strcspn(++path, "/");

		if (!len || len > 255 || (len == 1 && *path == '.') || (len == 2 && !strncmp(path, "..", 2)))
			return false;
		path += len;
		if (!*path)
			return true;
	}
	return false;
}

static bool is_owner(uint32_t id)
{
	return id <= 65535 || id == CGROUP_FOREIGN;
}

static bool has_parent(const struct model *m, const struct cgroup_obj *g)
{
	_free_ char *parent = mem_strdup(g->path);

	*strrchr(parent, '/') = 0;
	return !*parent || model_cgroup_at(m, parent);
}

static int validate_file(const struct cgroup_obj *g, const struct cgroup_file *f, struct err *err)
{
	const struct cgroup_control *control = cgroup_control_of(f->name);

	if (!*f->name || *f->name == '.' || strchr(f->name, '/'))
		return validate_bad(err, "a file with the name \"%s\"", f->name);
	if (f->mode > 07777 || !is_owner(f->uid) || !is_owner(f->gid))
		return validate_bad(err, "%s: impossible owner or mode", f->name);
	if (f->value && (!control || !control->carried || strchr(f->value, '\n')))
		return validate_bad(err, "%s: a value that images do not carry", f->name);
	if (is_own(g) && !cgroup_is_delegated(f->name))
		return validate_bad(err, "%s of the VE's own cgroup belongs to the node", f->name);
	return 0;
}

static int validate_cgroup(const struct model *m, const struct cgroup_obj *g, struct err *err)
{
	if (!is_path(g->path))
		return validate_bad(err, "impossible path");
	if (g > m->cgroups.at && strcmp(g[-1].path, g->path) >= 0)
		return validate_bad(err, "it is there twice, or out of order");
	if (!is_own(g) && !has_parent(m, g))
		return validate_bad(err, "what it is in does not exist");
	if (g->mode > 07777 || !is_owner(g->uid) || !is_owner(g->gid))
		return validate_bad(err, "impossible owner or mode");
	vec_each(f, &g->files) {
		if (validate_file(g, f, err))
			return -1;
	}
	vec_each(x, &g->xattrs) {
		if (strncmp(x->name, "user.", 5) || !x->name[5])
			return validate_bad(err, "attribute %s", x->name);
	}
	return 0;
}

int validate_cgroups(const struct model *m, struct err *err)
{
	if (m->cgroups.nr > CGROUPS_MAX)
		return validate_bad(err, "%zu cgroups", m->cgroups.nr);
	vec_each(g, &m->cgroups) {
		if (validate_cgroup(m, g, err))
			return err_ctx(err, "cgroup %s", g->path);
	}
	vec_each(t, &m->tasks) {
		if (t->cgroup && strcmp(t->cgroup, "/") && !model_cgroup_at(m, t->cgroup))
			return validate_bad(err, "task %u: cgroup %s does not exist", t->pid, t->cgroup);
	}
	return 0;
}
