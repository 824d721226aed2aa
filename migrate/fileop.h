/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The body of a FILE frame: one small operation on the VE's tree, see docs/protocol.md. Paths are relative,
 * made of names that are neither empty nor "." nor ".."; the empty path is the root itself. Ids are the VE's.
 */
#ifndef VERST_MIGRATE_FILEOP_H
#define VERST_MIGRATE_FILEOP_H

enum fileop {
	FILEOP_REMOVE = 1, /* path: whatever is there, with all below it; nothing there is fine */
	FILEOP_DIR,	   /* path, u8 replace: a directory is there (replace: an empty, new one) */
	FILEOP_NODE,	   /* path, u32 mode, u32 major, u32 minor, str target: symlink, FIFO, socket, device;
			      replaces */
	FILEOP_LINK,	   /* path, str of: another name of a file that is there; replaces */
	FILEOP_OPEN, /* path, u8 enum fileop_open, u64 size: a regular file, of that size, is the open one */
	FILEOP_DATA, /* u64 offset, bytes: into the open file */
	FILEOP_HOLE, /* u64 offset, u64 length: zeros in the open file */
	FILEOP_ATTR, /* path, u32 mode, uid, gid, i64 atime_ns, i64 mtime_ns, u32 nr, nr * (str name, u32
			length, bytes) */
};

enum fileop_open {
	FILEOP_OPEN_NEW = 1, /* a new file, replaces */
	FILEOP_OPEN_EMPTY,   /* the file that is there (or a new one), first made empty */
	FILEOP_OPEN_KEEP,    /* the file that is there, with its content */
};

#define FILEOP_XATTRS_MAX      128
#define FILEOP_XATTR_NAME_MAX  255
#define FILEOP_XATTR_VALUE_MAX 65536

#endif
