// SPDX-License-Identifier: GPL-2.0-only
/*
 * How fast pages of another process become an image on tmpfs, next to plain writes to fresh tmpfs in the same
 * run, and how fast they are read again. image-bench [MiB [PAGES-A-CALL]]
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/images.h"

#define PATH_IMAGE "/dev/shm/verst-image-bench"

struct bench {
	size_t bytes, step_pages;
	uint8_t *memory; /* in the child, at the same address as here */
	pid_t child;
};

static void must(int failed, const struct err *err)
{
	if (!failed)
		return;
	fprintf(stderr, "%s\n", err->msg);
	exit(1);
}

static double now_s(void)
{
	return (double)io_now_ns() / 1e9;
}

static int fresh_file(void)
{
	unlink(PATH_IMAGE);
	return open(PATH_IMAGE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* What real memory looks like to lz4: some zero pages, some text, some noise. */
static void fill(uint8_t *p, size_t bytes, unsigned zero_percent)
{
	uint64_t x = 88172645463325252;

	for (size_t page = 0; page < bytes / 4096; page++) {
		uint64_t *words = (uint64_t *)(p + page * 4096);

		if (page % 100 < zero_percent)
			continue;
		for (size_t i = 0; i < 512; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			words[i] = i % 4 ? x & 0xffff : x;
		}
	}
}

static void start(struct bench *b, unsigned zero_percent)
{
	int ready[2];
	char c;

	if (pipe(ready))
		exit(1);
	b->memory = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
	b->child = fork();
	if (!b->child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		madvise(b->memory, b->bytes, MADV_NOHUGEPAGE);
		fill(b->memory, b->bytes, zero_percent);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	if (read(ready[0], &c, 1) != 1)
		exit(1);
	close(ready[0]);
	close(ready[1]);
}

static void stop(struct bench *b)
{
	kill(b->child, SIGKILL);
	waitpid(b->child, NULL, 0);
	munmap(b->memory, b->bytes);
}

static double plain(const struct bench *b)
{
	size_t len = 4 << 20;
	uint8_t *p = mem_alloc(len);
	int fd = fresh_file();
	double t;

	memset(p, 1, len);
	t = now_s();
	for (size_t done = 0; done < b->bytes; done += len)
		if (write(fd, p, len) != (ssize_t)len)
			exit(1);
	t = now_s() - t;
	close(fd);
	free(p);
	return t;
}

static void put_all(const struct bench *b, struct img_writer *w, struct err *err)
{
	if (img_pages_begin(w, PAGES_MM, 1, err))
		exit(1);
	for (size_t at = 0; at < b->bytes; at += b->step_pages * 4096) {
		struct iovec to = {img_pages_room(w, b->step_pages, err), b->step_pages * 4096};
		struct iovec from = {b->memory + at, b->step_pages * 4096};

		if (!to.iov_base || process_vm_readv(b->child, &to, 1, &from, 1, 0) != (ssize_t)to.iov_len ||
		    img_pages_commit(w, (uint64_t)(uintptr_t)b->memory + at, b->step_pages, err))
			exit(1);
	}
	if (img_pages_end(w, err) || img_writer_end(w, err))
		exit(1);
}

static double image(const struct bench *b, bool compress, uint64_t *ret_bytes)
{
	struct img_writer_opts opts = {.arch = "x86", .page_bytes = 4096, .compress = compress};
	struct err err = ERR_INIT;
	struct img_writer *w;
	int fd = fresh_file();
	double t;

	if (img_writer_open(fd, &opts, &w, &err))
		exit(1);
	t = now_s();
	put_all(b, w, &err);
	t = now_s() - t;
	*ret_bytes = img_writer_bytes(w);
	img_writer_close(w);
	close(fd);
	return t;
}

static double read_again(void)
{
	struct err err = ERR_INIT;
	struct img_record rec;
	struct img_reader *r;
	struct model m = {0};
	int fd = open(PATH_IMAGE, O_RDONLY | O_CLOEXEC);
	double t = now_s();

	must(img_reader_open(fd, &r, &err), &err);
	do {
		must(img_read(r, &m, &rec, &err), &err);
	} while (rec.item != IMG_END);
	t = now_s() - t;
	img_reader_close(r);
	close(fd);
	return t;
}

static void round_of(struct bench *b, unsigned zero_percent)
{
	double gib = (double)b->bytes / (1 << 30), p, t;
	uint64_t bytes;

	p = plain(b);
	printf("%3u%% zero: plain write %.2f GiB/s", zero_percent, gib / p);
	t = image(b, false, &bytes);
	printf("; raw %.2f (%.0f%% of plain, %.2f GiB)", gib / t, 100 * p / t, (double)bytes / (1 << 30));
	printf(", read %.2f", gib / read_again());
	t = image(b, true, &bytes);
	printf("; lz4 %.2f (%.0f%%, %.2f GiB)", gib / t, 100 * p / t, (double)bytes / (1 << 30));
	printf(", read %.2f\n", gib / read_again());
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct bench b = {.bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 1024) << 20,
			  .step_pages = argc > 2 ? (size_t)atoi(argv[2]) : IMG_BATCH_PAGES};
	static const unsigned zero_percents[] = {0, 30};

	for (size_t i = 0; i < ARRAY_LEN(zero_percents); i++) {
		start(&b, zero_percents[i]);
		for (int n = 0; n < 3; n++)
			round_of(&b, zero_percents[i]);
		stop(&b);
	}
	unlink(PATH_IMAGE);
	return 0;
}
