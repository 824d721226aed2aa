// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ipc namespace: System V queues and semaphores, and the VE's own limits when all is there. Times and last
 * pids of an object are those of the restore: nothing can set them.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>

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
			       ipcns_set("sem", "32000 1024000000 500 32768", err) ||
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
	vec_each(q, &r->m.msgqs)
		if (restore_queue(r, q, err))
			return err_ctx(err, "System V message queue %u", q->id - 1);
	return 0;
}

/* --- semaphores --- */

#define OPS_A_CALL 100 /* below the default of semopm, 500 */

static int make_set(struct rst *r, const struct semset_obj *s, struct err *err)
{
	_ipcns_maker_ struct ipcns_maker maker = {0};
	const struct ipc_owner *perm = &s->perm;
	int id;

	if (ipcns_next_id("sem", s->id - 1, err) ||
	    ipcns_maker_become(&maker, r->run.uid_base + perm->cuid, r->run.uid_base + perm->cgid, err))
		return -1;
	id = semget((key_t)perm->key, (int)s->values.nr, IPC_CREAT | IPC_EXCL | (int)perm->mode);
	if (id < 0)
		return err_sys(err, "semget");
	return (uint32_t)id == s->id - 1 ? 0 : err_set(err, ERR_RESTORE, "it would have the number %d", id);
}

/*
 * Done by the task with SEM_UNDO, and taken back without: what remains is what it undoes. The semaphore is 0
 * before and after, and no value on the way is out of range.
 */
static int undo_in_task(struct rst *r, const struct semset_obj *s, const struct sem_undo *u, struct err *err)
{
	struct rst_task *t = rst_tree_find(r, u->pid);
	short by = (short)(u->adjust > 0 ? u->adjust : -u->adjust);
	struct sembuf ops[2] = {
		{.sem_num = (unsigned short)u->nr, .sem_op = by, .sem_flg = IPC_NOWAIT},
		{.sem_num = (unsigned short)u->nr, .sem_op = (short)-by, .sem_flg = IPC_NOWAIT},
	};
	struct remote_batch *b;
	int ret;

	if (!t || !t->r)
		return err_set(err, ERR_IMAGE, "there is no task %u", u->pid);
	ops[u->adjust > 0].sem_flg |= SEM_UNDO;
	b = remote_batch_new();
	remote_call(b, "semop", 0, SYS_semop, ra_num(s->id - 1),
		    ra_data(remote_batch_data(b, ops, sizeof(ops))), ra_num(2));
	ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	return ret ? err_ctx(err, "task %u", u->pid) : 0;
}

/* SETALL would clear what tasks undo, and leave no trace of use (ipc/sem.c). */
static int add_values(const struct semset_obj *s, struct err *err)
{
	/* for the trace, where all are 0 */
	struct sembuf ops[OPS_A_CALL] = {{0, 1, IPC_NOWAIT}, {0, -1, IPC_NOWAIT}};
	size_t nr = 2;

	for (size_t i = 0; i < s->values.nr; i++) {
		if (s->values.at[i])
			ops[nr++] = (struct sembuf){(unsigned short)i, (short)s->values.at[i], IPC_NOWAIT};
		if (nr < OPS_A_CALL && i + 1 < s->values.nr)
			continue;
		if (nr && semop((int)s->id - 1, ops, nr))
			return err_sys(err, "semop");
		nr = 0;
	}
	return 0;
}

static int set_values(const struct semset_obj *s, struct err *err)
{
	_free_ uint16_t *values = mem_alloc(s->values.nr * sizeof(*values));

	for (size_t i = 0; i < s->values.nr; i++)
		values[i] = (uint16_t)s->values.at[i];
	return semctl((int)s->id - 1, 0, SETALL, values) ? err_sys(err, "SETALL") : 0;
}

static int restore_set(struct rst *r, const struct semset_obj *s, struct err *err)
{
	struct semid_ds ds = {0};

	ds.sem_perm.uid = r->run.uid_base + s->perm.uid;
	ds.sem_perm.gid = r->run.uid_base + s->perm.gid;
	ds.sem_perm.mode = (unsigned short)s->perm.mode;
	if (make_set(r, s, err))
		return -1;
	vec_each(u, &s->undos)
		if (undo_in_task(r, s, u, err))
			return -1;
	if (s->used ? add_values(s, err) : set_values(s, err))
		return -1;
	return semctl((int)s->id - 1, 0, IPC_SET, &ds) ? err_sys(err, "IPC_SET") : 0;
}

static int restore_sets(struct rst *r, struct err *err)
{
	vec_each(s, &r->m.semsets)
		if (restore_set(r, s, err))
			return err_ctx(err, "System V semaphore set %u", s->id - 1);
	return 0;
}

int rst_ipc_restore(struct rst *r, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (ipcns_enter(&scope, r->run.init_pid, err))
		return -1;
	if (open_limits(r, err) || restore_queues(r, err) || restore_sets(r, err))
		return -1;
	return r->m.ipc.nr ? set_limits(r, &r->m.ipc.at[0], err) : 0;
}
