/* SPDX-License-Identifier: GPL-2.0-only */
/* System V objects of the calling thread's ipc namespace: /proc/sysvipc. */
#ifndef VERST_FACTS_SYSVIPC_H
#define VERST_FACTS_SYSVIPC_H

#include "lib/lib.h"

enum sysvipc_kind { SYSVIPC_SHM, SYSVIPC_SEM, SYSVIPC_MSG };

#define SYSVIPC_DEST   01000u /* of perms, shm: removed, and gone with the last that detaches (linux/shm.h) */
#define SYSVIPC_LOCKED 02000u

struct sysvipc_entry {
	uint32_t key, id, perms;
	uint32_t uid, gid, cuid, cgid; /* as this process sees them */
	uint64_t size_bytes;	       /* shm: its size; msg: of all that is in it */
	uint64_t nr;		       /* shm: attachments; msg: messages; sem: semaphores */
};
typedef VEC(struct sysvipc_entry) sysvipc_entries;

/* Appends. A kernel without System V IPC has none. */
int sysvipc_read(enum sysvipc_kind kind, sysvipc_entries *ret, struct err *err);

#endif
