// SPDX-License-Identifier: GPL-2.0-only
/* The VE's mounts: those that every VE has are known, those of its own are carried if they are a tmpfs or
 * bound from elsewhere in the VE. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "cpt/cpt.h"
#include "cpt/ns.h"
#include "model/mount.h"

/* What kernel/jail.c mounts. */
static const char *const boot_mounts[] = {
	"/",	     "/proc",	    "/sys",	    "/sys/fs/cgroup", "/dev",
	"/dev/pts",  "/dev/shm",    "/dev/mqueue",  "/dev/null",      "/dev/zero",
	"/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",	      "/dev/console",
	"/dev/tty1", "/run",
};

static bool made_by_boot(const char *mountpoint)
{
	if (!strncmp(mountpoint, "/proc/", 6))
		return true; /* its masks */
	for (size_t i = 0; i < ARRAY_LEN(boot_mounts); i++)
		if (!strcmp(mountpoint, boot_mounts[i]))
			return true;
	return false;
}

/* Octal escapes of blanks and backslashes (fs/seq_file.c, mangle). In place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", proc_pid_mountinfo(5) */
static int parse_line(char *line, struct mount_obj *ret, struct err *err)
{
	char *field[8] = {0}, *at = line, *dash = strstr(line, " - "), *tail[3] = {0};
	size_t nr = 0;

	if (!dash)
		return err_set(err, ERR_SYSTEM, "mountinfo: unexpected line '%.60s'", line);
	*dash = 0;
	for (char *p; nr < 6 && (p = strsep(&at, " "));)
		field[nr++] = p;
	dash += 3;
	for (int i = 0; i < 3; i++)
		tail[i] = strsep(&dash, " ");
	if (nr < 6 || !tail[2])
		return err_set(err, ERR_SYSTEM, "mountinfo: unexpected line '%.60s'", line);
	*ret = (struct mount_obj){.id = (mount_id)strtoul(field[0], NULL, 10),
				  .parent = (mount_id)strtoul(field[1], NULL, 10)};
	sscanf(field[2], "%u:%u", &ret->dev_major, &ret->dev_minor);
	for (char *p; at && (p = strsep(&at, " "));) {
		sscanf(p, "shared:%u", &ret->shared_group);
		sscanf(p, "master:%u", &ret->master_group);
	}
	unescape(field[3]);
	unescape(field[4]);
	unescape(tail[1]);
	ret->root = mem_strdup(field[3]);
	ret->mountpoint = mem_strdup(field[4]);
	ret->options = mem_strdup(field[5]);
	ret->fstype = mem_strdup(tail[0]);
	ret->source = mem_strdup(tail[1]);
	ret->super_options = mem_strdup(tail[2]);
	ret->made_by_boot = made_by_boot(ret->mountpoint);
	return 0;
}

typedef VEC(struct mount_obj) mount_vec;

static void free_mounts(mount_vec *list)
{
	vec_each(m, list)
		model_free_mount(m);
	vec_free(list);
}

static int read_mounts(struct cpt *c, mount_vec *ret, struct err *err)
{
	struct buf text;
	char *rest, *line;
	int result = 0;

	if (io_read_file(c->tasks.at[0].proc_fd, "mountinfo", 16u << 20, &text, err))
		return -1;
	rest = (char *)text.at;
	while (!result && (line = strsep(&rest, "\n")) && *line)
		result = parse_line(line, vec_add(ret), err);
	buf_free(&text);
	if (result)
		free_mounts(ret);
	return result;
}

/* As the VE sees it: links and mounts on the way count. */
static int stat_in_root(const struct cpt *c, const char *path, struct stat *ret)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_fd_ int fd = (int)syscall(SYS_openat2, c->run.root_fd, path, &how, sizeof(how));

	return fd < 0 ? -1 : fstat(fd, ret);
}

/* Is what was bound still where the restore would take it from? */
static bool source_is_there(const struct cpt *c, const mount_vec *all, const struct mount_obj *m)
{
	_free_ char *source = mount_bind_source(all->at, m);
	struct stat a, b;

	return source && !stat_in_root(c, source, &a) && !stat_in_root(c, m->mountpoint, &b) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void check_one(struct cpt *c, const mount_vec *all, const struct mount_obj *m)
{
	static const char hint[] = "umount it inside the VE";
	char where[128];

	snprintf(where, sizeof(where), "mount %.100s", m->mountpoint);
	for (const struct mount_obj *other = all->at; other < m; other++) {
		if (!strcmp(other->mountpoint, m->mountpoint) && strncmp(m->mountpoint, "/proc/", 6))
			findings_add(c->findings, where, hint, "mounted over another mount");
	}
	if (m->made_by_boot)
		return;
	if (mount_is_bound(all->at, m)) {
		if (!source_is_there(c, all, m))
			findings_add(c->findings, where, hint,
				     "bound from %s of a filesystem, which is not to be seen any more",
				     m->root);
	} else if (strcmp(m->fstype, "tmpfs") || strcmp(m->root, "/")) {
		findings_add(c->findings, where, hint, "a mount of type %s that the VE made", m->fstype);
	}
}

int cpt_mount_check(struct cpt *c, struct err *err)
{
	mount_vec list = {0};

	if (read_mounts(c, &list, err))
		return -1;
	vec_each(m, &list)
		check_one(c, &list, m);
	free_mounts(&list);
	return 0;
}

/* The node's ids of mounts mean nothing elsewhere; ours are given in order. A mount may be listed before its
 * parent only where one is moved, so parents are looked up in the whole list. */
int cpt_mount_collect(struct cpt *c, struct err *err)
{
	mount_vec list = {0};

	if (read_mounts(c, &list, err))
		return -1;
	for (size_t i = 0; i < list.nr; i++) {
		struct mount_obj *m = vec_add(&c->m.mounts);
		mount_id parent = 0;

		for (size_t k = 0; k < i; k++)
			if (list.at[k].id == list.at[i].parent)
				parent = (mount_id)k + 1;
		*m = list.at[i];
		m->parent = parent;
	}
	for (size_t i = 0; i < c->m.mounts.nr; i++)
		c->m.mounts.at[i].id = (mount_id)i + 1;
	vec_free(&list);
	return 0;
}

int cpt_mount_each(struct cpt *c, int (*fn)(void *arg, dev_t dev, const char *path), void *arg,
		   struct err *err)
{
	mount_vec list = {0};
	int ret = 0;

	if (read_mounts(c, &list, err))
		return -1;
	vec_each(m, &list)
		if (!ret)
			ret = fn(arg, makedev(m->dev_major, m->dev_minor), m->mountpoint);
	free_mounts(&list);
	return ret;
}
