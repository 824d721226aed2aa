// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/fileattr.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "migrate/fileop.h"

#define IDS_OF_A_VE 65536u

/* linux/posix_acl_xattr.h: u32 version 2, then entries of u16 tag, u16 perm, u32 id; little-endian */
#define ACL_HEADER_BYTES 4u
#define ACL_ENTRY_BYTES	 8u
#define ACL_TAG_USER	 2
#define ACL_TAG_GROUP	 8

void fileattr_free(struct fileattr *a)
{
	vec_each(x, &a->xattrs)
		free(x->name);
	vec_free(&a->xattrs);
}

static bool name_travels(const char *name)
{
	/* trusted.overlay.* would tell the overlay lies about its layers; what else is trusted or security is
	 * root's own */
	return (!strncmp(name, "user.", 5) || !strncmp(name, "security.", 9) ||
		!strncmp(name, "trusted.", 8) || !strncmp(name, "system.posix_acl_", 17)) &&
	       strncmp(name, "trusted.overlay.", 16);
}

int fileattr_get(struct cur *c, struct fileattr *ret, struct err *err)
{
	struct fileattr a = {0};
	uint32_t nr;

	a.mode = cur_u32(c);
	a.uid = cur_u32(c);
	a.gid = cur_u32(c);
	a.atime_ns = (int64_t)cur_u64(c);
	a.mtime_ns = (int64_t)cur_u64(c);
	nr = cur_u32(c);
	if (nr > FILEOP_XATTRS_MAX || a.mode > 07777)
		c->bad = true;
	for (uint32_t i = 0; i < nr && !c->bad; i++) {
		struct fileattr_x x = {.name = cur_str(c, FILEOP_XATTR_NAME_MAX)};

		x.len_bytes = cur_u32(c);
		if (x.len_bytes > FILEOP_XATTR_VALUE_MAX || !x.name || !name_travels(x.name))
			c->bad = true;
		x.value = cur_take(c, x.len_bytes);
		vec_push(&a.xattrs, x);
	}
	if (c->bad) {
		fileattr_free(&a);
		return err_set(err, ERR_PROTOCOL, "FILE: malformed attributes");
	}
	*ret = a;
	return 0;
}

/* --- values that hold ids --- */

static void shift_acl(struct buf *v, unsigned uid_base)
{
	for (size_t at = ACL_HEADER_BYTES; at + ACL_ENTRY_BYTES <= v->len_bytes; at += ACL_ENTRY_BYTES) {
		uint16_t tag;
		uint32_t id;

		memcpy(&tag, v->at + at, sizeof(tag));
		memcpy(&id, v->at + at + 4, sizeof(id));
		if (le16toh(tag) != ACL_TAG_USER && le16toh(tag) != ACL_TAG_GROUP)
			continue;
		id = htole32(le32toh(id) + uid_base);
		memcpy(v->at + at + 4, &id, sizeof(id));
	}
}

/* Read from the host's side they are of revision 2 (for root of the host); the VE's own are revision 3 with
 * its root. */
static void shift_capability(struct buf *v, unsigned uid_base)
{
	uint32_t magic, rootid = htole32(uid_base);

	if (v->len_bytes != XATTR_CAPS_SZ_2)
		return;
	memcpy(&magic, v->at, sizeof(magic));
	magic = htole32((le32toh(magic) & ~VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_3);
	memcpy(v->at, &magic, sizeof(magic));
	buf_put(v, &rootid, sizeof(rootid));
}

static int set_one(const char *path, const struct fileattr_x *x, unsigned uid_base, struct err *err)
{
	struct buf value = {0};
	int failed;

	buf_put(&value, x->value, x->len_bytes);
	if (uid_base && !strncmp(x->name, "system.posix_acl_", 17))
		shift_acl(&value, uid_base);
	if (uid_base && !strcmp(x->name, "security.capability"))
		shift_capability(&value, uid_base);
	failed = lsetxattr(path, x->name, value.at, value.len_bytes, 0);
	buf_free(&value);
	return failed ? err_sys(err, "attribute %s", x->name) : 0;
}

static bool named(const struct fileattr *a, const char *name)
{
	vec_each(x, &a->xattrs)
		if (!strcmp(x->name, name))
			return true;
	return false;
}

static int set_xattrs(const struct fileattr *a, const char *path, unsigned uid_base, struct err *err)
{
	char names[65536];
	ssize_t len = llistxattr(path, names, sizeof(names));

	for (const char *name = names; len > 0 && name < names + len; name += strlen(name) + 1)
		if (name_travels(name) && !named(a, name) && lremovexattr(path, name) && errno != ENODATA)
			return err_sys(err, "remove attribute %s", name);
	vec_each(x, &a->xattrs)
		if (set_one(path, x, uid_base, err))
			return -1;
	return 0;
}

int fileattr_apply(const struct fileattr *a, int dir_fd, const char *name, unsigned uid_base, struct err *err)
{
	struct timespec times[2] = {{a->atime_ns / 1000000000, a->atime_ns % 1000000000},
				    {a->mtime_ns / 1000000000, a->mtime_ns % 1000000000}};
	char path[64 + NAME_MAX + 1];
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(err, "stat");
	if (uid_base && (a->uid >= IDS_OF_A_VE || a->gid >= IDS_OF_A_VE))
		return err_set(err, ERR_VALUE, "owner %u:%u is beyond the ids of a VE", a->uid, a->gid);
	for (int i = 0; i < 2; i++)
		if (times[i].tv_nsec < 0)
			times[i] = (struct timespec){times[i].tv_sec - 1, times[i].tv_nsec + 1000000000};
	/* the owner first: changing it takes set-id bits and capabilities away */
	if (fchownat(dir_fd, name, uid_base + a->uid, uid_base + a->gid, AT_SYMLINK_NOFOLLOW))
		return err_sys(err, "owner");
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, name);
	if (set_xattrs(a, path, uid_base, err))
		return -1;
	if (!S_ISLNK(st.st_mode) && fchmodat(dir_fd, name, a->mode, 0))
		return err_sys(err, "mode");
	return utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) ? err_sys(err, "times") : 0;
}
