// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/buf.h"
#include "lib/findings.h"
#include "lib/lib.h"

Test(err, context_goes_in_front_and_keeps_the_code)
{
	struct err err = {0};

	errno = ENOENT;
	cr_assert_eq(err_sys(&err, "open x"), -1);
	cr_assert_eq(err.code, ERR_SYSTEM);
	cr_assert_eq(err.sys_errno, ENOENT);
	err_ctx(&err, "task %d", 42);
	cr_assert_str_eq(err.msg, "task 42: open x: No such file or directory");
	errno = ENOSPC;
	err_sys(&err, "write");
	cr_assert_eq(err.code, ERR_NO_SPACE);
}

Test(err, a_long_text_is_cut_not_overrun)
{
	struct err err = {0};
	char big[4096];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	err_set(&err, ERR_VALUE, "%s", big);
	err_ctx(&err, "%s", big);
	cr_assert_eq(strlen(err.msg), sizeof(err.msg) - 1);
}

static void count(void *arg)
{
	(*(int *)arg)++;
}

Test(undo, runs_backwards_to_the_mark)
{
	struct undo undo = {0};
	int early = 0, late = 0;
	size_t mark;

	undo_push(&undo, "early", count, &early);
	mark = undo_mark(&undo);
	undo_push(&undo, "late", count, &late);
	undo_push(&undo, "late", count, &late);
	undo_run_to(&undo, mark);
	cr_assert_eq(late, 2);
	cr_assert_eq(early, 0);
	undo_run(&undo);
	cr_assert_eq(early, 1);
	undo_run(&undo);
	cr_assert_eq(early, 1);
}

Test(cursor, reads_what_was_put_and_nothing_beyond)
{
	struct buf b = {0};
	struct cur c;
	char *s;

	buf_put_u8(&b, 0xfe);
	buf_put_u16(&b, 0x1234);
	buf_put_u32(&b, 0xdeadbeef);
	buf_put_u64(&b, 0x0123456789abcdefull);
	buf_put_str(&b, "verst");
	c = cur_of(b.at, b.len_bytes);
	cr_assert_eq(cur_u8(&c), 0xfe);
	cr_assert_eq(cur_u16(&c), 0x1234);
	cr_assert_eq(cur_u32(&c), 0xdeadbeef);
	cr_assert_eq(cur_u64(&c), 0x0123456789abcdefull);
	s = cur_str(&c, 100);
	cr_assert_str_eq(s, "verst");
	cr_assert(cur_done(&c));
	cr_assert_eq(cur_u32(&c), 0);
	cr_assert(c.bad);
	free(s);
	for (size_t cut = 0; cut < b.len_bytes; cut++) {
		c = cur_of(b.at, cut);
		cur_u8(&c), cur_u16(&c), cur_u32(&c), cur_u64(&c);
		free(cur_str(&c, 100));
		cr_assert(c.bad, "cut at %zu", cut);
	}
	buf_free(&b);
}

Test(cursor, refuses_long_strings_and_nuls)
{
	struct buf b = {0};
	struct cur c;

	buf_put_str(&b, "0123456789");
	c = cur_of(b.at, b.len_bytes);
	cr_assert_null(cur_str(&c, 9));
	cr_assert(c.bad);
	buf_clear(&b);
	buf_put_u32(&b, 3);
	buf_put(&b, "a\0b", 3);
	c = cur_of(b.at, b.len_bytes);
	cr_assert_null(cur_str(&c, 9));
	cr_assert(c.bad);
	buf_free(&b);
}

Test(vec, items_are_zeroed_and_kept)
{
	VEC(int) v = {0};
	int sum = 0;

	for (int i = 0; i < 1000; i++) {
		int *item = vec_add(&v);

		cr_assert_eq(*item, 0);
		*item = i;
	}
	vec_each(item, &v)
		sum += *item;
	cr_assert_eq(sum, 499500);
	vec_free(&v);
	cr_assert_eq(v.nr, 0);
}

Test(io, replace_is_whole_and_leaves_no_temporary)
{
	char dir[] = "/tmp/verst-io-XXXXXX", path[64];
	struct err err = {0};
	struct buf text;
	struct stat st;

	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a/b/c", dir);
	cr_assert_eq(io_mkdir_p(path, 0700, &err), 0, "%s", err.msg);
	snprintf(path, sizeof(path), "%s/a/b/c/file", dir);
	cr_assert_eq(io_replace_file(AT_FDCWD, path, "one", 3, 0600, &err), 0, "%s", err.msg);
	cr_assert_eq(io_replace_file(AT_FDCWD, path, "second", 6, 0600, &err), 0, "%s", err.msg);
	cr_assert_eq(io_read_file(AT_FDCWD, path, 100, &text, &err), 0, "%s", err.msg);
	cr_assert_str_eq((char *)text.at, "second");
	buf_free(&text);
	cr_assert_eq(io_read_file(AT_FDCWD, path, 5, &text, &err), -1);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s/a/b/c/file.new", dir);
	cr_assert_neq(stat(path, &st), 0);
	cr_assert_eq(io_remove_tree(AT_FDCWD, dir, &err), 0, "%s", err.msg);
	cr_assert_neq(stat(dir, &st), 0);
	cr_assert_eq(io_remove_tree(AT_FDCWD, dir, &err), 0);
}

Test(io, remove_tree_follows_no_symlink)
{
	char dir[] = "/tmp/verst-io-XXXXXX", outside[] = "/tmp/verst-out-XXXXXX", path[64];
	struct err err = {0};
	int fd = mkstemp(outside);

	cr_assert(fd >= 0 && mkdtemp(dir));
	close(fd);
	snprintf(path, sizeof(path), "%s/link", dir);
	cr_assert_eq(symlink("/tmp", path), 0);
	cr_assert_eq(io_remove_tree(AT_FDCWD, dir, &err), 0, "%s", err.msg);
	cr_assert_eq(access(outside, F_OK), 0);
	unlink(outside);
}

Test(fault, only_the_named_place_fails)
{
	struct err err = {0};
	pid_t pid;
	int status;

	setenv("VERST_FAULT", "here,there=kill", 1);
	cr_assert_eq(fault_point("her", &err), 0);
	cr_assert_eq(fault_point("herein", &err), 0);
	cr_assert_eq(fault_point("here", &err), -1);
	cr_assert_eq(err.code, ERR_FAULT);
	pid = fork();
	if (!pid)
		_exit(fault_point("there", &err));
	waitpid(pid, &status, 0);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

Test(findings, keep_their_texts)
{
	struct findings f = {0};

	findings_add(&f, "task 7", NULL, "n = %d", 5);
	findings_add(&f, "task 8", "wait", "busy");
	cr_assert_eq(f.list.nr, 2);
	cr_assert_str_eq(f.list.at[0].what, "n = 5");
	cr_assert_null(f.list.at[0].hint);
	cr_assert_str_eq(f.list.at[1].hint, "wait");
	findings_free(&f);
}
