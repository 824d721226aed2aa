/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the machine itself can do, for the bench's ratios. Prints nanoseconds.
 *	limits write FILE MIB   plain writes of bytes that do not compress to a new file
 *	limits read FILE        reads a file into fresh anonymous memory
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1u << 20)

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t write_file(const char *path, unsigned mib)
{
	unsigned char *chunk = malloc(CHUNK);
	uint64_t state = 88172645463325252ull;
	int64_t started;
	int fd;

	for (size_t at = 0; at < CHUNK; at += 8) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(chunk + at, &state, 8);
	}
	unlink(path);
	started = now_ns();
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	for (unsigned i = 0; i < mib; i++)
		if (write(fd, chunk, CHUNK) != CHUNK)
			return -1;
	close(fd);
	return now_ns() - started;
}

static int64_t read_file(const char *path)
{
	int64_t started = now_ns();
	int fd = open(path, O_RDONLY);
	unsigned char *memory;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return -1;
	memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -1;
	for (off_t at = 0; at < st.st_size; at += n)
		if ((n = read(fd, memory + at, CHUNK)) <= 0)
			return -1;
	return now_ns() - started;
}

int main(int argc, char **argv)
{
	int64_t ns = -1;

	if (argc == 4 && !strcmp(argv[1], "write"))
		ns = write_file(argv[2], (unsigned)atoi(argv[3]));
	else if (argc == 3 && !strcmp(argv[1], "read"))
		ns = read_file(argv[2]);
	printf("%lld\n", (long long)ns);
	return ns < 0;
}
