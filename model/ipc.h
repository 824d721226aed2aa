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

#endif
