// SPDX-License-Identifier: GPL-2.0-only
/* Writes tests/golden/ and tests/fuzz/corpus/ anew. Look at the difference before you commit it. */
#include <fcntl.h>
#include <stdio.h>

#include "tests/unit/image_random.h"
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

/* A small image with three objects of one kind. */
static int seed(const struct img_codec *codec, struct err *err)
{
	struct img_writer_opts opts = {.arch = "x86", .page_bytes = 4096};
	_free_ char *path = mem_printf("tests/fuzz/corpus/%s.img", codec->name);
	_fd_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct random r = {codec->type};
	struct img_writer *w;
	int ret = 0;

	if (fd < 0 || img_writer_open(fd, &opts, &w, err))
		return -1;
	for (uint32_t id = 1; id <= 3 && !ret; id++) {
		void *obj = mem_alloc(codec->obj_bytes);

		random_object(&r, codec, id, obj);
		ret = random_put(w, codec, obj, err);
		codec->free(obj);
		free(obj);
	}
	if (!ret)
		ret = img_writer_end(w, err);
	img_writer_close(w);
	return ret;
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
	for (size_t i = 0; i < IMG_CODECS; i++) {
		if (seed(&img_codecs[i], &err))
			return 1;
	}
	return 0;
}
