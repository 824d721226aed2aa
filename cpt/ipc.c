// SPDX-License-Identifier: GPL-2.0-only
/* The ipc namespace: limits, System V queues and semaphores. Shared memory is memory (cpt/sysv.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpt/cpt.h"
#include "cpt/ns.h"
#include "facts/sysvipc.h"
#include "kernel/ipcns.h"

static int number_of(const char *name, uint64_t *ret, struct err *err)
{
	char *text;

	if (ipcns_setting(name, &text, err))
		return -1;
	*ret = strtoull(text, NULL, 10);
	free(text);
	return 0;
}

static int collect_limits(struct cpt *c, struct err *err)
{
	static const char *const names[] = {"shmmax", "shmall", "shmmni", "shm_rmid_forced",
					    "msgmax", "msgmnb", "msgmni"};
	uint64_t value[ARRAY_LEN(names)];
	struct ipc_obj ipc = {0};
	char *sem;
	int got;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (number_of(names[i], &value[i], err))
			return -1;
	ipc.shmmax = value[0];
	ipc.shmall = value[1];
	ipc.shmmni = (uint32_t)value[2];
	ipc.shm_rmid_forced = (uint32_t)value[3];
	ipc.msgmax = (uint32_t)value[4];
	ipc.msgmnb = (uint32_t)value[5];
	ipc.msgmni = (uint32_t)value[6];
	if (ipcns_setting("sem", &sem, err))
		return -1;
	got = sscanf(sem, "%u %u %u %u", &ipc.semmsl, &ipc.semmns, &ipc.semopm, &ipc.semmni);
	free(sem);
	if (got != 4)
		return err_set(err, ERR_SYSTEM, "kernel.sem has %d numbers instead of 4", got);
	vec_push(&c->m.ipc, ipc);
	return 0;
}

/* --- check --- */

static int refuse(struct cpt *c, enum sysvipc_kind kind, const char *what, struct err *err)
{
	sysvipc_entries list = {0};

	if (sysvipc_read(kind, &list, err))
		return -1;
	if (list.nr)
		findings_add(c->findings, "ipc namespace", "ipcs(1) inside shows them, ipcrm(1) removes them",
			     "%zu %s%s", list.nr, what, list.nr > 1 ? "s" : "");
	vec_free(&list);
	return 0;
}

int cpt_ipc_check(struct cpt *c, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (ipcns_enter(&scope, c->run.init_pid, err))
		return -1;
	return refuse(c, SYSVIPC_SEM, "System V semaphore set", err) ||
			       refuse(c, SYSVIPC_MSG, "System V message queue", err)
		       ? -1
		       : 0;
}

int cpt_ipc_collect(struct cpt *c, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (ipcns_enter(&scope, c->run.init_pid, err))
		return -1;
	return collect_limits(c, err);
}
