/* SPDX-License-Identifier: GPL-2.0-only */
/* System V semaphores: values, numbers, keys, owners, and what is undone when a process ends. */
#include <sys/ipc.h>
#include <sys/sem.h>

#include "tests/live/live.h"

#define KEY 0x56525353

static int set, fresh, undone;

static int op(int id, int nr, int by, int flags)
{
	struct sembuf b = {(unsigned short)nr, (short)by, (short)flags};

	return semop(id, &b, 1);
}

static int sabotage(int nr)
{
	struct semid_ds ds;

	switch (nr) {
	case 1:
		return semctl(set, 2, SETVAL, 8);
	case 2: /* forgets what was to be undone */
		return semctl(undone, 0, SETVAL, semctl(undone, 0, GETVAL));
	case 3:
		return semctl(undone, 1, SETVAL, semctl(undone, 1, GETVAL));
	case 4: /* looks used */
		return op(fresh, 0, 1, 0) | op(fresh, 0, -1, 0);
	case 5:
		DO(semctl(set, 0, IPC_STAT, &ds));
		ds.sem_perm.mode = 0666;
		return semctl(set, 0, IPC_SET, &ds);
	case 6:
		DO(semctl(fresh, 0, IPC_RMID));
		return semget(KEY + 1, 2, IPC_CREAT | 0600) == -1;
	}
	return -1;
}

static void make(void)
{
	unsigned short values[5] = {1, 0, 7, 32767, 0};
	struct semid_ds ds;

	for (int i = 0; i < 3; i++) {
		int id = DO(semget(IPC_PRIVATE, 1, 0600));

		DO(semctl(id, 0, IPC_RMID));
	}
	set = DO(semget(KEY, 5, IPC_CREAT | IPC_EXCL | 0640));
	DO(semctl(set, 0, SETALL, values));
	DO(op(set, 0, 1, 0));
	DO(op(set, 4, 1, 0));
	DO(op(set, 4, -1, 0));
	DO(semctl(set, 0, IPC_STAT, &ds));
	ds.sem_perm.uid = 4711;
	ds.sem_perm.gid = 4712;
	DO(semctl(set, 0, IPC_SET, &ds));
	fresh = DO(semget(KEY + 1, 2, IPC_CREAT | 0600));
	DO(semctl(fresh, 1, SETVAL, 3));
	undone = DO(semget(IPC_PRIVATE, 300, 0600));
	DO(semctl(undone, 0, SETVAL, 5));
}

int main(void)
{
	struct semid_ds ds;
	pid_t pid;

	make();
	pid = live_fork();
	if (!pid) {
		DO(op(undone, 0, -2, SEM_UNDO));
		DO(op(undone, 1, 4, SEM_UNDO));
		DO(op(undone, 299, 9, 0));
		live_child_ready();
		live_go();
		live_child_end();
	}

	live_wait(sabotage);

	live_reap(pid);
	CHECK_EQ(semctl(undone, 0, GETVAL), 5);
	CHECK_EQ(semctl(undone, 1, GETVAL), 0);
	CHECK_EQ(semctl(undone, 299, GETVAL), 9);
	CHECK_EQ(semget(KEY, 0, 0), set);
	CHECK_EQ(semget(KEY + 1, 0, 0), fresh);
	CHECK_EQ(semctl(set, 0, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.sem_nsems, 5);
	CHECK_EQ(ds.sem_perm.mode, 0640);
	CHECK_EQ(ds.sem_perm.uid, 4711);
	CHECK_EQ(ds.sem_perm.gid, 4712);
	CHECK_EQ(ds.sem_perm.cuid, geteuid());
	CHECK(ds.sem_otime != 0);
	CHECK_EQ(semctl(set, 0, GETVAL), 2);
	CHECK_EQ(semctl(set, 1, GETVAL), 0);
	CHECK_EQ(semctl(set, 2, GETVAL), 7);
	CHECK_EQ(semctl(set, 3, GETVAL), 32767);
	CHECK_EQ(semctl(set, 4, GETVAL), 0);
	CHECK_EQ(semctl(fresh, 0, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.sem_otime, 0);
	CHECK_EQ(semctl(fresh, 1, GETVAL), 3);
	CHECK_EQ(semctl(set, 0, IPC_RMID) | semctl(fresh, 0, IPC_RMID) | semctl(undone, 0, IPC_RMID), 0);
	return live_end();
}
