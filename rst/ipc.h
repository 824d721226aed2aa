/* SPDX-License-Identifier: GPL-2.0-only */
/* The ipc namespace, as the engine and the plan see it. */
#ifndef VERST_RST_IPC_H
#define VERST_RST_IPC_H

#include "rst/rst.h"

/* A record of shared memory has arrived: a System V segment that is gone goes here too. rst/sysv.c */
int rst_sysv_apply(struct rst *r, const struct shm_obj *shm, struct err *err);
/* System V queues and semaphores, and the VE's own limits when all is there. rst/ipc.c */
int rst_ipc_restore(struct rst *r, struct err *err);

#endif
