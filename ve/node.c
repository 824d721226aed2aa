// SPDX-License-Identifier: GPL-2.0-only
#include "ve/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define CONF_MAX_BYTES (1 << 20)

/* Absolute, without a slash at the end and without "." or ".."; the last part need not exist yet. */
static int absolute(const char *root, char ret[static PATH_MAX], struct err *err)
{
	if (mkdir(root, 0755) && errno != EEXIST)
		return err_sys(err, "%s", root);
	if (!realpath(root, ret))
		return err_sys(err, "%s", root);
	if (!strcmp(ret, "/"))
		ret[0] = 0;
	return 0;
}

/* Two nodes on one machine share its cgroups, so each may have a name of its own in them. */
static int set_cgroup(struct ve_node *node, const char *name, struct err *err)
{
	if (!*name || strlen(name) >= sizeof(node->cgroup) || strchr(name, '/') || name[0] == '.')
		return err_set(err, ERR_VALUE, "%.2000s/verst.conf: CGROUP is no plain name: '%s'", node->etc,
			       name);
	strcpy(node->cgroup, name);
	return 0;
}

int ve_node_init(struct ve_node *node, const char *root, struct err *err)
{
	struct ve_conf conf = {0};
	const char *name;
	int r;

	*node = (struct ve_node){0};
	if (root && *root && absolute(root, node->root, err))
		return -1;
	if (strlen(node->root) + 64 > PATH_MAX)
		return err_set(err, ERR_VALUE, "%s: path too long", root);
	snprintf(node->etc, sizeof(node->etc), "%.4000s/etc/verst", node->root);
	snprintf(node->lib, sizeof(node->lib), "%.4000s/var/lib/verst", node->root);
	snprintf(node->run, sizeof(node->run), "%.4000s/run/verst", node->root);
	if (node->root[0])
		snprintf(node->cgroup, sizeof(node->cgroup), "verst-%08x",
			 XXH32(node->root, strlen(node->root), 0));
	else
		snprintf(node->cgroup, sizeof(node->cgroup), "verst");
	if (ve_node_conf(node, &conf, err))
		return -1;
	name = ve_conf_get(&conf, "CGROUP");
	r = name ? set_cgroup(node, name, err) : 0;
	ve_conf_free(&conf);
	return r;
}

int verst_open(const char *root, struct verst **ret, struct err *err)
{
	struct verst *v = mem_new(struct verst);

	if (ve_node_init(&v->node, root, err)) {
		free(v);
		return -1;
	}
	*ret = v;
	return 0;
}

void verst_close(struct verst *v)
{
	free(v);
}

int ve_node_read_conf(const char *path, struct ve_conf *ret, struct err *err)
{
	struct buf text = {0};
	int r;

	if (io_read_file(AT_FDCWD, path, CONF_MAX_BYTES, &text, err))
		return -1;
	r = ve_conf_parse(ret, (const char *)text.at, text.len_bytes, err);
	buf_free(&text);
	return r ? err_ctx(err, "%s", path) : 0;
}

int ve_node_conf(const struct ve_node *node, struct ve_conf *ret, struct err *err)
{
	char path[PATH_MAX];

	*ret = (struct ve_conf){0};
	ve_node_path(path, node->etc, "verst.conf");
	if (access(path, F_OK))
		return 0;
	return ve_node_read_conf(path, ret, err);
}

void ve_node_path(char ret[static PATH_MAX], const char *dir, const char *fmt, ...)
{
	va_list ap;
	size_t len = strlen(dir);

	memcpy(ret, dir, len);
	ret[len++] = '/';
	va_start(ap, fmt);
	vsnprintf(ret + len, PATH_MAX - len, fmt, ap);
	va_end(ap);
}

unsigned ve_node_parse_id(const char *s, char **ret_end)
{
	unsigned long id;

	*ret_end = (char *)s;
	if (*s < '1' || *s > '9')
		return 0;
	errno = 0;
	id = strtoul(s, ret_end, 10);
	return errno || id < VE_ID_MIN || id > VE_ID_MAX ? 0 : (unsigned)id;
}

int ve_node_ids(const struct ve_node *node, struct ve_ids *ret, struct err *err)
{
	_dir_ DIR *d = opendir(node->etc);
	struct dirent *e;

	*ret = (struct ve_ids){0};
	if (!d)
		return errno == ENOENT ? 0 : err_sys(err, "%s", node->etc);
	while ((e = readdir(d))) {
		char *end;
		unsigned id = ve_node_parse_id(e->d_name, &end);

		if (id && !strcmp(end, ".conf"))
			vec_push(ret, id);
	}
	return 0;
}
