/* SPDX-License-Identifier: GPL-2.0-only */
/* The ipc namespace: its limits, and System V message queues and semaphores. Shared memory is in model/mm.h.
 */
#ifndef VERST_MODEL_IPC_H
#define VERST_MODEL_IPC_H

#include "model/base.h"

/* What /proc/sys/kernel has under these names. */
struct ipc_obj {
	uint64_t shmmax, shmall;
	uint32_t shmmni, shm_rmid_forced;
	uint32_t msgmax, msgmnb, msgmni;
	uint32_t semmsl, semmns, semopm, semmni; /* the four numbers of sem */
};

struct ipc_owner {
	uint32_t key; /* 0: IPC_PRIVATE */
	uint32_t mode, uid, gid, cuid, cgid;
};

struct msgq_message {
	uint64_t type; /* above 0 */
	struct bytes text;
};

struct msgq_obj {
	uint32_t id; /* that of msgget(2) and 1 */
	struct ipc_owner perm;
	uint32_t qbytes; /* how many bytes it takes */
	VEC(struct msgq_message) messages;
};

struct sem_undo {     /* added to a semaphore when the task ends */
	uint32_t pid; /* of the VE: a thread whose list it is */
	uint32_t nr;
	int32_t adjust;
};

struct semset_obj {
	uint32_t id; /* that of semget(2) and 1 */
	struct ipc_owner perm;
	VEC(uint32_t) values;
	VEC(struct sem_undo) undos;
	bool used; /* some semop(2) was done on it: programs look at that (sem_otime) */
};

#endif
