// SPDX-License-Identifier: GPL-2.0-only
/* Mounts that the VE made itself: by its own init, so that they are its own. */
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "model/mount.h"
#include "rst/rst.h"

static const struct {
	const char *name;
	unsigned long flag;
} flags[] = {
	{"ro", MS_RDONLY},	   {"nosuid", MS_NOSUID},     {"nodev", MS_NODEV},	   {"noexec", MS_NOEXEC},
	{"noatime", MS_NOATIME}, {"nodiratime", MS_NODIRATIME}, {"relatime", MS_RELATIME}, {"sync", MS_SYNCHRONOUS},
};

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, len) && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

/* Of a tmpfs's own options those that limit it; owner and mode come with its root's record. */
static void tmpfs_options(const char *options, char *ret, size_t ret_bytes)
{
	static const char *const kept[] = {"size=", "nr_inodes=", "nr_blocks=", "huge="};
	size_t len = 0;

	*ret = 0;
	for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		for (size_t i = 0; i < ARRAY_LEN(kept); i++)
			if (!strncmp(p, kept[i], strlen(kept[i])))
				len += (size_t)snprintf(ret + len, len < ret_bytes ? ret_bytes - len : 0, "%s%.*s", len ? "," : "",
							(int)strcspn(p, ","), p);
}

static unsigned long flags_of(const struct mount_obj *m)
{
	unsigned long set = 0;

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (has_option(m->options, flags[i].name))
			set |= flags[i].flag;
	return set;
}

static size_t text(struct remote_batch *b, const char *s)
{
	return remote_batch_data(b, s, strlen(s) + 1);
}

static void add_bind(struct remote_batch *b, const struct mount_obj *m, const struct mount_obj *from)
{
	_free_ char *source = mount_bind_source(m, from);
	size_t to = text(b, m->mountpoint);

	remote_call(b, "mount --bind", 0, SYS_mount, ra_data(text(b, *source ? source : "/")), ra_data(to), ra_num(0), ra_num(MS_BIND),
		    ra_num(0));
	/* the flags of a bind mount are set by a second call (mount(2)) */
	remote_call(b, "mount -o remount,bind", 0, SYS_mount, ra_num(0), ra_data(to), ra_num(0),
		    ra_num(MS_BIND | MS_REMOUNT | flags_of(m)), ra_num(0));
}

static void add_tmpfs(struct remote_batch *b, const struct mount_obj *m)
{
	char options[256];

	tmpfs_options(m->super_options, options, sizeof(options));
	remote_call(b, "mount", 0, SYS_mount, ra_data(text(b, m->source)), ra_data(text(b, m->mountpoint)), ra_data(text(b, "tmpfs")),
		    ra_num(flags_of(m)), ra_data(text(b, options)));
}

/* An earlier mount that shows the same. */
static const struct mount_obj *bind_source(const struct rst *r, const struct mount_obj *m)
{
	vec_each(from, &r->m.mounts)
		if (from < m && mount_is_bind_of(m, from))
			return from;
	return NULL;
}

int rst_mount_apply(struct rst *r, const struct mount_obj *m, struct err *err)
{
	const struct mount_obj *from;
	struct remote_batch *b;
	int ret;

	if (m->made_by_boot)
		return 0;
	from = bind_source(r, m);
	if (!from && (strcmp(m->fstype, "tmpfs") || strcmp(m->root, "/")))
		return err_set(err, ERR_IMAGE, "mount %s: type %s is not carried", m->mountpoint, m->fstype);
	b = remote_batch_new();
	if (from)
		add_bind(b, m, from);
	else
		add_tmpfs(b, m);
	ret = remote_batch_run(r->tasks.at[0].r, b, err);
	remote_batch_free(b);
	return ret ? err_ctx(err, "mount %s", m->mountpoint) : 0;
}
