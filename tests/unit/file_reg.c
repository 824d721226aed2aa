// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include "cpt/file.h"
#include "rst/file.h"
#include "tests/unit/file_victim.h"

static char dir[] = "/tmp/verst-file-XXXXXX";

static void setup(void)
{
	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void teardown(void)
{
	struct err err;

	cr_assert_eq(chdir("/"), 0);
	io_remove_tree(AT_FDCWD, dir, &err);
}

TestSuite(file_reg, .init = setup, .fini = teardown, .timeout = 60);

static void put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(2);
}

static void open_plain(void *arg)
{
	int fd = open("log", O_CREAT | O_RDWR | O_APPEND, 0640);

	put(fd, "twelve bytes");
	if (dup(fd) != 4 || open("log", O_RDONLY | O_CLOEXEC) != 5 ||
	    open(".", O_RDONLY | O_DIRECTORY) != 6 || open("log", O_PATH) != 7 || symlink("log", "link") ||
	    open("link", O_PATH | O_NOFOLLOW) != 8 || open("/proc/self/status", O_RDONLY) != 9 ||
	    open("/dev/zero", O_RDONLY) != 10)
		_exit(1);
	lseek(5, 7, SEEK_SET);
	umask(0137);
}

Test(file_reg, plain_files)
{
	struct victim v = victim_start(open_plain, NULL);
	struct cpt c;
	struct rst r;
	const struct reg_obj *reg;
	struct stat st, own;
	char path[PATH_MAX], text[16] = {0};
	int fd;

	victim_cpt(&c, &v.pid, 1, true);
	victim_collect(&c);
	snprintf(path, sizeof(path), "%s/log", dir);
	cr_assert_eq(victim_file(&c, 3), victim_file(&c, 4), "dup shares the open file");
	cr_assert_neq(victim_file(&c, 3), victim_file(&c, 5));
	cr_assert_eq(victim_file(&c, 3)->of, victim_file(&c, 5)->of, "the same file of the tree");
	reg = model_reg(&c.m, victim_file(&c, 3)->of);
	cr_assert_str_eq(reg->path, path);
	cr_assert_eq(reg->size_bytes, 12);
	cr_assert_eq(victim_file(&c, 3)->pos, 12);
	cr_assert_eq(victim_file(&c, 5)->pos, 7);
	cr_assert(victim_file(&c, 3)->flags & O_APPEND);
	cr_assert_eq(victim_file(&c, 8)->kind, FILE_REG);
	cr_assert_eq(victim_file(&c, 10)->kind, FILE_CHARDEV);
	vec_each(e, &c.m.fdtables.at[0].fds)
		cr_assert_eq(e->cloexec, e->fd == 5, "fd %u", e->fd);
	cr_assert_eq(c.m.fss.at[0].umask, 0137);
	cr_assert_str_eq(c.m.fss.at[0].cwd, dir);
	cr_assert_str_eq(c.m.fss.at[0].root, "/");

	victim_rst(&r, &c);
	victim_open_all(&r);
	fd = victim_opened(&r, &c, 5);
	cr_assert_eq(read(fd, text, 5), 5);
	cr_assert_str_eq(text, "bytes");
	fd = victim_opened(&r, &c, 3);
	cr_assert_eq(write(fd, "!", 1), 1);
	cr_assert_eq(lseek(fd, 0, SEEK_CUR), 13);
	cr_assert_eq(fcntl(fd, F_GETFL), (int)victim_file(&c, 3)->flags);
	fd = victim_opened(&r, &c, 8);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert(S_ISLNK(st.st_mode));
	cr_assert_eq(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	cr_assert_eq(fstat(victim_opened(&r, &c, 6), &own), 0);
	cr_assert(S_ISDIR(own.st_mode));
	cr_assert_eq(read(victim_opened(&r, &c, 10), text, 4), 4);
	victim_rst_free(&r);
	victim_cpt_free(&c);
	victim_end(&v);
}

static void open_deleted(void *arg)
{
	int fd = open("gone", O_CREAT | O_RDWR, 0604), again;

	fchown(fd, 12, 34);
	put(fd, "content of a file without a name");
	pwrite(fd, "far", 3, 1 << 20);
	again = open("gone", O_WRONLY | O_APPEND);
	unlink("gone");
	mkdir("old", 0711);
	if (fd != 3 || again != 4 || open("old", O_RDONLY | O_DIRECTORY) != 5 || rmdir("old") ||
	    open(".", O_TMPFILE | O_RDWR, 0600) != 6)
		_exit(1);
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) == MAP_FAILED)
		_exit(1);
}

/* What the image would carry from cpt_ghost_write to rst_ghost_pages. */
static void carry_ghost(struct cpt *c, struct rst *r, ghost_id id, int from)
{
	uint64_t size = model_ghost(&c->m, id)->size_bytes, nr = (size + 4095) / 4096;
	uint8_t *data = mem_alloc(nr * 4096);
	struct pages_run run = {.start = 0, .nr_pages = nr, .kind = PAGES_DATA};
	struct img_pages p = {.target = PAGES_GHOST, .id = id, .runs = &run, .nr_runs = 1, .data = data};
	struct err err = ERR_INIT;

	cr_assert_eq(pread(from, data, size, 0), (ssize_t)size);
	cr_assert_eq(rst_ghost_pages(r, &p, &err), 0, "%s", err.msg);
	free(data);
}

Test(file_reg, deleted_files)
{
	struct victim v = victim_start(open_deleted, NULL);
	const struct reg_obj *reg, *mapped;
	const struct ghost_obj *g;
	unsigned long start, end;
	unsigned long ino;
	struct cpt c;
	struct rst r;
	struct stat st;
	struct err err = ERR_INIT;
	char line[512], name[64], text[64] = {0};
	reg_id id = 0;
	FILE *maps;
	int fd;

	victim_cpt(&c, &v.pid, 1, true);
	victim_collect(&c);
	reg = model_reg(&c.m, victim_file(&c, 3)->of);
	cr_assert_neq(reg->ghost, 0);
	cr_assert_eq(victim_file(&c, 4)->of, victim_file(&c, 3)->of, "both have the same nameless file");
	g = model_ghost(&c.m, reg->ghost);
	cr_assert_eq(g->size_bytes, (1 << 20) + 3);
	cr_assert_eq(g->mode, S_IFREG | 0604);
	cr_assert_eq(g->uid, 12);
	cr_assert_eq(g->gid, 34);
	cr_assert_str_eq(g->dir, dir);
	cr_assert(S_ISDIR(model_reg(&c.m, victim_file(&c, 5)->of)->mode));
	/* its mapping is the same file */
	snprintf(name, sizeof(name), "/proc/%d/maps", v.pid);
	maps = fopen(name, "r");
	while (fgets(line, sizeof(line), maps)) {
		char path[400];
		unsigned major, minor;

		if (sscanf(line, "%lx-%lx %*s %*s %x:%x %lu %399[^\n]", &start, &end, &major, &minor, &ino,
			   path) != 6 ||
		    !strstr(path, "/gone"))
			continue;
		cr_assert_eq(cpt_reg_of_mapping(&c, &c.tasks.at[0], start, end, makedev(major, minor), ino,
						path, &id, &err),
			     0, "%s", err.msg);
	}
	fclose(maps);
	mapped = model_reg(&c.m, id);
	cr_assert(mapped);
	cr_assert_eq(mapped->ghost, reg->ghost);

	victim_rst(&r, &c);
	snprintf(name, sizeof(name), "/proc/%d/fd/3", v.pid);
	fd = open(name, O_RDONLY);
	carry_ghost(&c, &r, reg->ghost, fd);
	close(fd);
	victim_open_all(&r);
	fd = victim_opened(&r, &c, 3);
	cr_assert_eq(lseek(fd, 0, SEEK_CUR), 32);
	cr_assert_eq(pread(fd, text, 32, 0), 32);
	cr_assert_str_eq(text, "content of a file without a name");
	cr_assert_eq(pread(fd, text, 3, 1 << 20), 3);
	cr_assert_eq(memcmp(text, "far", 3), 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_nlink, 0);
	cr_assert_eq(st.st_uid, 12);
	cr_assert_eq(st.st_mode, (mode_t)(S_IFREG | 0604));
	cr_assert_eq(st.st_mtim.tv_sec, g->mtime_ns / 1000000000);
	cr_assert_eq(write(victim_opened(&r, &c, 4), "+", 1), 1);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_size, (1 << 20) + 4, "appended through the other");
	cr_assert_eq(fstat(victim_opened(&r, &c, 5), &st), 0);
	cr_assert(S_ISDIR(st.st_mode));
	cr_assert_eq(st.st_mode & 07777, 0711u);
	victim_rst_free(&r);
	victim_cpt_free(&c);
	victim_end(&v);
}

static void open_odd(void *arg)
{
	int fd = open("two names (deleted)", O_CREAT | O_RDWR, 0600);

	if (fd != 3 || open("hard", O_CREAT | O_RDWR, 0600) != 4 || mkdir("sub", 0700) ||
	    link("hard", "sub/hard2") || unlink("hard") || open("locked", O_CREAT | O_RDWR, 0600) != 5 ||
	    flock(5, LOCK_EX) || open("/proc/self/ns/net", O_RDONLY) != 6 ||
	    open("hard3", O_CREAT | O_RDWR, 0600) != 7 || fcntl(7, F_SETLEASE, F_WRLCK))
		_exit(1);
}

Test(file_reg, obstacles)
{
	struct victim v = victim_start(open_odd, NULL);
	struct cpt c;
	char *all;

	victim_cpt(&c, &v.pid, 1, false);
	all = victim_check(&c);
	cr_expect(!strstr(all, "fd 3:"), "a name may end so: %s", all);
	cr_expect(!strstr(all, "fd 4: "), "its other name is found: %s", all);
	cr_expect(!strstr(all, "fd 5: "), "%s", all);
	cr_expect(strstr(all, "fd 6: net:["), "%s", all);
	cr_expect(strstr(all, "fd 7: LEASE on"), "%s", all);
	free(all);
	victim_cpt_free(&c);
	victim_end(&v);
}

static void open_linked(void *arg)
{
	int fd = open("first", O_CREAT | O_RDWR, 0600);

	put(fd, "linked");
	if (fd != 3 || mkdir("deep", 0700) || mkdir("deep/er", 0700) || link("first", "deep/er/second") ||
	    unlink("first"))
		_exit(1);
	if (mkdir("away", 0711) || chdir("away") || rmdir("../away"))
		_exit(1);
}

static int use_linked(void)
{
	struct stat a, b;
	char text[8], cwd[PATH_MAX];

	want(pread(3, text, 6, 0) == 6 && !memcmp(text, "linked", 6) && lseek(3, 0, SEEK_CUR) == 6);
	want(!getcwd(cwd, sizeof(cwd)) && errno == ENOENT && !stat(".", &a) && S_ISDIR(a.st_mode));
	want((a.st_mode & 07777) == 0711);
	want(open("x", O_CREAT | O_RDWR, 0600) == -1 && errno == ENOENT);
	want(!chdir(dir));
	want(!fstat(3, &a) && !stat("deep/er/second", &b) && a.st_ino == b.st_ino);
	return 0;
}

static void remove_linked(void)
{
	unlink("deep/er/second");
	rmdir("deep/er");
	rmdir("deep");
}

Test(file_reg, other_names_and_no_directory)
{
	struct victim_trip trip = {open_linked, NULL, use_linked, remove_linked};

	victim_round_trip(&trip);
}

static void take_locks(void *arg)
{
	struct flock part = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 50};
	struct flock tail = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 1000};

	if (open("flock", O_CREAT | O_RDWR, 0600) != 3 || flock(3, LOCK_EX) ||
	    open("shared", O_CREAT | O_RDWR, 0600) != 4 || flock(4, LOCK_SH) || dup(4) != 5 ||
	    open("posix", O_CREAT | O_RDWR, 0600) != 6 || fcntl(6, F_SETLK, &part) ||
	    fcntl(6, F_SETLK, &tail) || open("ofd", O_CREAT | O_RDWR, 0600) != 7 ||
	    fcntl(7, F_OFD_SETLK, &part))
		_exit(1);
}

static void look_at_locks(struct cpt *c)
{
	cr_assert_eq(victim_file(c, 3)->locks.nr, 1);
	cr_assert_eq(victim_file(c, 4)->locks.nr, 1, "two descriptors of one open file tell of one lock");
	cr_assert_eq(victim_file(c, 6)->locks.nr, 2);
	cr_assert_eq(victim_file(c, 7)->locks.at[0].kind, FILE_LOCK_OFD);
}

/* What another process or open file is told. */
static bool is_free(const char *name, short type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	int fd = open(name, O_RDWR);
	bool ret = !fcntl(fd, F_OFD_GETLK, &l) && l.l_type == F_UNLCK;

	close(fd);
	return ret;
}

static int use_locks(void)
{
	int fd = open("flock", O_RDWR);

	want(flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
	want(!flock(3, LOCK_UN) && !flock(fd, LOCK_EX | LOCK_NB));
	fd = open("shared", O_RDWR);
	want(!flock(fd, LOCK_SH | LOCK_NB) && flock(fd, LOCK_EX | LOCK_NB) == -1);
	want(!is_free("ofd", F_RDLCK, 100, 1) && is_free("ofd", F_WRLCK, 150, 0) &&
	     is_free("ofd", F_WRLCK, 0, 100));
	close(7);
	want(is_free("ofd", F_WRLCK, 0, 0));
	/* by a child: closing any descriptor of the file would give up the locks of this process */
	if (!fork())
		_exit(!is_free("posix", F_RDLCK, 149, 1) && is_free("posix", F_WRLCK, 150, 850) &&
				      is_free("posix", F_RDLCK, 1000, 0) &&
				      !is_free("posix", F_WRLCK, 1 << 30, 1)
			      ? 0
			      : 1);
	want(wait(&fd) > 0 && !fd);
	return 0;
}

Test(file_reg, locks)
{
	struct victim_trip trip = {take_locks, look_at_locks, use_locks};

	victim_round_trip(&trip);
}

static void open_one(void *arg)
{
	if (open("one", O_CREAT | O_RDWR, 0600) != 3)
		_exit(1);
}

/* Paths that are gone or lead elsewhere when the VE comes back. */
Test(file_reg, restore_refuses)
{
	struct victim v = victim_start(open_one, NULL);
	struct err err = ERR_INIT;
	struct cpt c;
	struct rst r;

	victim_cpt(&c, &v.pid, 1, true);
	victim_collect(&c);
	unlink("one");
	victim_rst(&r, &c);
	cr_assert_eq(rst_file_open_all(&r, &err), -1);
	cr_assert(strstr(err.msg, "fd 3: ") && strstr(err.msg, "/one: No such file"), "%s", err.msg);
	victim_rst_free(&r);
	mkdir("one", 0700);
	victim_rst(&r, &c);
	cr_assert_eq(rst_file_open_all(&r, &err), -1);
	cr_assert(strstr(err.msg, "/one is a directory, and was a regular file"), "%s", err.msg);
	victim_rst_free(&r);
	rmdir("one");
	mkfifo("one", 0600);
	victim_rst(&r, &c);
	cr_assert_eq(rst_file_open_all(&r, &err), -1, "and does not hang");
	cr_assert(strstr(err.msg, "/one is a FIFO"), "%s", err.msg);
	victim_rst_free(&r);
	victim_cpt_free(&c);
	victim_end(&v);
}

#define MANY 1000

static void open_many(void *arg)
{
	char name[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		if (open(name, O_CREAT | O_RDWR, 0600) < 0)
			_exit(1);
	}
}

static void open_many_same(void *arg)
{
	struct rlimit lim = {20000, 20000};

	setrlimit(RLIMIT_NOFILE, &lim);
	for (int i = 0; i < MANY; i++)
		if (open("same", O_CREAT | O_RDWR, 0600) < 0)
			_exit(1);
}

/* Of this thread: the machine may be busy with other tests. */
static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void measure(const char *what, void (*fn)(void *arg))
{
	struct victim v = victim_start(fn, NULL);
	struct err err = ERR_INIT;
	int64_t began_ns, check_ns, collect_ns, open_ns;
	struct cpt c;
	struct rst r;
	char *all;

	victim_cpt(&c, &v.pid, 1, false);
	began_ns = cpu_ns();
	all = victim_check(&c);
	check_ns = cpu_ns() - began_ns;
	cr_assert(!strstr(all, "fd 3:"), "%s", all);
	free(all);
	c.frozen = true;
	began_ns = cpu_ns();
	cr_assert_eq(cpt_file_collect(&c, &err), 0, "%s", err.msg);
	collect_ns = cpu_ns() - began_ns;
	cr_assert_geq(c.m.files.nr, (size_t)MANY);
	victim_rst(&r, &c);
	began_ns = cpu_ns();
	victim_open_all(&r);
	open_ns = cpu_ns() - began_ns;
	fprintf(stderr, "%s: us of CPU a descriptor: check %.2f, collect %.2f, open %.2f\n", what,
		(double)check_ns / 1e3 / MANY, (double)collect_ns / 1e3 / MANY, (double)open_ns / 1e3 / MANY);
	victim_rst_free(&r);
	victim_cpt_free(&c);
	victim_end(&v);
}

Test(file_reg, speed)
{
	measure("1000 files", open_many);
	measure("one file opened 1000 times", open_many_same);
}
