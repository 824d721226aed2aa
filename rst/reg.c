// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of the VE's tree. A path of an image is looked up in the VE's root and nowhere else, first as a place
 * only: what lies there is opened when it is of the type that was saved.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "rst/file.h"

/* What open(2) may be told again; the others were for the moment of opening (fs/open.c do_dentry_open). */
#define OPEN_FLAGS                                                                                           \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_SYNC | O_DSYNC | O_PATH | O_LARGEFILE)

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "regular file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symbolic link";
	case S_IFIFO:
		return "FIFO";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	default:
		return "thing of no known type";
	}
}

int rst_reg_place(struct rst *r, const char *path, uint32_t type, int *ret_fd, struct err *err)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_fd_ int fd = (int)syscall(SYS_openat2, r->run.root_fd, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_sys(err, "%s", path);
	if ((st.st_mode & S_IFMT) != (type & S_IFMT))
		return err_set(err, ERR_RESTORE, "%s is a %s, and was a %s when the VE was saved", path,
			       type_name(st.st_mode), type_name(type));
	*ret_fd = fd_take(&fd);
	return 0;
}

int rst_reg_again(int fd, int flags, int *ret_fd, struct err *err)
{
	char name[32];
	int new;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	new = open(name, flags | O_CLOEXEC | O_NOCTTY);
	if (new < 0)
		return err_sys(err, "open with flags %o", flags);
	*ret_fd = new;
	return 0;
}

/* While the VE was saved its files went to this node too, or have been here: a difference is worth a word. */
static void compare(const struct reg_obj *reg, int fd)
{
	struct stat st;

	if (S_ISREG(reg->mode) && reg->mtime_ns && !fstat(fd, &st) && (uint64_t)st.st_size != reg->size_bytes)
		log_warn("%s has changed since the VE was saved: %llu bytes, were %llu", reg->path,
			 (unsigned long long)st.st_size, (unsigned long long)reg->size_bytes);
}

static int open_ghost(struct rst *r, const struct reg_obj *reg, int flags, int *ret_fd, struct err *err)
{
	int ghost;

	if (rst_ghost_fd(r, reg->ghost, &ghost, err))
		return err_ctx(err, "deleted file %s", reg->path);
	return rst_reg_again(ghost, flags, ret_fd, err);
}

int rst_reg_open(struct rst *r, reg_id id, int flags, int *ret_fd, struct err *err)
{
	const struct reg_obj *reg = model_reg(&r->m, id);
	_fd_ int place = -1;

	if (!reg)
		return err_set(err, ERR_IMAGE, "file %u does not exist", id);
	flags &= OPEN_FLAGS;
	if (S_ISDIR(reg->mode) && !(flags & O_PATH))
		flags |= O_DIRECTORY;
	if (reg->ghost)
		return open_ghost(r, reg, flags, ret_fd, err);
	if (rst_reg_place(r, reg->path, reg->mode, &place, err))
		return -1;
	if (flags & O_PATH) {
		*ret_fd = fd_take(&place);
		return 0;
	}
	/* all else has a kind of its own, and opening it may do things */
	if (!S_ISREG(reg->mode) && !S_ISDIR(reg->mode))
		return err_set(err, ERR_IMAGE, "%s: a %s is no file to be opened so", reg->path,
			       type_name(reg->mode));
	if (rst_reg_again(place, flags, ret_fd, err))
		return err_ctx(err, "%s", reg->path);
	compare(reg, place);
	return 0;
}

static int reg_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	return rst_reg_open(r, f->of, (int)f->flags, ret_fd, err);
}

const struct rst_file_kind rst_reg_kind = {.kind = FILE_REG, .open = reg_open};
