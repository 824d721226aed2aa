// SPDX-License-Identifier: GPL-2.0-only
#include "rst/unix_name.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define NAME_MAX_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

unsigned rst_unix_name_address(int handle, const struct bytes *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (handle >= 0) {
		snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d", handle);
		return sizeof(*ret);
	}
	if (!name->len_bytes || name->len_bytes > NAME_MAX_BYTES || name->at[0])
		return 0;
	memcpy(ret->sun_path, name->at, name->len_bytes);
	return (unsigned)(offsetof(struct sockaddr_un, sun_path) + name->len_bytes);
}

static int tmpfs(struct rst_apart *a, struct err *err)
{
	_fd_ int fs = -1;

	if (a->tmpfs_fd >= 0)
		return 0;
	fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return err_sys(err, "tmpfs");
	a->tmpfs_fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return a->tmpfs_fd < 0 ? err_sys(err, "tmpfs") : 0;
}

/* The directory of a path in the VE's root; nothing leads out of it. */
static int open_dir_of(const struct rst_apart *a, const char *path, int *ret_fd, struct err *err)
{
	_free_ char *dir = mem_strdup(path);
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	strrchr(dir, '/')[dir[0] == '/' && !strchr(dir + 1, '/') ? 1 : 0] = 0;
	*ret_fd = (int)syscall(SYS_openat2, a->r->run.root_fd, dir, &how, sizeof(how));
	return *ret_fd < 0 ? err_sys(err, "%s", dir) : 0;
}

/* Inside of the scratch directory as root: the directories on the way to the name; with as many above it as
 * it climbs. */
static int make_way(const char *name, struct err *err)
{
	char part[NAME_MAX_BYTES + 1];

	for (const char *up = strstr(name, ".."); name[0] != '/' && up; up = strstr(up + 2, ".."))
		if ((mkdir("d", 0700) && errno != EEXIST) || chdir("d"))
			return err_sys(err, "scratch directory");
	for (const char *slash = strchr(name + 1, '/'); name[0] && slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		if (mkdir(part, 0700) && errno != EEXIST)
			return err_sys(err, "scratch directory");
	}
	return 0;
}

static int bind_here(struct rst_apart *a, int fd, const char *name, const struct unix_obj *obj,
		     int *ret_handle, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	uint32_t uid = obj ? obj->uid : 0, gid = obj ? obj->gid : 0;

	memcpy(addr.sun_path, name, len);
	/* mode and owner as bind makes them: 0777 without the umask, the process's ids (unix_bind_bsd) */
	umask(obj ? ~obj->mode & 0777 : 0);
	if (rst_apart_become(a, uid, gid, err))
		return -1;
	if (bind(fd, (struct sockaddr *)&addr,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + MIN(len + 1, NAME_MAX_BYTES))))
		return err_sys(err, "bind");
	umask(022);
	if (rst_apart_become(a, 0, 0, err))
		return -1;
	*ret_handle = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return *ret_handle < 0 ? err_sys(err, "opening it") : 0;
}

/* To its place, over a stale file that came with the tree. */
static int move_file(const struct rst_apart *a, const char *name, int dir_fd, const struct unix_obj *obj,
		     int handle, struct err *err)
{
	/* a directory with the set-group-id bit may have given it another group */
	if (fchownat(handle, "", a->r->run.uid_base + obj->uid, a->r->run.uid_base + obj->gid, AT_EMPTY_PATH))
		return err_sys(err, "owner");
	return renameat(AT_FDCWD, name, dir_fd, strrchr(obj->path, '/') + 1)
		       ? err_sys(err, "moving it to its place")
		       : 0;
}

static int in_scratch(struct rst_apart *a, int scratch_fd, int dir_fd, int fd, const char *name,
		      const struct unix_obj *obj, int *ret_handle, struct err *err)
{
	int r = -1;

	if (fchdir(scratch_fd) || chroot("."))
		return err_sys(err, "scratch directory");
	if (!make_way(name, err) && !bind_here(a, fd, name, obj, ret_handle, err))
		r = dir_fd < 0 ? 0 : move_file(a, name, dir_fd, obj, *ret_handle, err);
	if (fchdir(a->host_root_fd) || chroot("."))
		return err_sys(err, "back to the root directory");
	return r;
}

static int bind_file(struct rst_apart *a, int fd, const char *name, const struct unix_obj *obj,
		     int *ret_handle, struct err *err)
{
	bool placed = obj && obj->path;
	_fd_ int dir = -1, scratch = -1, handle = -1;
	struct err ignored = ERR_INIT;
	char scratch_name[48];
	int r = -1;

	snprintf(scratch_name, sizeof(scratch_name), ".verst-%d-%u", getpid(), a->nr_scratch++);
	if (placed ? open_dir_of(a, obj->path, &dir, err) : tmpfs(a, err))
		return -1;
	if (mkdirat(placed ? dir : a->tmpfs_fd, scratch_name, 0700))
		return err_sys(err, "scratch directory");
	scratch = openat(placed ? dir : a->tmpfs_fd, scratch_name,
			 O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (scratch < 0)
		err_sys(err, "scratch directory");
	else
		r = in_scratch(a, scratch, dir, fd, name, obj, &handle, err);
	if (io_remove_tree(placed ? dir : a->tmpfs_fd, scratch_name, &ignored))
		log_warn("%s in the directory of %s: %s", scratch_name, placed ? obj->path : name,
			 ignored.msg);
	if (!r)
		*ret_handle = fd_take(&handle);
	return r;
}

int rst_unix_name_bind(struct rst_apart *a, int fd, const struct bytes *name, const struct unix_obj *obj,
		       int *ret_handle, struct err *err)
{
	char text[NAME_MAX_BYTES + 1] = "";
	struct sockaddr_un addr;
	unsigned len;

	*ret_handle = -1;
	if (!name->len_bytes || name->len_bytes > NAME_MAX_BYTES || (obj && obj->path && obj->path[0] != '/'))
		return err_set(err, ERR_IMAGE, "name of a unix socket");
	if (!name->at[0]) {
		len = rst_unix_name_address(-1, name, &addr);
		return bind(fd, (struct sockaddr *)&addr, len)
			       ? err_sys(err, "binding to @%.*s", (int)name->len_bytes - 1,
					 (const char *)name->at + 1)
			       : 0;
	}
	memcpy(text, name->at, name->len_bytes);
	if (strlen(text) != name->len_bytes || text[name->len_bytes - 1] == '/')
		return err_set(err, ERR_IMAGE, "name of a unix socket");
	return bind_file(a, fd, text, obj, ret_handle, err) ? err_ctx(err, "unix socket %s", text) : 0;
}
