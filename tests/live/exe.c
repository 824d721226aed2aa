/* SPDX-License-Identifier: GPL-2.0-only */
/* What /proc tells of a program: its executable, a changed command line and name; the same for one that was
 * exec'ed. */
#include <sys/prctl.h>

#include "tests/live/live.h"

static char exe_before[PATH_MAX];
static char *title;

static void read_exe(char *ret)
{
	ssize_t len = DO(readlink("/proc/self/exe", ret, PATH_MAX - 1));

	ret[len] = '\0';
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		title[0] = 'X';
		return 0;
	case 2:
		return prctl(PR_SET_NAME, "another");
	}
	return -1;
}

int main(int argc, char **argv)
{
	char exe[PATH_MAX], cmdline[256], name[16];
	struct stat st, by_path;

	read_exe(exe_before);
	title = argv[0];
	memset(title, 't', strlen(title)); /* as setproctitle does */
	DO(prctl(PR_SET_NAME, "renamed (x) y"));

	live_wait(sabotage);

	read_exe(exe);
	CHECK(!strcmp(exe, exe_before));
	CHECK(!stat("/proc/self/exe", &st) && !stat(exe_before, &by_path) && st.st_ino == by_path.st_ino);
	live_read_file("/proc/self/cmdline", cmdline, sizeof(cmdline));
	CHECK(!strcmp(cmdline, title) && cmdline[0] == 't' && cmdline[strlen(title) - 1] == 't');
	DO(prctl(PR_GET_NAME, name));
	CHECK(!strcmp(name, "renamed (x) y"));
	return live_end();
}
