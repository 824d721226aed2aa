// SPDX-License-Identifier: GPL-2.0-only
#include "ve/template.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "ve/node.h"

int template_check_name(const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (!len || len > 63 || !isalnum((unsigned char)name[0]))
		return err_set(err, ERR_VALUE, "bad name of a template: '%s'", name);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.+", name[i]))
			return err_set(err, ERR_VALUE, "bad name of a template: '%s'", name);
	return 0;
}

int template_open(const struct ve_node *node, const char *name, struct ve_template *ret, struct err *err)
{
	char path[PATH_MAX];

	if (template_check_name(name, err))
		return -1;
	ve_node_path(path, node->lib, "template/%.63s/manifest", name);
	ve_node_path(ret->root, node->lib, "template/%.63s/root", name);
	if (access(path, F_OK) || access(ret->root, F_OK))
		return err_set(err, ERR_NO_TEMPLATE, "there is no template '%s' (see verst template list)",
			       name);
	return ve_node_read_conf(path, &ret->manifest, err) ? err_code(err, ERR_TEMPLATE) : 0;
}

void template_close(struct ve_template *t)
{
	ve_conf_free(&t->manifest);
}

/* --- list --- */

void verst_template_free(struct verst_template *t)
{
	free(t->name);
	free(t->kind);
	free(t->init);
	free(t->arch);
	free(t->digest);
	*t = (struct verst_template){0};
}

static char *value_of(const struct ve_conf *conf, const char *key)
{
	const char *value = ve_conf_get(conf, key);

	return mem_strdup(value ? value : "");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct verst_template *)a)->name, ((const struct verst_template *)b)->name);
}

int verst_template_list(struct verst *v, struct verst_template **ret, size_t *ret_nr, struct err *err)
{
	struct {
		struct verst_template *at;
		size_t nr, cap;
	} list = {0};
	char path[PATH_MAX];
	_dir_ DIR *d = NULL;
	struct dirent *e;

	ve_node_path(path, v->node.lib, "template");
	d = opendir(path);
	if (!d && errno != ENOENT)
		return err_sys(err, "%s", path);
	while (d && (e = readdir(d))) {
		struct err ignored = ERR_INIT;
		struct ve_template t;

		if (e->d_name[0] == '.' || template_open(&v->node, e->d_name, &t, &ignored))
			continue;
		vec_push(&list, ((struct verst_template){
					.name = mem_strdup(e->d_name),
					.kind = value_of(&t.manifest, "KIND"),
					.init = value_of(&t.manifest, "INIT"),
					.arch = value_of(&t.manifest, "ARCH"),
					.digest = value_of(&t.manifest, "DIGEST"),
				}));
		template_close(&t);
	}
	vec_sort(&list, by_name);
	*ret = list.at;
	*ret_nr = list.nr;
	return 0;
}

/* --- build --- */

static int is_used(struct ve_node *node, const char *name, struct err *err)
{
	struct ve_ids ids;
	unsigned user = 0;

	if (ve_node_ids(node, &ids, err))
		return -1;
	vec_each(id, &ids) {
		struct err ignored = ERR_INIT;
		char number[16];
		const char *used;
		struct ve ve;

		snprintf(number, sizeof(number), "%u", *id);
		if (ve_open(node, number, false, &ve, &ignored))
			continue;
		used = ve_conf_get(&ve.conf, "OSTEMPLATE");
		if (used && !strcmp(used, name))
			user = *id;
		ve_close(&ve);
	}
	vec_free(&ids);
	return user ? err_set(err, ERR_TEMPLATE, "template '%s' is used by VE %u", name, user) : 0;
}

static const char *init_of(const char *kind, const struct verst_template_opts *opts)
{
	if (!strcmp(kind, "busybox"))
		return "busybox";
	return opts->init ? opts->init : "sysvinit";
}

static int write_manifest(const char *dir, const char *name, const char *kind,
			  const struct verst_template_opts *opts, struct err *err)
{
	struct ve_conf manifest = {0};
	char path[PATH_MAX], digest[33];
	_free_ char *text = NULL;
	struct utsname uts;

	snprintf(path, sizeof(path), "%.4000s/root", dir);
	if (template_digest(path, digest, err))
		return -1;
	uname(&uts);
	ve_conf_set(&manifest, "NAME", name);
	ve_conf_set(&manifest, "KIND", kind);
	ve_conf_set(&manifest, "INIT", init_of(kind, opts));
	ve_conf_set(&manifest, "ARCH", uts.machine);
	if (opts->packages)
		ve_conf_set(&manifest, "PACKAGES", opts->packages);
	ve_conf_set(&manifest, "DIGEST", digest);
	text = ve_conf_print(&manifest);
	ve_conf_free(&manifest);
	snprintf(path, sizeof(path), "%.4000s/manifest", dir);
	return io_replace_file(AT_FDCWD, path, text, strlen(text), 0644, err);
}

static int build_in(const char *dir, const char *name, const char *kind,
		    const struct verst_template_opts *opts, struct err *err)
{
	char root[PATH_MAX];
	int r;

	snprintf(root, sizeof(root), "%.4000s/root", dir);
	if (io_mkdir_p(root, 0755, err))
		return -1;
	r = !strcmp(kind, "busybox") ? template_fill_busybox(root, err)
				     : template_fill_debian(root, opts, err);
	return r ? -1 : write_manifest(dir, name, kind, opts, err);
}

int verst_template_build(struct verst *v, const char *kind, const struct verst_template_opts *opts,
			 struct err *err)
{
	const char *name = opts->name ? opts->name : kind;
	char dir[PATH_MAX], tmp[PATH_MAX];
	struct err ignored = ERR_INIT;
	int r;

	if (strcmp(kind, "busybox") && strcmp(kind, "debian"))
		return err_set(err, ERR_VALUE, "no such kind of template: '%s' (busybox, debian)", kind);
	if (template_check_name(name, err))
		return -1;
	ve_node_path(dir, v->node.lib, "template/%.63s", name);
	ve_node_path(tmp, v->node.lib, "template/.%.63s", name);
	if (!access(dir, F_OK) && !opts->force)
		return err_set(err, ERR_EXISTS, "there is a template '%s' already", name);
	if (is_used(&v->node, name, err) || io_remove_tree(AT_FDCWD, tmp, err))
		return -1;
	r = build_in(tmp, name, kind, opts, err);
	if (!r)
		r = io_remove_tree(AT_FDCWD, dir, err);
	if (!r && rename(tmp, dir))
		r = err_sys(err, "%s", dir);
	if (r) {
		io_remove_tree(AT_FDCWD, tmp, &ignored);
		if (err->code == ERR_SYSTEM)
			err_code(err, ERR_TEMPLATE);
		return err_ctx(err, "template '%s'", name);
	}
	return 0;
}

int verst_template_remove(struct verst *v, const char *name, struct err *err)
{
	char dir[PATH_MAX];
	struct ve_template t;

	if (template_open(&v->node, name, &t, err))
		return -1;
	template_close(&t);
	if (is_used(&v->node, name, err))
		return -1;
	ve_node_path(dir, v->node.lib, "template/%.63s", name);
	return io_remove_tree(AT_FDCWD, dir, err);
}
