// SPDX-License-Identifier: GPL-2.0-only
/* The ipc namespace: limits, System V queues and semaphores. Shared memory is memory (cpt/sysv.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "cpt/cpt.h"
#include "cpt/ns.h"
#include "facts/sysvipc.h"
#include "kernel/ipcns.h"
#include "kernel/semundo.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

#define MAX_SEMAPHORES 32000 /* of a set: SEMMSL of include/uapi/linux/sem.h */

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

/* --- queues --- */

static struct ipc_owner perm_of(const struct cpt *c, const struct sysvipc_entry *e)
{
	return (struct ipc_owner){
		.key = e->key,
		.mode = e->perms & 0777,
		.uid = e->uid - c->run.uid_base,
		.gid = e->gid - c->run.uid_base,
		.cuid = e->cuid - c->run.uid_base,
		.cgid = e->cgid - c->run.uid_base,
	};
}

/* Copies leave the queue as it is, its times and pids too (ipc/msg.c: do_msgrcv with MSG_COPY). */
static int copy_messages(const struct sysvipc_entry *e, struct msgq_obj *q, struct err *err)
{
	struct {
		long type;
		uint8_t text[];
	} *m = mem_alloc(sizeof(*m) + e->size_bytes);

	for (uint64_t i = 0; i < e->nr; i++) {
		ssize_t len = msgrcv((int)e->id, m, e->size_bytes, (long)i, MSG_COPY | IPC_NOWAIT);

		if (len < 0) {
			err_sys(err, "copying message %lu", i);
			free(m);
			return -1;
		}
		vec_push(&q->messages,
			 ((struct msgq_message){(uint64_t)m->type, bytes_dup(m->text, (size_t)len)}));
	}
	free(m);
	return 0;
}

static int collect_queue(struct cpt *c, const struct sysvipc_entry *e, struct err *err)
{
	struct msgq_obj *q = vec_add(&c->m.msgqs);
	struct msqid_ds ds;

	q->id = e->id + 1;
	q->perm = perm_of(c, e);
	if (msgctl((int)e->id, IPC_STAT, &ds))
		return err_sys(err, "IPC_STAT");
	q->qbytes = (uint32_t)ds.msg_qbytes;
	return copy_messages(e, q, err);
}

static int by_id(const void *a, const void *b)
{
	const struct sysvipc_entry *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int collect_queues(struct cpt *c, struct err *err)
{
	sysvipc_entries list = {0};
	int ret = sysvipc_read(SYSVIPC_MSG, &list, err);

	vec_sort(&list, by_id); /* the kernel has them by the lower part of the id */
	vec_each(e, &list)
		if (!ret && collect_queue(c, e, err))
			ret = err_ctx(err, "System V message queue %u", e->id);
	vec_free(&list);
	return ret;
}

/* --- semaphores --- */

static int add_set(struct cpt *c, const struct sysvipc_entry *e, struct err *err)
{
	struct semset_obj *s = vec_add(&c->m.semsets);
	_free_ uint16_t *values = mem_alloc(e->nr * sizeof(*values));
	struct semid_ds ds;

	s->id = e->id + 1;
	s->perm = perm_of(c, e);
	if (semctl((int)e->id, 0, IPC_STAT, &ds) || semctl((int)e->id, 0, GETALL, values))
		return err_sys(err, "its values");
	s->used = ds.sem_otime;
	for (uint64_t i = 0; i < e->nr; i++)
		vec_push(&s->values, (uint32_t)values[i]);
	return 0;
}

/* A list belongs to a process: threads that have none, or another one, and processes that share one are not
 * as the restore makes them. */
static const char *odd_sharing(const semundo_entries *all, size_t first)
{
	for (size_t i = first; i < all->nr; i++) {
		const struct semundo_entry *e = &all->at[i];

		if (e->list != all->at[first].list)
			return "its threads undo semaphore operations (SEM_UNDO) each for itself";
		for (size_t k = 0; k < first; k++)
			if (all->at[k].list == e->list)
				return "it shares what it undoes of semaphores (SEM_UNDO) with another "
				       "process";
	}
	return NULL;
}

/* All that tasks undo, in `ret` by pid of the VE; odd ones as findings, or as an error when frozen. */
static int read_undos(struct cpt *c, struct semundo *walk, semundo_entries *ret, struct err *err)
{
	vec_each(t, &c->tasks) {
		size_t first = ret->nr, nr = first;
		const char *odd;
		char where[64];

		if (t->zombie)
			continue;
		if (semundo_read(walk, t->pidfd, ret, err)) {
			if (!c->frozen && err->sys_errno == ESRCH)
				continue;
			return err_ctx(err, "%s", cpt_where(t, -1, where));
		}
		odd = odd_sharing(ret, first);
		if (odd && !c->findings)
			return err_set(err, ERR_OBSTACLES, "%s: %s", cpt_where(t, -1, where), odd);
		if (odd)
			findings_add(c->findings, cpt_where(t, -1, where), NULL, "%s", odd);
		for (size_t i = first, tid = nr < ret->nr ? ret->at[nr].tid : 0; i < ret->nr; i++)
			if (ret->at[i].tid == tid) { /* once, though all threads have it */
				ret->at[nr] = ret->at[i];
				ret->at[nr++].tid = t->vpid;
			}
		ret->nr = nr;
	}
	return 0;
}

static int undos_of(struct cpt *c, const sysvipc_entries *sets, semundo_entries *ret, struct err *err)
{
	struct semundo *walk;
	int result = 0;

	if (semundo_new(&walk, err))
		return -1;
	vec_each(e, sets)
		if (!result)
			result = semundo_add_set(walk, e->id, (uint32_t)e->nr, err);
	if (!result)
		result = read_undos(c, walk, ret, err);
	semundo_free(walk);
	return result;
}

static void add_undos(struct semset_obj *s, const semundo_entries *undos)
{
	vec_each(u, undos)
		if (u->id == s->id - 1)
			vec_push(&s->undos, ((struct sem_undo){u->tid, u->nr, u->adjust}));
}

static int collect_sets(struct cpt *c, struct err *err)
{
	sysvipc_entries list = {0};
	semundo_entries undos = {0};
	int ret = sysvipc_read(SYSVIPC_SEM, &list, err);

	vec_sort(&list, by_id);
	if (!ret && list.nr)
		ret = undos_of(c, &list, &undos, err);
	vec_each(e, &list)
		if (!ret && add_set(c, e, err))
			ret = err_ctx(err, "System V semaphore set %u", e->id);
	vec_each(s, &c->m.semsets)
		add_undos(s, &undos);
	vec_free(&list);
	vec_free(&undos);
	return ret;
}

/* --- check --- */

static int check_sets(struct cpt *c, struct err *err)
{
	sysvipc_entries list = {0};
	semundo_entries undos = {0};
	int ret = sysvipc_read(SYSVIPC_SEM, &list, err);

	vec_each(e, &list)
		if (e->nr > MAX_SEMAPHORES)
			findings_add(c->findings, "ipc namespace", NULL,
				     "System V semaphore set %u has %lu semaphores, more than %d", e->id,
				     e->nr, MAX_SEMAPHORES);
	if (!ret && list.nr && undos_of(c, &list, &undos, err)) {
		ret = err->code == ERR_KERNEL ? 0 : -1;
		if (!ret)
			findings_add(
				c->findings, "ipc namespace",
				"ipcs(1) inside shows them, ipcrm(1) removes them",
				"%zu System V semaphore set%s, of which this kernel does not tell what is "
				"undone when a task ends: %s",
				list.nr, list.nr > 1 ? "s" : "", err->msg);
	}
	vec_free(&list);
	vec_free(&undos);
	return ret;
}

/* A copy of nothing: E2BIG or EFAULT say that the kernel knows MSG_COPY. */
static int check_queues(struct cpt *c, struct err *err)
{
	sysvipc_entries list = {0};

	if (sysvipc_read(SYSVIPC_MSG, &list, err))
		return -1;
	vec_each(e, &list)
		if (e->nr && msgrcv((int)e->id, NULL, 0, 0, MSG_COPY | IPC_NOWAIT) < 0 && errno == ENOSYS)
			findings_add(c->findings, "ipc namespace",
				     "ipcs(1) inside shows it; this kernel has no CONFIG_CHECKPOINT_RESTORE",
				     "System V message queue %u has messages, which cannot be copied", e->id);
	vec_free(&list);
	return 0;
}

int cpt_ipc_check(struct cpt *c, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (ipcns_enter(&scope, c->run.init_pid, err))
		return -1;
	return check_sets(c, err) || check_queues(c, err) ? -1 : 0;
}

int cpt_ipc_collect(struct cpt *c, struct err *err)
{
	_ipcns_ struct ipcns_scope scope = {-1};

	if (ipcns_enter(&scope, c->run.init_pid, err))
		return -1;
	return collect_limits(c, err) || collect_queues(c, err) || collect_sets(c, err) ? -1 : 0;
}
