/* SPDX-License-Identifier: GPL-2.0-only */
/* A process with another root and a working directory of its own. */
#include "tests/live/live.h"

static pid_t pid;

static void child(void)
{
	char cwd[PATH_MAX];
	struct stat st;

	DO(chroot(live_dir));
	DO(chdir("/chroot.jail/deep"));
	live_dir[0] = '\0'; /* the directory of notes is our root now */
	live_child_ready();
	live_go();
	CHECK(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/chroot.jail/deep"));
	CHECK(!stat("here", &st) && st.st_size == 4);
	CHECK(!stat("/chroot.jail/deep/here", &st));
	CHECK(!stat("/..", &st) && !access("/../chroot.jail", F_OK)); /* no way up */
	CHECK_ERRNO(access("/proc/self", F_OK), ENOENT);
	live_child_end();
}

static int sabotage(int nr)
{
	LIVE_FILE(file, "jail/deep/here");

	switch (nr) {
	case 1:
		return kill(pid, SIGKILL);
	case 2:
		return unlink(file);
	}
	return -1;
}

int main(void)
{
	LIVE_FILE(jail, "jail");
	LIVE_FILE(deep, "jail/deep");
	LIVE_FILE(file, "jail/deep/here");
	char cwd[PATH_MAX];
	int fd;

	mkdir(jail, 0755);
	mkdir(deep, 0755);
	fd = DO(open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600));
	DO(write(fd, "here", 4));
	close(fd);
	pid = live_fork();
	if (!pid)
		child();
	DO(chdir(deep));

	live_wait(sabotage);

	live_reap(pid);
	CHECK(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, deep));
	return live_end();
}
