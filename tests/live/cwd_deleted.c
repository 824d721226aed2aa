/* SPDX-License-Identifier: GPL-2.0-only */
/* A process whose working directory was removed. */
#include "tests/live/live.h"

static int sabotage(int nr)
{
	return nr == 1 ? chdir("/") : -1;
}

int main(void)
{
	LIVE_FILE(gone, "gone");
	char cwd[PATH_MAX];

	mkdir(gone, 0700);
	DO(chdir(gone));
	DO(rmdir(gone));

	live_wait(sabotage);

	CHECK_ERRNO(getcwd(cwd, sizeof(cwd)) ? 0 : -1, ENOENT);
	CHECK_ERRNO(access(gone, F_OK), ENOENT);
	CHECK_ERRNO(open("file", O_CREAT | O_WRONLY, 0600), ENOENT);
	CHECK_EQ(chdir("/"), 0);
	return live_end();
}
