// SPDX-License-Identifier: GPL-2.0-only
/* Writes tests/golden/ anew. Look at the difference before you commit it. */
#include <fcntl.h>
#include <stdio.h>

#include "tests/unit/image_sample.h"

static void print(const char *text, void *arg)
{
	fprintf(arg, "%s\n", text);
}

static int image(const char *path, bool compress, size_t nr_pages)
{
	_fd_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	sample_write(fd, compress, nr_pages);
	return 0;
}

static int show(const char *path, bool json, struct err *err)
{
	_fd_ int fd = open("tests/golden/v1-lz4.img", O_RDONLY | O_CLOEXEC);
	_file_ FILE *f = fopen(path, "we");

	return f ? img_show(fd, json, print, f, err) : err_sys(err, "%s", path);
}

int main(void)
{
	struct err err = ERR_INIT;

	if (image("tests/golden/v1-raw.img", false, 5) || image("tests/golden/v1-lz4.img", true, 67))
		return 1;
	if (show("tests/golden/v1.txt", false, &err) || show("tests/golden/v1.json", true, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	return 0;
}
