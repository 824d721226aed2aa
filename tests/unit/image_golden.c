// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images as this format has been written since its version 1 (tests/golden/, made by `make golden`): they are
 * still read, still written to the byte, and shown as they were. When a change of the format is meant, `make
 * golden` shows it in the diff.
 */
#include <criterion/criterion.h>
#include <fcntl.h>

#include "tests/unit/image_sample.h"

static struct buf golden(const char *path)
{
	struct err err = ERR_INIT;
	struct buf b = {0};

	cr_assert_eq(io_read_file(AT_FDCWD, path, 1 << 24, &b, &err), 0, "%s (run at the top of the sources)",
		     err.msg);
	return b;
}

Test(image_golden, is_written_to_the_byte)
{
	struct buf want = golden("tests/golden/v1-raw.img");
	_free_ uint8_t *got;
	size_t len;

	got = sample_image(false, 5, &len);
	cr_assert_eq(len, want.len_bytes);
	for (size_t i = 0; i < len; i++)
		cr_assert_eq(got[i], want.at[i], "byte %zu", i);
	buf_free(&want);
}

Test(image_golden, is_read)
{
	static const char *const paths[] = {"tests/golden/v1-raw.img", "tests/golden/v1-lz4.img"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		_fd_ int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		struct err err = ERR_INIT;

		cr_assert_eq(img_verify(fd, &err), 0, "%s", err.msg);
	}
}

static void add_line(const char *text, void *arg)
{
	buf_put(arg, text, strlen(text));
	buf_put_u8(arg, '\n');
}

static void shown_as(bool json, const char *path)
{
	_fd_ int fd = open("tests/golden/v1-lz4.img", O_RDONLY | O_CLOEXEC);
	struct buf got = {0}, want = golden(path);
	struct err err = ERR_INIT;

	cr_assert_eq(img_show(fd, json, add_line, &got, &err), 0, "%s", err.msg);
	buf_put_u8(&got, 0);
	cr_assert_str_eq((char *)got.at, (char *)want.at);
	buf_free(&got);
	buf_free(&want);
}

Test(image_golden, is_shown)
{
	shown_as(false, "tests/golden/v1.txt");
	shown_as(true, "tests/golden/v1.json");
}
