/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Holds things for the bench to dump; prints "ready" and stays.
 *	hold memory MIB         bytes that do not compress; a few pages of them change all the time
 *	hold processes N
 *	hold files N
 *	hold listen PORT N      accepts N connections
 *	hold connect ADDRESS PORT N
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

__attribute__((noreturn)) static void stay(void)
{
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

static int hold_memory(size_t mib)
{
	size_t len = mib << 20;
	unsigned char *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t state = 88172645463325252ull;

	if (memory == MAP_FAILED)
		return fail("mmap");
	for (size_t at = 0; at < len; at += 8) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(memory + at, &state, 8);
	}
	printf("ready\n");
	fflush(stdout);
	for (size_t i = 0;; i++) { /* mostly idle */
		memory[i % 16 * 4096]++;
		usleep(20000);
	}
}

static int hold_processes(int nr)
{
	for (int i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return fail("fork");
		if (!pid)
			for (;;)
				pause();
	}
	stay();
}

static int hold_files(int nr)
{
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){20000, 20000});
	mkdir("/files", 0755);
	for (int i = 0; i < nr; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/files/%d", i);
		if (open(path, O_RDWR | O_CREAT, 0600) < 0)
			return fail(path);
	}
	stay();
}

static int hold_connections(const char *address, int port, int nr)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int listener = -1, on = 1;

	if (address)
		inet_pton(AF_INET, address, &addr.sin_addr);
	else
		listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener >= 0) {
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, nr))
			return fail("listen");
	}
	for (int i = 0; i < nr; i++) {
		int fd = address ? socket(AF_INET, SOCK_STREAM, 0) : accept(listener, NULL, NULL);

		if (fd < 0 || (address && connect(fd, (struct sockaddr *)&addr, sizeof(addr))))
			return fail("connection");
	}
	stay();
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "memory"))
		return hold_memory((size_t)atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "processes"))
		return hold_processes(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "files"))
		return hold_files(atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "listen"))
		return hold_connections(NULL, atoi(argv[2]), atoi(argv[3]));
	if (argc == 5 && !strcmp(argv[1], "connect"))
		return hold_connections(argv[2], atoi(argv[3]), atoi(argv[4]));
	return 2;
}
