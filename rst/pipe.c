// SPDX-License-Identifier: GPL-2.0-only
/* Pipes and FIFOs: both ends are held until every open file of them is there, so that what is written stays
 * in. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "rst/file.h"

static bool has_packets(const struct rst *r, const struct pipe_obj *obj)
{
	if (obj->chunks.nr && obj->chunks.at[0].packet)
		return true;
	vec_each(f, &r->m.files)
		if (f->kind == FILE_PIPE && f->of == obj->id && f->flags & O_DIRECT)
			return true;
	return false;
}

static int make_ends(struct rst *r, const struct pipe_obj *obj, struct rst_pipe *p, struct err *err)
{
	_fd_ int place = -1;

	if (!obj->fifo_path)
		return pipe2(p->end, O_CLOEXEC | O_NONBLOCK | (has_packets(r, obj) ? O_DIRECT : 0))
			       ? err_sys(err, "pipe")
			       : 0;
	if (rst_reg_place(r, obj->fifo_path, S_IFIFO, &place, err) ||
	    rst_reg_again(place, O_RDWR | O_NONBLOCK, &p->end[0], err))
		return err_ctx(err, "FIFO %s", obj->fifo_path);
	p->end[1] = fcntl(p->end[0], F_DUPFD_CLOEXEC, 0);
	p->given[0] = p->given[1] = true; /* opened for both, which few have */
	return p->end[1] < 0 ? err_sys(err, "FIFO %s", obj->fifo_path) : 0;
}

static int fill(const struct pipe_obj *obj, const struct rst_pipe *p, struct err *err)
{
	int now = fcntl(p->end[1], F_GETPIPE_SZ);

	if (obj->capacity_bytes && now != (int)obj->capacity_bytes &&
	    fcntl(p->end[1], F_SETPIPE_SZ, obj->capacity_bytes) < 0)
		return err_sys(err, "pipe of %u bytes (fs.pipe-max-size)", obj->capacity_bytes);
	vec_each(chunk, &obj->chunks) {
		ssize_t n = write(p->end[1], chunk->data.at, chunk->data.len_bytes);

		if (n < 0)
			return err_sys(err, "pipe: write of %zu bytes", chunk->data.len_bytes);
		if ((size_t)n != chunk->data.len_bytes)
			return err_set(err, ERR_RESTORE, "pipe: only %zd of %zu bytes have room", n,
				       chunk->data.len_bytes);
	}
	return 0;
}

static int pipe_get(struct rst *r, pipe_id id, struct rst_pipe **ret, struct err *err)
{
	struct rst_file_state *s = rst_file_state(r);
	const struct pipe_obj *obj = model_pipe(&r->m, id);
	struct rst_pipe p = {.id = id, .end = {-1, -1}};

	vec_each(known, &s->pipes) {
		if (known->id == id) {
			*ret = known;
			return 0;
		}
	}
	if (make_ends(r, obj, &p, err) || fill(obj, &p, err)) {
		cleanup_fd(&p.end[0]);
		cleanup_fd(&p.end[1]);
		return -1;
	}
	vec_push(&s->pipes, p);
	*ret = &s->pipes.at[s->pipes.nr - 1];
	return 0;
}

static int pipe_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	int mode = (int)f->flags & O_ACCMODE, end = mode == O_RDONLY ? 0 : 1;
	struct rst_pipe *p;
	int fd;

	if (pipe_get(r, f->of, &p, err))
		return -1;
	if (mode == O_RDWR || p->given[end]) /* not O_DIRECT: open(2) refuses it here, fcntl(2) does not */
		return rst_reg_again(p->end[end], mode | O_NONBLOCK, ret_fd, err);
	fd = fcntl(p->end[end], F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "copy of a pipe's end");
	p->given[end] = true;
	*ret_fd = fd;
	return 0;
}

void rst_pipe_let_go(struct rst *r)
{
	struct rst_file_state *s = rst_file_state(r);

	vec_each(p, &s->pipes) {
		cleanup_fd(&p->end[0]);
		cleanup_fd(&p->end[1]);
	}
	vec_free(&s->pipes);
}

const struct rst_file_kind rst_pipe_kind = {.kind = FILE_PIPE, .open = pipe_open};
