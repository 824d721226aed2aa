/* SPDX-License-Identifier: GPL-2.0-only */
/* System V message queues: what is in them, in its order and with its types; numbers, keys, owners, limits.
 */
#include <sys/ipc.h>
#include <sys/msg.h>

#include "tests/live/live.h"

#define KEY 0x5652534d

struct message {
	long type;
	unsigned char text[6000];
};

static int full, empty, waited;

static int sabotage(int nr)
{
	struct message m = {.type = 9};
	struct msqid_ds ds;

	switch (nr) {
	case 1: /* one is missing */
		return msgrcv(full, &m, sizeof(m.text), 5, 0) == -1;
	case 2: /* one more, of a type that is looked for */
		m.type = 3;
		return msgsnd(full, &m, 1, 0);
	case 3: /* another order: the first comes last */
		if (msgrcv(full, &m, sizeof(m.text), 0, 0) != 5000)
			return -1;
		return msgsnd(full, &m, 5000, 0);
	case 4:
		DO(msgctl(full, IPC_STAT, &ds));
		ds.msg_qbytes--;
		return msgctl(full, IPC_SET, &ds);
	case 5:
		DO(msgctl(full, IPC_STAT, &ds));
		ds.msg_perm.gid = 1;
		return msgctl(full, IPC_SET, &ds);
	case 6:
		DO(msgctl(empty, IPC_RMID, NULL));
		return msgget(KEY + 1, IPC_CREAT | 0600) == -1;
	}
	return -1;
}

static void make(void)
{
	struct message m;
	struct msqid_ds ds;

	for (int i = 0; i < 3; i++) {
		int id = DO(msgget(IPC_PRIVATE, 0600));

		DO(msgctl(id, IPC_RMID, NULL));
	}
	full = DO(msgget(KEY, IPC_CREAT | IPC_EXCL | 0620));
	empty = DO(msgget(KEY + 1, IPC_CREAT | 0600));
	waited = DO(msgget(IPC_PRIVATE, 0600));
	m.type = 3;
	live_fill(m.text, 5000, 1); /* more than a page: the kernel keeps it in pieces */
	DO(msgsnd(full, &m, 5000, 0));
	m.type = 5;
	DO(msgsnd(full, &m, 0, 0));
	m.type = LONG_MAX;
	DO(msgsnd(full, &m, 7, 0));
	m.type = 3;
	live_fill(m.text, 10, 2);
	DO(msgsnd(full, &m, 10, 0));
	DO(msgctl(full, IPC_STAT, &ds));
	ds.msg_qbytes = 9000;
	ds.msg_perm.uid = 4711;
	ds.msg_perm.gid = 4712;
	DO(msgctl(full, IPC_SET, &ds));
}

/* Waits in msgrcv, across all that happens. */
static void child(void)
{
	struct message m;

	CHECK_EQ(msgrcv(waited, &m, sizeof(m.text), 77, 0), 3);
	live_child_end();
}

int main(void)
{
	struct msqid_ds ds;
	struct message m;
	pid_t pid;

	make();
	pid = live_fork();
	if (!pid) {
		live_child_ready();
		child();
	}

	live_wait(sabotage);

	CHECK_EQ(msgget(KEY, 0), full);
	CHECK_EQ(msgget(KEY + 1, 0), empty);
	CHECK_EQ(msgctl(full, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.msg_perm.mode, 0620);
	CHECK_EQ(ds.msg_perm.uid, 4711);
	CHECK_EQ(ds.msg_perm.gid, 4712);
	CHECK_EQ(ds.msg_perm.cuid, geteuid());
	CHECK_EQ(ds.msg_qbytes, 9000);
	CHECK_EQ(ds.msg_qnum, 4);
	CHECK_EQ(msgrcv(full, &m, sizeof(m.text), 0, IPC_NOWAIT), 5000);
	CHECK(m.type == 3 && live_same(m.text, 5000, 1));
	CHECK_EQ(msgrcv(full, &m, sizeof(m.text), 3, IPC_NOWAIT), 10);
	CHECK(live_same(m.text, 10, 2));
	CHECK_EQ(msgrcv(full, &m, sizeof(m.text), 0, IPC_NOWAIT), 0);
	CHECK_EQ(m.type, 5);
	CHECK_EQ(msgrcv(full, &m, sizeof(m.text), 0, IPC_NOWAIT), 7);
	CHECK_EQ(m.type, LONG_MAX);
	CHECK_ERRNO(msgrcv(full, &m, sizeof(m.text), 0, IPC_NOWAIT), ENOMSG);
	CHECK_ERRNO(msgrcv(empty, &m, sizeof(m.text), 0, IPC_NOWAIT), ENOMSG);
	m.type = 77;
	CHECK_EQ(msgsnd(waited, &m, 3, 0), 0);
	live_reap(pid);
	CHECK_EQ(msgctl(full, IPC_RMID, NULL) | msgctl(empty, IPC_RMID, NULL) |
			 msgctl(waited, IPC_RMID, NULL),
		 0);
	return live_end();
}
