// SPDX-License-Identifier: GPL-2.0-only
/* The ipc namespace: System V queues and semaphores, and the VE's own limits when all is there. */
#include <errno.h>
#include <stdio.h>

#include "kernel/ipcns.h"
#include "rst/ipc.h"

static int set_number(const char *name, uint64_t value, struct err *err)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", value);
	return ipcns_set(name, text, err);
}

static int set_limits(struct rst *r, const struct ipc_obj *ipc, struct err *err)
{
	_ipcns_maker_ struct ipcns_maker maker = {0};
	char sem[64];

	/* they are the VE's root's own (ipc/ipc_sysctl.c: ipc_permissions) */
	if (ipcns_maker_become(&maker, r->run.uid_base, r->run.uid_base, err))
		return -1;
	snprintf(sem, sizeof(sem), "%u %u %u %u", ipc->semmsl, ipc->semmns, ipc->semopm, ipc->semmni);
	return set_number("shmmax", ipc->shmmax, err) || set_number("shmall", ipc->shmall, err) ||
			       set_number("shmmni", ipc->shmmni, err) ||
			       set_number("shm_rmid_forced", ipc->shm_rmid_forced, err) ||
			       set_number("msgmax", ipc->msgmax, err) ||
			       set_number("msgmnb", ipc->msgmnb, err) ||
			       set_number("msgmni", ipc->msgmni, err) || ipcns_set("sem", sem, err)
		       ? -1
		       : 0;
}

int rst_ipc_restore(struct rst *r, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (ipcns_enter(&scope, r->run.init_pid, err))
		return -1;
	return r->m.ipc.nr ? set_limits(r, &r->m.ipc.at[0], err) : 0;
}
