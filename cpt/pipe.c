// SPDX-License-Identifier: GPL-2.0-only
/* Pipes and FIFOs. What is in them is looked at through tee(2), so nothing is taken out. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "cpt/file.h"

#define PACKET_MAX 4096 /* PIPE_BUF: a longer write in packet mode becomes several (fs/pipe.c) */

static bool pipe_match(const struct cpt_fd *fd)
{
	return S_ISFIFO(fd->st.st_mode);
}

static bool is_anonymous(const struct cpt_fd *fd)
{
	return fd->link[0] != '/';
}

static struct cpt_pipe_known *known(struct cpt *c, const struct stat *st, bool *ret_new)
{
	struct cpt_file_state *s = cpt_file_state(c);
	uint64_t hash = idx_hash_u64(st->st_dev, st->st_ino);
	struct cpt_pipe_known *k;

	*ret_new = false;
	for (uint32_t i = idx_first(&s->pipe_idx, hash); i != IDX_END; i = idx_next(&s->pipe_idx, i)) {
		k = &s->pipes.at[i];
		if (k->dev == st->st_dev && k->ino == st->st_ino)
			return k;
	}
	*ret_new = true;
	idx_add(&s->pipe_idx, hash);
	k = vec_add(&s->pipes);
	k->dev = st->st_dev;
	k->ino = st->st_ino;
	return k;
}

/* Notes which ends the VE has, and whether the kernel says that there is no other. */
static void note_end(struct cpt_pipe_known *k, const struct cpt_fd *fd)
{
	struct pollfd p = {.fd = fd->local, .events = POLLIN | POLLOUT};
	unsigned mode = fd->flags & O_ACCMODE;

	if (!k->where[0])
		cpt_fdopen_where(fd, k->where);
	k->readable |= mode != O_WRONLY;
	k->writable |= mode != O_RDONLY;
	/*
	 * fs/pipe.c pipe_poll: POLLHUP on a reader without writers, POLLERR on a writer without readers. A
	 * FIFO without a writer tells so only after there was one; but all the VE's openers of its own FIFOs
	 * are in the VE.
	 */
	if (!is_anonymous(fd) || (poll(&p, 1, 0) >= 0 && p.revents & (POLLHUP | POLLERR)))
		k->alone = true;
}

static int pipe_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	char where[64];
	bool is_new;

	note_end(known(c, &fd->st, &is_new), fd);
	if (!is_anonymous(fd) && !fd->deleted && !cpt_reg_leads_to(c, fd->link, fd->st.st_dev, fd->st.st_ino))
		findings_add(c->findings, cpt_fdopen_where(fd, where),
			     "it may be of the host, or hidden below a mount",
			     "FIFO %s is reachable by no path in the VE", fd->link);
	return 0;
}

static const char *lost_end(const struct cpt_pipe_known *k)
{
	if ((k->readable && k->writable) || k->alone)
		return NULL;
	return k->readable ? "write" : "read";
}

void cpt_pipe_check_ends(struct cpt *c)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(k, &s->pipes)
		if (lost_end(k))
			findings_add(c->findings, k->where, "start the program without a pipe to the host",
				     "pipe whose %s end is held outside of the VE", lost_end(k));
	/* ids of pipes are given in the frozen part */
	vec_free(&s->pipes);
	idx_clear(&s->pipe_idx);
}

/* --- content --- */

static int tee_all(int from, uint32_t capacity_bytes, uint32_t queued_bytes, int ret_pipe[2], struct err *err)
{
	int copy[2];
	ssize_t n;

	if (pipe2(copy, O_CLOEXEC | O_NONBLOCK))
		return err_sys(err, "pipe");
	/* as many slots as the original, or not all may fit */
	if (fcntl(copy[1], F_SETPIPE_SZ, capacity_bytes) < 0) {
		err_sys(err, "a copy of %u bytes", capacity_bytes);
		goto failed;
	}
	n = tee(from, copy[1], INT32_MAX, SPLICE_F_NONBLOCK);
	if (n < 0) {
		err_sys(err, "tee");
		goto failed;
	}
	if ((uint32_t)n != queued_bytes) {
		err_set(err, ERR_CHECKPOINT, "%u bytes are in it, but %zd could be seen", queued_bytes, n);
		goto failed;
	}
	memcpy(ret_pipe, copy, sizeof(copy));
	return 0;
failed:
	close(copy[0]);
	close(copy[1]);
	return -1;
}

/* With packets, each read gives one; otherwise all that fits. */
static int read_chunks(int from, uint32_t queued_bytes, bool packets, struct pipe_obj *pipe, struct err *err)
{
	size_t room = packets ? PACKET_MAX : queued_bytes;
	_free_ uint8_t *piece = mem_alloc(room);

	while (queued_bytes) {
		ssize_t n = read(from, piece, room);

		if (n <= 0)
			return n ? err_sys(err, "read of the copy")
				 : err_set(err, ERR_CHECKPOINT, "its copy ended early");
		vec_push(&pipe->chunks, ((struct pipe_chunk){bytes_dup(piece, (size_t)n), packets}));
		queued_bytes -= MIN((uint32_t)n, queued_bytes);
	}
	return 0;
}

/* fd: any end. A write end is opened again for reading, which nobody waits for as all tasks stand still. */
static int collect_content(const struct cpt_fd *fd, bool packets, struct pipe_obj *pipe, struct err *err)
{
	_fd_ int reader = -1;
	int copy[2], queued, ret;
	char name[32];

	if (ioctl(fd->local, FIONREAD, &queued))
		return err_sys(err, "FIONREAD");
	if (!queued)
		return 0;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd->local);
	reader = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (reader < 0)
		return err_sys(err, "open for reading");
	if (tee_all(reader, pipe->capacity_bytes, (uint32_t)queued, copy, err))
		return -1;
	ret = read_chunks(copy[0], (uint32_t)queued, packets, pipe, err);
	close(copy[0]);
	close(copy[1]);
	return ret;
}

static void chunks_free(struct pipe_obj *pipe)
{
	vec_each(chunk, &pipe->chunks)
		free(chunk->data.at);
	vec_free(&pipe->chunks);
}

static int describe(struct cpt *c, const struct cpt_fd *fd, struct pipe_obj *pipe, struct err *err)
{
	int capacity = fcntl(fd->local, F_GETPIPE_SZ);

	if (capacity < 0)
		return err_sys(err, "F_GETPIPE_SZ");
	pipe->capacity_bytes = (uint32_t)capacity;
	/* A FIFO without a name is a pipe: what can be told apart is only what readlink says of it. */
	if (!is_anonymous(fd) && !fd->deleted) {
		if (!cpt_reg_leads_to(c, fd->link, fd->st.st_dev, fd->st.st_ino))
			return err_set(err, ERR_CHECKPOINT, "FIFO %s is reachable by no path in the VE",
				       fd->link);
		pipe->fifo_path = mem_strdup(cpt_fdopen_in_root(c, fd->link));
	}
	if (collect_content(fd, fd->flags & O_DIRECT, pipe, err)) {
		free(pipe->fifo_path);
		chunks_free(pipe);
		return -1;
	}
	return 0;
}

static int pipe_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct pipe_obj *pipe;
	bool is_new;
	struct cpt_pipe_known *k = known(c, &fd->st, &is_new);

	note_end(k, fd);
	if (is_new) {
		struct pipe_obj p = {.id = (pipe_id)c->m.pipes.nr + 1};

		if (describe(c, fd, &p, err))
			return err_ctx(err, "pipe");
		k->id = p.id;
		vec_push(&c->m.pipes, p);
	} else if (fd->flags & O_DIRECT) {
		/* met first by an end that does not tell of packets */
		pipe = &c->m.pipes.at[k->id - 1];
		if (pipe->chunks.nr && !pipe->chunks.at[0].packet) {
			chunks_free(pipe);
			if (collect_content(fd, true, pipe, err))
				return err_ctx(err, "pipe");
		}
	}
	ret->of = k->id;
	return 0;
}

static int pipe_finish(struct cpt *c, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(k, &s->pipes)
		if (lost_end(k))
			return err_set(err, ERR_CHECKPOINT, "%s: pipe whose %s end is held outside of the VE",
				       k->where, lost_end(k));
	return 0;
}

const struct cpt_file_kind cpt_pipe_kind = {
	.kind = FILE_PIPE,
	.match = pipe_match,
	.check = pipe_check,
	.collect = pipe_collect,
	.finish = pipe_finish,
};
