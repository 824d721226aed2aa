// SPDX-License-Identifier: GPL-2.0-only
/* The files of a tmpfs through an image into another tmpfs. Needs root. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "cpt/cpt.h"
#include "rst/rst.h"

#define BASE "/tmp/verst-fsent-test"

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

static void make_files(const char *at)
{
	_free_ char *big = mem_alloc((5u << 20) + 8);

	MUST(chdir(at));
	MUST(mkdir("dir", 0750));
	MUST(mkdir("dir/sub", 01777));
	put_file("dir/plain", "hello", 5, 0);
	put_file("dir/sparse", "end", 1 << 30, (1 << 30) - 3);
	put_file("empty", "", 0, 0);
	memset(big, 'b', 5u << 20);
	put_file("big", big, (5u << 20) + 7, 3);
	MUST(chmod("dir/plain", 04751));
	MUST(chown("dir/plain", 33, 44));
	MUST(chmod("dir/plain", 04751));
	MUST(link("dir/plain", "dir/sub/second"));
	MUST(link("dir/plain", "third"));
	MUST(symlink("../nowhere at all", "dir/link"));
	MUST(lchown("dir/link", 5, 6));
	MUST(mkfifo("dir/fifo", 0640));
	MUST(lsetxattr("big", "trusted.verst", "value", 5, 0));
	MUST(chmod(".", 0700));
	set_old("dir/plain");
	set_old("big");
	set_old("dir/sparse");
	set_old("dir/link");
	set_old("dir/sub");
	set_old("dir");
	set_old(".");
	MUST(chdir("/"));
}

static void dump(int root_fd, int image)
{
	struct img_writer_opts opts = {.arch = "x86", .page_bytes = 4096};
	struct cpt c = {.run = {.root_fd = root_fd}};
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
	struct rst r = {.run = {.root_fd = root_fd}};
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

static void same_content(const char *a, const char *b, size_t size_bytes)
{
	_fd_ int x = open(a, O_RDONLY | O_CLOEXEC), y = open(b, O_RDONLY | O_CLOEXEC);
	_free_ uint8_t *p = mem_alloc(1 << 20), *q = mem_alloc(1 << 20);
	ssize_t n;

	/* the last 16 MiB tell enough of a sparse one */
	if (size_bytes > 16u << 20) {
		lseek(x, -(16 << 20), SEEK_END);
		lseek(y, -(16 << 20), SEEK_END);
	}
	while ((n = read(x, p, 1 << 20)) > 0) {
		cr_assert_eq(read(y, q, 1 << 20), n);
		cr_assert_eq(memcmp(p, q, (size_t)n), 0, "%s has other bytes", b);
	}
	cr_assert_eq(read(y, q, 1), 0);
}

static void same(const char *name)
{
	_free_ char *a = mem_printf(BASE "/a/mnt/%s", name), *b = mem_printf(BASE "/b/mnt/%s", name);
	char text[2][100] = {{0}};
	struct stat x, y;

	MUST(lstat(a, &x));
	MUST(lstat(b, &y));
	cr_assert_eq(x.st_mode, y.st_mode, "%s: mode %o, %o", name, x.st_mode, y.st_mode);
	cr_assert_eq(x.st_uid, y.st_uid, "%s", name);
	cr_assert_eq(x.st_gid, y.st_gid, "%s", name);
	cr_assert_eq(x.st_size, y.st_size, "%s: size", name);
	cr_assert_eq(x.st_nlink, y.st_nlink, "%s: links", name);
	cr_assert_eq(x.st_blocks, y.st_blocks, "%s: blocks %ld, %ld", name, x.st_blocks, y.st_blocks);
	cr_assert_eq(x.st_mtim.tv_sec, y.st_mtim.tv_sec, "%s: time", name);
	cr_assert_eq(x.st_mtim.tv_nsec, y.st_mtim.tv_nsec, "%s: time", name);
	if (S_ISREG(x.st_mode))
		same_content(a, b, (size_t)x.st_size);
	if (S_ISLNK(x.st_mode)) {
		MUST(readlink(a, text[0], 99));
		MUST(readlink(b, text[1], 99));
		cr_assert_str_eq(text[0], text[1]);
	}
}

Test(fsent, a_tmpfs_comes_back)
{
	static const char *const names[] = {".",     "dir",	 "dir/sub",  "dir/plain",  "dir/sub/second",
					    "third", "dir/link", "dir/fifo", "dir/sparse", "big",
					    "empty"};
	_fd_ int image = memfd_create("image", MFD_CLOEXEC);
	_fd_ int a = -1, b = -1;
	struct err err = ERR_INIT;
	char value[8] = {0};

	if (geteuid())
		cr_skip_test("needs root");
	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	cr_assert_eq(io_mkdir_p(BASE, 0700, &err), 0);
	MUST(mount("tmpfs", BASE, "tmpfs", 0, NULL));
	cr_assert_eq(io_mkdir_p(BASE "/a/mnt", 0755, &err), 0);
	cr_assert_eq(io_mkdir_p(BASE "/b/mnt", 0755, &err), 0);
	MUST(mount("tmpfs", BASE "/a/mnt", "tmpfs", 0, NULL));
	MUST(mount("tmpfs", BASE "/b/mnt", "tmpfs", 0, NULL));
	make_files(BASE "/a/mnt");
	a = open(BASE "/a", O_PATH | O_DIRECTORY | O_CLOEXEC);
	b = open(BASE "/b", O_PATH | O_DIRECTORY | O_CLOEXEC);
	dump(a, image);
	restore(b, image);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		same(names[i]);
	MUST(lgetxattr(BASE "/b/mnt/big", "trusted.verst", value, sizeof(value)));
	cr_assert_str_eq(value, "value");
	MUST(umount2(BASE, MNT_DETACH));
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
