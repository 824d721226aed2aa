// SPDX-License-Identifier: GPL-2.0-only
/* The files of a tmpfs through an image into another tmpfs. Needs root. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "cpt/cpt.h"
#include "rst/rst.h"

#define BASE	 "/tmp/verst-fsent-test"
#define BASE_UID 100000u

static void must(int failed, const char *what)
{
	cr_assert(!failed, "%s: %s", what, strerror(errno));
}
#define MUST(call) must((call) < 0, #call)

static void put_file(const char *path, const char *text, size_t size_bytes, off_t at)
{
	_fd_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	MUST(fd);
	MUST(ftruncate(fd, (off_t)size_bytes));
	MUST(pwrite(fd, text, strlen(text), at));
}

static void set_old(const char *path)
{
	struct timespec times[2] = {{1000000000, 123456789}, {1000000000, 123456789}};

	MUST(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
}

/*
 * A process with a user and a mount namespace like a VE's, whose uid 0 is BASE_UID here, and a tmpfs of its
 * own at BASE/mnt. Gives the directory BASE as it is there.
 */
static pid_t start_ve(int *ret_root_fd)
{
	char path[64], map[64];
	int ready[2], mapped[2];
	pid_t pid;
	char c;

	MUST(pipe2(ready, O_CLOEXEC) | pipe2(mapped, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) || write(ready[1], "x", 1) != 1 ||
		    read(mapped[0], &c, 1) != 1 || setresgid(0, 0, 0) || setresuid(0, 0, 0) ||
		    mount("tmpfs", BASE "/mnt", "tmpfs", 0, "mode=755") || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &c, 1), 1);
	snprintf(map, sizeof(map), "0 %u 65536", BASE_UID);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	MUST(io_write_file(AT_FDCWD, path, map, &(struct err){0}));
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	MUST(io_write_file(AT_FDCWD, path, map, &(struct err){0}));
	cr_assert_eq(write(mapped[1], "x", 1), 1);
	cr_assert_eq(read(ready[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/root" BASE, pid);
	*ret_root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	MUST(*ret_root_fd);
	return pid;
}

static void stop_ve(pid_t pid, int root_fd)
{
	close(root_fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* As the VE's root would. */
static void make_files(int root_fd)
{
	_free_ char *big = mem_alloc((5u << 20) + 8);

	MUST(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
	setfsgid(BASE_UID);
	setfsuid(BASE_UID);
	MUST(fchdir(root_fd));
	MUST(chdir("mnt"));
	MUST(mkdir("dir", 0750));
	MUST(mkdir("dir/sub", 01777));
	put_file("dir/plain", "hello", 5, 0);
	put_file("dir/sparse", "end", 1 << 30, (1 << 30) - 3);
	put_file("empty", "", 0, 0);
	memset(big, 'b', 5u << 20);
	put_file("big", big, (5u << 20) + 7, 3);
	MUST(chmod("dir/plain", 04751));
	MUST(chown("dir/plain", BASE_UID + 33, BASE_UID + 44));
	MUST(chmod("dir/plain", 04751));
	MUST(link("dir/plain", "dir/sub/second"));
	MUST(link("dir/plain", "third"));
	MUST(symlink("../nowhere at all", "dir/link"));
	MUST(lchown("dir/link", BASE_UID + 5, BASE_UID + 6));
	MUST(mkfifo("dir/fifo", 0640));
	MUST(lsetxattr("big", "security.verst", "value", 5, 0));
	MUST(chmod(".", 0700));
	set_old("dir/plain");
	set_old("big");
	set_old("dir/sparse");
	set_old("dir/link");
	set_old("dir/sub");
	set_old("dir");
	set_old(".");
	MUST(chdir("/"));
	setfsuid(0);
	setfsgid(0);
}

static void dump(int root_fd, int image)
{
	struct img_writer_opts opts = {.arch = "x86", .page_bytes = 4096};
	struct cpt c = {.run = {.root_fd = root_fd, .uid_base = BASE_UID}};
	struct err err = ERR_INIT;

	*vec_add(&c.m.mounts) = (struct mount_obj){.id = 1,
						   .mountpoint = mem_strdup("/mnt"),
						   .root = mem_strdup("/"),
						   .fstype = mem_strdup("tmpfs"),
						   .source = mem_strdup("tmpfs"),
						   .options = mem_strdup("rw"),
						   .super_options = mem_strdup("rw")};
	cr_assert_eq(img_writer_open(image, &opts, &c.w, &err), 0);
	cr_assert_eq(img_put_mount(c.w, &c.m.mounts.at[0], &err), 0);
	cr_assert_eq(cpt_fsent_write(&c, &c.m.mounts.at[0], &err), 0, "%s", err.msg);
	cr_assert_eq(img_writer_end(c.w, &err), 0);
	img_writer_close(c.w);
	model_free(&c.m);
}

static void restore(int root_fd, int image)
{
	struct rst r = {.run = {.root_fd = root_fd, .uid_base = BASE_UID}};
	struct err err = ERR_INIT;
	struct img_record rec;

	MUST(lseek(image, 0, SEEK_SET));
	cr_assert_eq(img_reader_open(image, &r.in, &err), 0);
	do {
		cr_assert_eq(img_read(r.in, &r.m, &rec, &err), 0, "%s", err.msg);
		if (rec.item == IMG_OBJECT && rec.type == OBJ_fsent)
			cr_assert_eq(rst_fsent_apply(&r, &r.m.fsents.at[rec.index], &err), 0, "%s", err.msg);
	} while (rec.item != IMG_END);
	img_reader_close(r.in);
	model_free(&r.m);
}

static void same_content(int a, int b, const char *path, off_t size_bytes)
{
	_fd_ int x = openat(a, path, O_RDONLY | O_CLOEXEC), y = openat(b, path, O_RDONLY | O_CLOEXEC);
	_free_ uint8_t *p = mem_alloc(1 << 20), *q = mem_alloc(1 << 20);
	/* the last 16 MiB tell enough of a sparse one */
	off_t at = MAX(size_bytes - (16 << 20), 0);
	ssize_t n;

	for (; (n = pread(x, p, 1 << 20, at)) > 0; at += n) {
		cr_assert_eq(pread(y, q, 1 << 20, at), n);
		cr_assert_eq(memcmp(p, q, (size_t)n), 0, "%s has other bytes", path);
	}
	cr_assert_eq(pread(y, q, 1, at), 0);
}

static void same(int a, int b, const char *name)
{
	_free_ char *path = mem_printf("mnt/%s", name);
	char text[2][100] = {{0}};
	struct stat x, y;

	MUST(fstatat(a, path, &x, AT_SYMLINK_NOFOLLOW));
	MUST(fstatat(b, path, &y, AT_SYMLINK_NOFOLLOW));
	cr_assert_eq(x.st_mode, y.st_mode, "%s: mode %o, %o", name, x.st_mode, y.st_mode);
	cr_assert_eq(x.st_uid, y.st_uid, "%s: uid %u, %u", name, x.st_uid, y.st_uid);
	cr_assert_eq(x.st_gid, y.st_gid, "%s", name);
	cr_assert_eq(x.st_size, y.st_size, "%s: size", name);
	cr_assert_eq(x.st_nlink, y.st_nlink, "%s: links", name);
	cr_assert_eq(x.st_blocks, y.st_blocks, "%s: blocks %ld, %ld", name, x.st_blocks, y.st_blocks);
	cr_assert_eq(x.st_mtim.tv_sec, y.st_mtim.tv_sec, "%s: time", name);
	cr_assert_eq(x.st_mtim.tv_nsec, y.st_mtim.tv_nsec, "%s: time", name);
	if (S_ISREG(x.st_mode))
		same_content(a, b, path, x.st_size);
	if (S_ISLNK(x.st_mode)) {
		MUST(readlinkat(a, path, text[0], 99));
		MUST(readlinkat(b, path, text[1], 99));
		cr_assert_str_eq(text[0], text[1]);
	}
}

static void same_xattr(int root_fd)
{
	_free_ char *path = mem_printf("/proc/self/fd/%d/mnt/big", root_fd);
	char value[8] = {0};

	MUST(lgetxattr(path, "security.verst", value, sizeof(value)));
	cr_assert_str_eq(value, "value");
}

Test(fsent, a_tmpfs_comes_back)
{
	static const char *const names[] = {".",     "dir",	 "dir/sub",  "dir/plain",  "dir/sub/second",
					    "third", "dir/link", "dir/fifo", "dir/sparse", "big",
					    "empty"};
	_fd_ int image = memfd_create("image", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	pid_t first, second;
	int a, b;

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert_eq(io_mkdir_p(BASE "/mnt", 0755, &err), 0);
	first = start_ve(&a);
	second = start_ve(&b);
	make_files(a);
	dump(a, image);
	restore(b, image);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		same(a, b, names[i]);
	same_xattr(b);
	stop_ve(first, a);
	stop_ve(second, b);
	rmdir(BASE "/mnt");
	rmdir(BASE);
}

/* An image must not reach out of the mount by a link that it brought itself. */
Test(fsent, links_lead_nowhere)
{
	struct rst r = {0};
	struct err err = ERR_INIT;
	struct fsent_obj link = {.mount = 1, .path = "out", .mode = S_IFLNK | 0777, .symlink = "/tmp"},
			 file = {.mount = 1, .path = "out/verst-escaped", .mode = S_IFREG | 0600};

	if (geteuid())
		cr_skip_test("needs root");
	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	cr_assert_eq(io_mkdir_p(BASE "2", 0700, &err), 0);
	MUST(mount("tmpfs", BASE "2", "tmpfs", 0, NULL));
	r.run.root_fd = open(BASE "2", O_PATH | O_DIRECTORY | O_CLOEXEC);
	*vec_add(&r.m.mounts) =
		(struct mount_obj){.id = 1, .mountpoint = mem_strdup("/"), .fstype = mem_strdup("tmpfs")};
	cr_assert_eq(rst_fsent_apply(&r, &link, &err), 0, "%s", err.msg);
	cr_assert_eq(rst_fsent_apply(&r, &file, &err), -1);
	cr_assert_eq(access("/tmp/verst-escaped", F_OK), -1);
	model_free(&r.m);
	close(r.run.root_fd);
	MUST(umount2(BASE "2", MNT_DETACH));
	rmdir(BASE "2");
}
