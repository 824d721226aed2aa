/* SPDX-License-Identifier: GPL-2.0-only */
/* System V segments that come and go, with the same key, while the VE is looked at round by round. */
#include <sys/ipc.h>
#include <sys/shm.h>

#include "tests/live/live.h"

#define PAGE 4096ul
#define KEY  0x56525363

static int kept_id;
static unsigned char *kept;

static int sabotage(int nr)
{
	if (nr == 1) {
		kept[PAGE] ^= 1;
		return 0;
	}
	return -1;
}

static bool may_go(void)
{
	char path[PATH_MAX];

	live_path(path, sizeof(path), "go");
	return !access(path, F_OK);
}

/* One segment after the other; each has what was written into it, whatever happens meanwhile. */
static void churn(void)
{
	unsigned char *p, *before = NULL;
	int id = shmget(KEY, 0, 0);

	if (id >= 0) /* of a run that was killed */
		shmctl(id, IPC_RMID, NULL);
	live_child_ready();
	for (unsigned i = 1; !may_go(); i++) {
		id = DO(shmget(KEY, (1 + i % 5) * PAGE, IPC_CREAT | IPC_EXCL | 0600));
		p = DO(shmat(id, NULL, 0));
		live_fill(p, (1 + i % 5) * PAGE, i);
		if (before)
			DO(shmdt(before));
		before = p;
		if (!live_same(p, (1 + i % 5) * PAGE, i) || shmget(KEY, 0, 0) != id)
			live_fail("segment %u is not what it was", i);
		DO(shmctl(id, IPC_RMID, NULL));
		if (!live_same(p, (1 + i % 5) * PAGE, i))
			live_fail("segment %u is not what it was after its removal", i);
		poll(NULL, 0, 1);
	}
	live_child_end();
}

int main(void)
{
	pid_t pid;

	kept_id = DO(shmget(IPC_PRIVATE, 64 * PAGE, 0600));
	kept = DO(shmat(kept_id, NULL, 0));
	live_fill(kept, 64 * PAGE, 1);
	pid = live_fork();
	if (!pid)
		churn();

	live_wait(sabotage);

	if (!live_sabotage_nr)
		live_reap(pid);
	else
		kill(pid, SIGKILL);
	CHECK(live_same(kept, 64 * PAGE, 1));
	CHECK_EQ(shmctl(kept_id, IPC_RMID, NULL), 0);
	return live_end();
}
