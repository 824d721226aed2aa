// SPDX-License-Identifier: GPL-2.0-only
/* The ipc namespace: System V queues and semaphores, and the VE's own limits when all is there. */
#include <errno.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/msg.h>

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

/* --- queues --- */

static int open_limits(struct rst *r, struct err *err)
{
	_ipcns_maker_ struct ipcns_maker maker = {0};

	return ipcns_maker_become(&maker, r->run.uid_base, r->run.uid_base, err) ||
			       ipcns_set("msgmni", "32768", err) || ipcns_set("msgmax", "2147483647", err) ||
			       ipcns_set("msgmnb", "2147483647", err)
		       ? -1
		       : 0;
}

static int make_queue(struct rst *r, const struct msgq_obj *q, struct err *err)
{
	_ipcns_maker_ struct ipcns_maker maker = {0};
	const struct ipc_owner *perm = &q->perm;
	int id;

	if (ipcns_next_id("msg", q->id - 1, err) ||
	    ipcns_maker_become(&maker, r->run.uid_base + perm->cuid, r->run.uid_base + perm->cgid, err))
		return -1;
	id = msgget((key_t)perm->key, IPC_CREAT | IPC_EXCL | (int)perm->mode);
	if (id < 0)
		return err_sys(err, "msgget");
	return (uint32_t)id == q->id - 1 ? 0 : err_set(err, ERR_RESTORE, "it would have the number %d", id);
}

/* The VE's root may have lowered qbytes below what is in the queue, so it is set last. */
static int send_messages(const struct msgq_obj *q, struct err *err)
{
	vec_each(message, &q->messages) {
		struct {
			long type;
			uint8_t text[];
		} *m = mem_alloc(sizeof(*m) + message->text.len_bytes);
		int ret;

		m->type = (long)message->type;
		if (message->text.len_bytes)
			memcpy(m->text, message->text.at, message->text.len_bytes);
		ret = msgsnd((int)q->id - 1, m, message->text.len_bytes, IPC_NOWAIT);
		free(m);
		if (ret)
			return err_sys(err, "msgsnd");
	}
	return 0;
}

static int restore_queue(struct rst *r, const struct msgq_obj *q, struct err *err)
{
	struct msqid_ds ds = {0};

	ds.msg_qbytes = q->qbytes;
	ds.msg_perm.uid = r->run.uid_base + q->perm.uid;
	ds.msg_perm.gid = r->run.uid_base + q->perm.gid;
	ds.msg_perm.mode = (unsigned short)q->perm.mode;
	if (make_queue(r, q, err) || send_messages(q, err))
		return -1;
	return msgctl((int)q->id - 1, IPC_SET, &ds) ? err_sys(err, "IPC_SET") : 0;
}

static int restore_queues(struct rst *r, struct err *err)
{
	if (r->m.msgqs.nr && open_limits(r, err))
		return -1;
	vec_each(q, &r->m.msgqs)
		if (restore_queue(r, q, err))
			return err_ctx(err, "System V message queue %u", q->id - 1);
	return 0;
}

int rst_ipc_restore(struct rst *r, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (ipcns_enter(&scope, r->run.init_pid, err))
		return -1;
	if (restore_queues(r, err))
		return -1;
	return r->m.ipc.nr ? set_limits(r, &r->m.ipc.at[0], err) : 0;
}
