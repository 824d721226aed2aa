// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "rst/sock.h"
#include "rst/unix_name.h"

#define OPS_A_BATCH 64 /* two descriptors each: far below any limit of a task */

enum op_kind { OP_PAIR, OP_LISTEN, OP_CONNECT };

/* One call to be made by the task `pid`, seen as these ids. */
struct op {
	enum op_kind kind;
	uint32_t pid, uid, gid;
	size_t index; /* of the unix socket it is for */
	int type;     /* OP_PAIR */
	int fd, handle, backlog;
	struct bytes name;
	size_t call, data; /* in the batch */
};
typedef VEC(struct op) op_vec;

bool rst_unix_task_is_there(struct rst *r, uint32_t pid)
{
	const struct rst_task *t = pid ? rst_tree_find(r, pid) : NULL;

	return t && t->r && t->t.mm;
}

static int by_pid(const void *a, const void *b)
{
	const struct op *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static void add_ids(struct remote_batch *b, uint32_t uid, uint32_t gid)
{
	const struct remote_arg keep = ra_num(-1);

	remote_call(b, "setresgid", 0, SYS_setresgid, keep, ra_num(gid), keep);
	remote_call(b, "setresuid", 0, SYS_setresuid, keep, ra_num(uid), keep);
}

/* `fds`: the numbers of op->fd and op->handle in the task. */
static void add_op(struct remote_batch *b, struct op *op, const int *fds)
{
	struct sockaddr_un to;
	unsigned len;

	switch (op->kind) {
	case OP_PAIR:
		op->data = remote_batch_data(b, NULL, 2 * sizeof(int));
		op->call = remote_call(b, "socketpair", 0, SYS_socketpair, ra_num(AF_UNIX),
				       ra_num(op->type | SOCK_CLOEXEC | SOCK_NONBLOCK), ra_num(0),
				       ra_data(op->data));
		break;
	case OP_LISTEN:
		op->call = remote_call(b, "listen", 0, SYS_listen, ra_num(fds[0]), ra_num(op->backlog));
		break;
	case OP_CONNECT:
		len = rst_unix_name_address(op->handle >= 0 ? fds[1] : -1, &op->name, &to);
		op->data = remote_batch_data(b, &to, sizeof(to));
		op->call = remote_call(b, "connect", REMOTE_MAY_FAIL, SYS_connect, ra_num(fds[0]),
				       ra_data(op->data), ra_num(len));
		break;
	}
}

static int run_batch(struct rst_task *t, struct remote_batch *b, struct op *ops, size_t nr, struct err *err)
{
	int ours[2 * OPS_A_BATCH], theirs[2 * OPS_A_BATCH];
	size_t nr_fds = 0, at = 0;

	for (size_t i = 0; i < nr; i++) {
		if (ops[i].fd >= 0)
			ours[nr_fds++] = ops[i].fd;
		if (ops[i].handle >= 0)
			ours[nr_fds++] = ops[i].handle;
	}
	if (nr_fds && remote_send_fds(t->r, ours, nr_fds, theirs, err))
		return -1;
	for (size_t i = 0; i < nr; i++) {
		bool others = ops[i].uid || ops[i].gid;

		if (others)
			add_ids(b, ops[i].uid, ops[i].gid);
		add_op(b, &ops[i], theirs + at);
		if (others)
			add_ids(b, 0, 0);
		at += (size_t)(ops[i].fd >= 0) + (size_t)(ops[i].handle >= 0);
	}
	for (size_t i = 0; i < nr_fds; i++)
		remote_call(b, "close", 0, SYS_close, ra_num(theirs[i]));
	return remote_batch_run(t->r, b, err);
}

/* The two ends out of the task that made them. */
static int fetch_pair(struct rst *r, const struct rst_task *t, const struct remote_batch *b,
		      const struct op *op, struct err *err)
{
	struct rst_unix *items = r->sock->unixs, *u = &items[op->index];
	int theirs[2], *ours[2] = {&u->fd, u->other >= 0 ? &items[u->other].fd : &u->mate};

	memcpy(theirs, remote_batch_out(b, op->data), sizeof(theirs));
	for (int i = 0; i < 2; i++) {
		*ours[i] = (int)syscall(SYS_pidfd_getfd, t->pidfd, theirs[i], 0);
		if (*ours[i] < 0)
			return err_sys(err, "pidfd_getfd");
	}
	return 0;
}

static int close_pairs(struct rst_task *t, const struct remote_batch *b, const struct op *ops, size_t nr,
		       struct err *err)
{
	struct remote_batch *closing = remote_batch_new();
	int theirs[2], result;

	for (size_t i = 0; i < nr; i++) {
		memcpy(theirs, remote_batch_out(b, ops[i].data), sizeof(theirs));
		remote_call(closing, "close", 0, SYS_close, ra_num(theirs[0]));
		remote_call(closing, "close", 0, SYS_close, ra_num(theirs[1]));
	}
	result = remote_batch_run(t->r, closing, err);
	remote_batch_free(closing);
	return result;
}

/* What the task could not do (there is no /proc in the VE, say) is done from here: all but the ids is the
 * same. */
static int accept_one(struct rst *r, const struct remote_batch *b, const struct op *op, struct err *err)
{
	struct rst_unix *u = &r->sock->unixs[op->index];
	int64_t result = remote_batch_result(b, op->call);
	struct sockaddr_un to;
	unsigned len;

	if (result) {
		log_debug("unix socket: connect in task %u: %s", op->pid, strerror((int)-result));
		len = rst_unix_name_address(op->handle, &op->name, &to);
		if (!len || connect(op->fd, (struct sockaddr *)&to, len))
			return err_sys(err, "connect");
	}
	u->fd = accept4(u->door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return u->fd < 0 ? err_sys(err, "accept") : 0;
}

static int run_some(struct rst *r, struct op *ops, size_t nr, struct err *err)
{
	struct rst_task *t = rst_tree_find(r, ops[0].pid);
	struct remote_batch *b = remote_batch_new();
	int result = run_batch(t, b, ops, nr, err);

	for (size_t i = 0; !result && i < nr; i++) {
		if (ops[i].kind == OP_PAIR)
			result = fetch_pair(r, t, b, &ops[i], err);
		else if (ops[i].kind == OP_CONNECT)
			result = accept_one(r, b, &ops[i], err);
	}
	if (!result && ops[0].kind == OP_PAIR)
		result = close_pairs(t, b, ops, nr, err);
	remote_batch_free(b);
	return result ? err_ctx(err, "unix sockets of task %u", ops[0].pid) : 0;
}

static int run_all(struct rst *r, op_vec *ops, struct err *err)
{
	int result = 0;

	vec_sort(ops, by_pid);
	for (size_t i = 0, n; !result && i < ops->nr; i += n) {
		for (n = 1; n < OPS_A_BATCH && i + n < ops->nr && ops->at[i + n].pid == ops->at[i].pid; n++)
			;
		result = run_some(r, &ops->at[i], n, err);
	}
	vec_free(ops);
	return result;
}

/* `seen`: the socket whose far end sees the caller. */
static struct op *add(op_vec *ops, enum op_kind kind, const struct unix_obj *seen, size_t index)
{
	struct op *op = vec_add(ops);

	*op = (struct op){.kind = kind,
			  .pid = seen->peer_pid,
			  .uid = seen->peer_uid,
			  .gid = seen->peer_gid,
			  .index = index,
			  .fd = -1,
			  .handle = -1};
	return op;
}

int rst_unix_task_pairs(struct rst *r, struct err *err)
{
	op_vec ops = {0};

	for (size_t i = 0; i < r->sock->nr_unixs; i++) {
		const struct unix_obj *obj = &r->m.unixs.at[i];
		const struct rst_unix *u = &r->sock->unixs[i];

		if ((u->way == UNIX_MATE || (u->way == UNIX_PAIR && u->other > (ssize_t)i)) &&
		    rst_unix_task_is_there(r, obj->peer_pid))
			add(&ops, OP_PAIR, obj, i)->type = obj->type;
	}
	return run_all(r, &ops, err);
}

static int listen_all(struct rst *r, bool in_the_end, struct err *err)
{
	op_vec ops = {0};

	for (size_t i = 0; i < r->sock->nr_unixs; i++) {
		const struct unix_obj *obj = &r->m.unixs.at[i];
		const struct rst_unix *u = &r->sock->unixs[i];

		if (obj->state == SOCK_ST_LISTEN && u->by_task) {
			struct op *op = add(&ops, OP_LISTEN, obj, i);

			op->fd = u->fd;
			op->backlog = in_the_end ? (int)obj->backlog : SOMAXCONN;
		} else if (!in_the_end && u->own_door && u->other >= 0 &&
			   rst_unix_task_is_there(r, r->m.unixs.at[u->other].peer_pid)) {
			struct op *op = add(&ops, OP_LISTEN, &r->m.unixs.at[u->other], i);

			op->fd = u->door;
			op->backlog = 1;
		}
	}
	return run_all(r, &ops, err);
}

int rst_unix_task_accepted(struct rst *r, struct err *err)
{
	op_vec ops = {0};

	if (listen_all(r, false, err))
		return -1;
	for (size_t i = 0; i < r->sock->nr_unixs; i++) {
		const struct unix_obj *obj = &r->m.unixs.at[i];
		const struct rst_unix *u = &r->sock->unixs[i];
		struct op *op;

		if (u->way != UNIX_ACCEPTED || !u->by_task)
			continue;
		op = add(&ops, OP_CONNECT, obj, i);
		op->fd = u->other >= 0 ? r->sock->unixs[u->other].fd : u->mate;
		op->handle = u->door_handle;
		op->name = obj->name;
	}
	return run_all(r, &ops, err);
}

int rst_unix_task_listen(struct rst *r, struct err *err)
{
	return listen_all(r, true, err);
}
