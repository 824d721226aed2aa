/* SPDX-License-Identifier: GPL-2.0-only */
/* A program whose file was deleted while it ran, as a package upgrade does: its code, data and /proc/self/exe
 * go on. */
#include "tests/live/live.h"

static char text[64];
static int values[1024] = {1, 2, 3};

static int sabotage(int nr)
{
	return nr == 1 ? (values[500] = 0) : -1;
}

__attribute__((noinline, section(".text.far"))) static int computed(int x)
{
	static const int table[] = {7, 11, 13};

	return table[x % 3] * x;
}

int main(int argc, char **argv)
{
	LIVE_FILE(copy, "copy");
	char exe[PATH_MAX], magic[4] = "";
	ssize_t len;
	int fd, self;

	if (!getenv("LIVE_COPY")) { /* run a copy, so that deleting it hurts nobody */
		unsigned char buf[65536];
		ssize_t n;

		self = DO(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
		unlink(copy);
		fd = DO(open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755));
		while ((n = read(self, buf, sizeof(buf))) > 0)
			DO(write(fd, buf, (size_t)n));
		close(fd);
		setenv("LIVE_COPY", "1", 1);
		DO(execv(copy, argv));
	}
	snprintf(copy, sizeof(copy), "%s/%s.copy", live_dir, live_name);
	DO(unlink(copy));
	values[500] = 500;

	live_wait(sabotage);

	len = DO(readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	exe[len] = '\0';
	CHECK(strlen(exe) > 10 && !strcmp(exe + strlen(exe) - 10, " (deleted)"));
	fd = open("/proc/self/exe", O_RDONLY);
	CHECK(fd >= 0 && read(fd, magic, 4) == 4 && !memcmp(magic, "\177ELF", 4));
	CHECK_EQ(values[500], 500);
	CHECK_EQ(computed(5), 65);
	CHECK(snprintf(text, sizeof(text), "%d", computed(4)) == 2 && !strcmp(text, "44"));
	CHECK_ERRNO(access(copy, F_OK), ENOENT);
	return live_end();
}
