// SPDX-License-Identifier: GPL-2.0-only
/* Mounts that the VE made itself: by its own init, so that they are its own. */
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>

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

int rst_mount_apply(struct rst *r, const struct mount_obj *m, struct err *err)
{
	char options[256];
	unsigned long set = 0;
	struct remote_batch *b;
	int ret;

	if (m->made_by_boot)
		return 0;
	if (strcmp(m->fstype, "tmpfs"))
		return err_set(err, ERR_IMAGE, "mount %s: type %s is not carried", m->mountpoint, m->fstype);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (has_option(m->options, flags[i].name))
			set |= flags[i].flag;
	tmpfs_options(m->super_options, options, sizeof(options));
	b = remote_batch_new();
	remote_call(b, "mount", 0, SYS_mount, ra_data(remote_batch_data(b, m->source, strlen(m->source) + 1)),
		    ra_data(remote_batch_data(b, m->mountpoint, strlen(m->mountpoint) + 1)),
		    ra_data(remote_batch_data(b, "tmpfs", 6)), ra_num(set),
		    ra_data(remote_batch_data(b, options, strlen(options) + 1)));
	ret = remote_batch_run(r->tasks.at[0].r, b, err);
	remote_batch_free(b);
	return ret ? err_ctx(err, "mount %s", m->mountpoint) : 0;
}
