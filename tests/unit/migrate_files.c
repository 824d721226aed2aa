// SPDX-License-Identifier: GPL-2.0-only
/* Changed files, from one directory to another: what filesend says, fileapply does, and hostile words have no
 * effect. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <criterion/criterion.h>

#include "migrate/fileapply.h"
#include "migrate/fileop.h"
#include "migrate/filesend.h"
#include "migrate/rsync.h"

struct pair {
	char dir[64], from[80], to[80];
	int from_fd, to_fd;
	struct filesend send;
	struct fileapply apply;
	size_t nr_ops, data_bytes;
};

static int carry_out(void *arg, const struct buf *body, struct err *err)
{
	struct pair *p = arg;

	p->nr_ops++;
	if (body->at[0] == FILEOP_DATA)
		p->data_bytes += body->len_bytes - 9;
	return fileapply_op(&p->apply, body->at, body->len_bytes, err);
}

static void run(const char *fmt, ...)
{
	char command[2000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	cr_assert_eq(system(command), 0, "%s", command);
}

/* Changes within the clock's tick count as changed once more: the tests that count wait it out. */
static void rest(void)
{
	usleep(40000);
}

static void begin(struct pair *p)
{
	*p = (struct pair){0};
	strcpy(p->dir, "/tmp/verst-files-XXXXXX");
	cr_assert(mkdtemp(p->dir));
	sprintf(p->from, "%s/from", p->dir);
	sprintf(p->to, "%s/to", p->dir);
	cr_assert_eq(mkdir(p->from, 0755) | mkdir(p->to, 0755), 0);
}

/* The first copy (rsync's part) and the look at what was copied. */
static void copy(struct pair *p)
{
	struct err err = ERR_INIT;

	rest();
	p->from_fd = open(p->from, O_RDONLY | O_DIRECTORY);
	p->to_fd = open(p->to, O_PATH | O_DIRECTORY);
	p->send.emit = carry_out;
	p->send.arg = p;
	fileapply_begin(&p->apply, p->to_fd, 0);
	cr_assert_eq(filesend_begin(&p->send, p->from_fd, &err), 0, "%s", err.msg);
	run("cp -a %s/. %s/", p->from, p->to);
}

static void changes(struct pair *p)
{
	struct err err = ERR_INIT;

	cr_assert_eq(filesend_changes(&p->send, &err), 0, "%s", err.msg);
}

/* rsync would have nothing to do: content, owners, modes, times, links, attributes. It rounds nothing with
 * --modify-window. */
static void expect_same(struct pair *p)
{
	run("rsync -aHAXnic --modify-window=-1 --delete %s/ %s/ >%s/diff && cat %s/diff && test ! -s %s/diff",
	    p->from, p->to, p->dir, p->dir, p->dir);
}

static void finish(struct pair *p)
{
	fileapply_end(&p->apply);
	filesend_end(&p->send);
	close(p->from_fd);
	close(p->to_fd);
	run("rm -rf %s", p->dir);
}

Test(migrate_files, nothing_changed_sends_nothing)
{
	struct pair p;

	begin(&p);
	run("cd %s && mkdir -p a/b && echo x >a/b/c && ln -s c a/b/d && mkfifo a/f", p.from);
	copy(&p);
	changes(&p);
	cr_assert_eq(p.nr_ops, 0);
	expect_same(&p);
	finish(&p);
}

Test(migrate_files, all_kinds_of_changes)
{
	struct pair p;

	begin(&p);
	run("cd %s && mkdir -p a/b gone/deep dir2file && echo x >a/b/c && echo y >gone/deep/f && echo 1 "
	    ">file2dir && "
	    "ln -s old link && echo keep >keep && echo mode >mode && echo h >h1 && ln h1 h2 && echo t "
	    ">dir2file/t",
	    p.from);
	copy(&p);
	run("cd %s && echo xx >>a/b/c && rm -r gone && rm -r dir2file && echo now >dir2file && rm file2dir "
	    "&& "
	    "mkdir file2dir && echo in >file2dir/in && ln -sfn new link && chmod 4711 mode && chown 5:6 mode "
	    "&& "
	    "ln h1 h3 && echo hh >>h2 && mkdir -m 1777 tmp && mkfifo -m 600 tmp/fifo && mv a/b a/moved && "
	    "touch -d '2001-02-03 04:05:06.789' keep && mknod tmp/null c 1 3 && touch empty && "
	    "echo spaces >'with  blanks' && printf 'n' >\"$(printf 'new\\nline')\" && rm \"$(printf "
	    "'new\\nline')\"",
	    p.from);
	changes(&p);
	expect_same(&p);
	rest();
	p.nr_ops = 0;
	changes(&p);
	changes(&p);
	expect_same(&p);
	finish(&p);
}

Test(migrate_files, attributes)
{
	struct pair p;
	char path[200];

	begin(&p);
	run("cd %s && echo x >f && mkdir d", p.from);
	sprintf(path, "%s/f", p.from);
	cr_assert_eq(setxattr(path, "user.old", "1", 1, 0), 0);
	copy(&p);
	cr_assert_eq(setxattr(path, "user.new", "\0\1", 2, 0), 0);
	cr_assert_eq(removexattr(path, "user.old"), 0);
	cr_assert_eq(setxattr(path, "trusted.mine", "t", 1, 0), 0);
	sprintf(path, "%s/d", p.from);
	cr_assert_eq(setxattr(path, "user.dir", "d", 1, 0), 0);
	/* a mark of this node's overlay stays here */
	cr_assert_eq(setxattr(path, "trusted.overlay.impure", "y", 1, 0), 0);
	changes(&p);
	sprintf(path, "%s/d", p.to);
	cr_assert_lt(getxattr(path, "trusted.overlay.impure", NULL, 0), 0);
	sprintf(path, "%s/d", p.from);
	cr_assert_eq(removexattr(path, "trusted.overlay.impure"), 0);
	sprintf(path, "%s/f", p.to);
	cr_assert_eq(getxattr(path, "trusted.mine", NULL, 0), 1);
	expect_same(&p);
	finish(&p);
}

Test(migrate_files, holes_stay_holes)
{
	struct stat st;
	char path[200];
	struct pair p;

	begin(&p);
	copy(&p);
	run("cd %s && truncate -s 1G sparse && printf data | dd of=sparse bs=1 seek=500000000 conv=notrunc "
	    "status=none",
	    p.from);
	changes(&p);
	sprintf(path, "%s/sparse", p.to);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert(st.st_size == 1 << 30 && st.st_blocks < 1000, "%lld blocks", (long long)st.st_blocks);
	cr_assert_leq(p.data_bytes, 128u * 1024);
	expect_same(&p);
	finish(&p);
}

Test(migrate_files, of_a_known_file_only_changed_blocks_go)
{
	struct pair p;

	begin(&p);
	copy(&p);
	run("cd %s && head -c 20000000 /dev/urandom >db", p.from);
	changes(&p);
	rest();
	p.data_bytes = 0;
	run("cd %s && printf x | dd of=db bs=1 seek=7000000 conv=notrunc status=none && echo tail >>db",
	    p.from);
	changes(&p);
	cr_assert_leq(p.data_bytes, 3u * 65536);
	expect_same(&p);
	/* shorter, and with a hole punched */
	rest();
	run("cd %s && truncate -s 9000000 db && fallocate -p -o 1000000 -l 3000000 db", p.from);
	p.data_bytes = 0;
	changes(&p);
	cr_assert_leq(p.data_bytes, 4u * 65536);
	expect_same(&p);
	rest();
	run("cd %s && truncate -s 20000000 db", p.from);
	changes(&p);
	expect_same(&p);
	finish(&p);
}

Test(migrate_files, a_write_within_the_tick_is_not_missed)
{
	struct pair p;
	char path[200];

	begin(&p);
	copy(&p);
	sprintf(path, "%s/f", p.from);
	for (int i = 0; i < 200; i++) {
		_fd_ int fd = open(path, O_WRONLY | O_CREAT, 0644);
		struct timespec same[2] = {{1, 0}, {1, 0}};

		/* same size, and the times set back: only the time of the change tells, and that is the
		 * tick's */
		cr_assert_eq(pwrite(fd, &i, sizeof(i), 0), sizeof(i));
		futimens(fd, same);
		changes(&p);
	}
	expect_same(&p);
	finish(&p);
}

Test(migrate_files, forced_files_are_compared_by_content)
{
	struct pair p;
	char path[200];
	struct stat st;

	begin(&p);
	run("cd %s && echo aaaa >f", p.from);
	copy(&p);
	/* what a store through a mapping on tmpfs looks like: nothing but the content differs. Done at the
	 * far side here. */
	sprintf(path, "%s/f", p.to);
	cr_assert_eq(stat(path, &st), 0);
	run("cd %s && printf bbbb | dd of=f conv=notrunc status=none", p.to);
	filesend_force(&p.send, "f");
	changes(&p);
	expect_same(&p);
	finish(&p);
}

Test(migrate_files, whiteouts_remove)
{
	struct pair p;

	begin(&p);
	run("cd %s && mkdir d && echo x >d/lower", p.to);
	run("cd %s && mkdir d", p.from);
	copy(&p);
	run("cd %s && mknod d/lower c 0 0", p.from);
	changes(&p);
	run("cd %s && test ! -e d/lower && rm %s/d/lower", p.to, p.from);
	finish(&p);
}

Test(migrate_files, a_directory_made_anew_is_empty_there)
{
	struct pair p;

	begin(&p);
	run("cd %s && mkdir d && echo 1 >d/one && echo 2 >d/two", p.from);
	copy(&p);
	run("cd %s && mv d old && mkdir d && mv old/two d/two && rm -r old", p.from);
	/* of the template, below an overlay: not in the upper layer, and hidden by the new directory */
	run("cd %s && echo lower >d/lower", p.to);
	changes(&p);
	expect_same(&p);
	finish(&p);
}

/* A busy tree against the comparison: after the last pass, with nothing running, both sides are the same. */
Test(migrate_files, converges_under_fire, .timeout = 60)
{
	struct pair p;
	pid_t pid;

	begin(&p);
	copy(&p);
	pid = fork();
	if (pid == 0) {
		char command[3000];

		sprintf(command,
			"cd %s && i=0; while :; do i=$((i+1)); n=$((i%%7)); mkdir -p d$n/e; echo $i "
			">d$n/f$((i%%11)); "
			"ln -f d$n/f$((i%%11)) d$n/e/l 2>/dev/null; mv -T d$n m$((i%%3)) 2>/dev/null; rm -rf "
			"d$(((i+3)%%7)); "
			"ln -sfn $i s; head -c 400000 /dev/urandom >big$n; done",
			p.from);
		setpgid(0, 0);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	for (int i = 0; i < 60; i++)
		changes(&p);
	usleep(100000);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
	usleep(50000);
	changes(&p);
	expect_same(&p);
	finish(&p);
}

/* --- hostile words --- */

static int op_of_path(struct pair *p, enum fileop op, const char *path, size_t more, const void *tail)
{
	struct err err = ERR_INIT;
	struct buf b = {0};
	int ret;

	buf_put_u8(&b, op);
	buf_put_str(&b, path);
	buf_put(&b, tail, more);
	ret = fileapply_op(&p->apply, b.at, b.len_bytes, &err);
	buf_free(&b);
	return ret;
}

Test(migrate_files, no_way_out_of_the_root)
{
	static const char *const bad[] = {"..",	   "../x", "a/../../x", "/etc/x", "a//x",
					  "a/./x", ".",	   "a/",	"out/x",  "out/../x"};
	static const uint8_t open_new[9] = {FILEOP_OPEN_NEW};
	struct pair p;

	begin(&p);
	copy(&p);
	run("mkdir %s/victim && echo v >%s/victim/v && ln -s ../victim %s/out && mkdir %s/a", p.dir, p.dir,
	    p.to, p.to);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		/* where nothing is there to be removed, it may be said to be removed: what counts is the
		 * victim */
		op_of_path(&p, FILEOP_REMOVE, bad[i], 0, NULL);
		cr_assert_neq(op_of_path(&p, FILEOP_OPEN, bad[i], 9, open_new), 0, "%s", bad[i]);
		cr_assert_neq(op_of_path(&p, FILEOP_DIR, bad[i], 1, "\1"), 0, "%s", bad[i]);
	}
	cr_assert_neq(op_of_path(&p, FILEOP_OPEN, "out/v", 9, "\2\0\0\0\0\0\0\0\0"), 0);
	/* the link itself is replaced, not followed */
	cr_assert_eq(op_of_path(&p, FILEOP_OPEN, "out", 9, open_new), 0);
	run("test \"$(cat %s/victim/v)\" = v && test -f %s/out && test ! -L %s/out", p.dir, p.to, p.to);
	finish(&p);
}

Test(migrate_files, random_operations_do_no_harm, .timeout = 60)
{
	unsigned seed = 7;
	struct pair p;

	begin(&p);
	copy(&p);
	run("mkdir %s/victim && echo v >%s/victim/v && ln -s ../victim %s/b", p.dir, p.dir, p.to);
	for (int i = 0; i < 30000; i++) {
		struct err err = ERR_INIT;
		struct buf b = {0};
		size_t len = (size_t)rand_r(&seed) % 60;

		buf_put_u8(&b, (uint8_t)(rand_r(&seed) % 10));
		if (rand_r(&seed) % 4) {
			static const char *const names[] = {"a", "b", "a/b", "b/v", "..", "c", "", "a/c"};

			buf_put_str(&b, names[rand_r(&seed) % 8]);
		}
		for (size_t k = 0; k < len; k++)
			buf_put_u8(&b, (uint8_t)(rand_r(&seed) % 3 ? 0 : rand_r(&seed) % 8));
		fileapply_op(&p.apply, b.at, b.len_bytes, &err);
		buf_free(&b);
	}
	run("test \"$(cat %s/victim/v)\" = v && test $(ls %s/victim | wc -l) = 1", p.dir, p.dir);
	finish(&p);
}

/* --- rsync --- */

Test(migrate_rsync, progress_lines)
{
	uint64_t bytes, rate;
	unsigned percent;

	cr_assert(rsync_parse_progress("    104,857,600  42%   97.10MB/s    0:00:01 (xfr#1, to-chk=0/2)",
				       &bytes, &percent, &rate));
	cr_assert(bytes == 104857600 && percent == 42 && rate > 97000000 && rate < 103000000);
	cr_assert(
		rsync_parse_progress("              0   0%    0.00kB/s    0:00:00", &bytes, &percent, &rate));
	cr_assert_not(rsync_parse_progress("sending incremental file list", &bytes, &percent, &rate));
	cr_assert_not(rsync_parse_progress("", &bytes, &percent, &rate));
	cr_assert_not(rsync_parse_progress("12 of 13", &bytes, &percent, &rate));
}

Test(migrate_rsync, excluded_names_are_no_patterns)
{
	struct buf b = {0};

	rsync_exclude(&b, "plain\\name");
	rsync_exclude(&b, "st*r[1]\\?");
	cr_assert_str_eq((char *)b.at, "/plain\\name");
	cr_assert_str_eq((char *)b.at + strlen((char *)b.at) + 1, "/st\\*r\\[1]\\\\\\?");
	buf_free(&b);
}
