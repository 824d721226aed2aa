// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terminals. The devpts of the VE gives the lowest free number, so pairs are made until all numbers that are
 * wanted are there. What is set on a terminal (lock, packet mode, exclusive use, hang-up) is set when all its
 * users have it.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "kernel/ptydata.h"
#include "rst/file.h"

#define PTMX_PATH    "/dev/pts/ptmx"
#define PTMX_DEV     makedev(5, 2) /* Documentation/admin-guide/devices.txt */
#define CONSOLE_PATH "/dev/console"

static struct rst_tty *find(struct rst *r, tty_id id)
{
	struct rst_file_state *s = rst_file_state(r);

	vec_each(t, &s->ttys)
		if (t->id == id)
			return t;
	return NULL;
}

/* --- making --- */

static int open_device(struct rst *r, const char *path, dev_t dev, int *ret_place, struct err *err)
{
	_fd_ int place = -1;
	struct stat st;

	if (rst_reg_place(r, path, S_IFCHR, &place, err))
		return -1;
	if (fstat(place, &st))
		return err_sys(err, "%s", path);
	if (st.st_rdev != dev)
		return err_set(err, ERR_RESTORE, "%s is device %u:%u, not %u:%u", path, major(st.st_rdev),
			       minor(st.st_rdev), major(dev), minor(dev));
	*ret_place = fd_take(&place);
	return 0;
}

static const struct tty_obj *obj_of_index(const struct rst *r, uint32_t index)
{
	vec_each(obj, &r->m.ttys)
		if (!obj->console && obj->index == index)
			return obj;
	return NULL;
}

/* A new pair, whatever its number. */
static int open_master(int ptmx_place, int *ret_fd, uint32_t *ret_index, struct err *err)
{
	_fd_ int fd = -1;
	unsigned index;

	if (rst_reg_again(ptmx_place, O_RDWR | O_NOCTTY, &fd, err))
		return -1;
	if (ioctl(fd, TIOCGPTN, &index))
		return err_sys(err, "TIOCGPTN");
	*ret_index = index;
	*ret_fd = fd_take(&fd);
	return 0;
}

/* What the tree was given already. */
static size_t adopt_early(struct rst *r)
{
	struct rst_file_state *s = rst_file_state(r);
	size_t adopted = 0;

	vec_each(e, &s->early) {
		const struct tty_obj *obj = obj_of_index(r, e->index);

		if (e->master < 0 || !obj)
			continue;
		vec_push(&s->ttys,
			 ((struct rst_tty){.id = obj->id, .master = fd_take(&e->master), .slave = -1}));
		adopted++;
	}
	return adopted;
}

/* Pairs whose number nobody wants hold their places until all are made. */
static int make_masters(struct rst *r, struct err *err)
{
	struct rst_file_state *s = rst_file_state(r);
	VEC(int) unwanted = {0};
	_fd_ int place = -1;
	size_t left = 0;
	int ret = 0;

	vec_each(obj, &r->m.ttys)
		left += !obj->console;
	left -= adopt_early(r);
	if (left && open_device(r, PTMX_PATH, PTMX_DEV, &place, err))
		return -1;
	while (left && !ret) {
		const struct tty_obj *obj;
		uint32_t index;
		int fd = -1;

		ret = open_master(place, &fd, &index, err);
		if (ret)
			break;
		obj = obj_of_index(r, index);
		if (obj && !find(r, obj->id)) {
			vec_push(&s->ttys, ((struct rst_tty){.id = obj->id, .master = fd, .slave = -1}));
			left--;
		} else {
			vec_push(&unwanted, fd);
		}
	}
	vec_each(fd, &unwanted)
		close(*fd);
	vec_free(&unwanted);
	return ret ? err_ctx(err, "making the VE's terminals") : 0;
}

static int set_settings(int fd, const struct tty_obj *obj, struct err *err)
{
	struct termios2 t = {
		.c_iflag = obj->iflag,
		.c_oflag = obj->oflag,
		.c_cflag = obj->cflag,
		.c_lflag = obj->lflag,
		.c_line = (cc_t)obj->line,
		.c_ispeed = obj->ispeed,
		.c_ospeed = obj->ospeed,
	};
	struct winsize w = {
		.ws_row = obj->rows, .ws_col = obj->cols, .ws_xpixel = obj->xpixel, .ws_ypixel = obj->ypixel};

	if (obj->cc.len_bytes) {
		memcpy(t.c_cc, obj->cc.at, MIN(obj->cc.len_bytes, sizeof(t.c_cc)));
		if (ioctl(fd, TCSETS2, &t))
			return err_sys(err, "settings");
	}
	return ioctl(fd, TIOCSWINSZ, &w) ? err_sys(err, "window size") : 0;
}

static int put_data(const struct rst_tty *t, const struct tty_obj *obj, struct err *err)
{
	struct buf to_slave = {.at = obj->to_slave.at, .len_bytes = obj->to_slave.len_bytes};
	struct buf to_master = {.at = obj->to_master.at, .len_bytes = obj->to_master.len_bytes};

	if ((to_slave.len_bytes || to_master.len_bytes) &&
	    ptydata_put(t->master, t->slave, &to_slave, &to_master, err))
		return -1;
	return obj->stopped ? ptydata_stop(t->master, t->slave, err) : 0;
}

/* Not with O_CLOEXEC: it would stay among the flags of the file (drivers/tty/pty.c ptm_open_peer) and F_GETFL
 * tell of it. */
static int open_slave(int master, int flags)
{
	int fd = ioctl(master, TIOCGPTPEER, flags | O_NOCTTY);

	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* Opens the slave, unless it never was: that would be seen at the master. */
static int set_up_pair(struct rst *r, struct rst_tty *t, const struct tty_obj *obj, struct err *err)
{
	int locked = 0;

	if (obj->has_slave || obj->slave_closed) {
		if (ioctl(t->master, TIOCSPTLCK, &locked))
			return err_sys(err, "unlock");
		t->slave = open_slave(t->master, O_RDWR);
		if (t->slave < 0)
			return err_sys(err, "slave");
		if (fchown(t->slave, r->run.uid_base + MIN(obj->uid, 65535u),
			   r->run.uid_base + MIN(obj->gid, 65535u)) ||
		    (obj->mode && fchmod(t->slave, obj->mode & 0777)))
			return err_sys(err, "owner of the slave");
	}
	if (set_settings(t->slave >= 0 ? t->slave : t->master, obj, err))
		return -1;
	return t->slave >= 0 ? put_data(t, obj, err) : 0;
}

static int open_console(struct rst *r, int *ret_fd, struct err *err)
{
	_fd_ int place = -1;

	return open_device(r, CONSOLE_PATH, makedev(r->run.console_major, r->run.console_minor), &place,
			   err) ||
			       rst_reg_again(place, O_RDWR | O_NOCTTY, ret_fd, err)
		       ? -1
		       : 0;
}

static int set_up_console(struct rst *r, const struct tty_obj *obj, struct err *err)
{
	struct rst_file_state *s = rst_file_state(r);
	struct rst_tty t = {.id = obj->id, .master = -1, .slave = -1};

	if (open_console(r, &t.slave, err))
		return -1;
	vec_push(&s->ttys, t);
	return set_settings(t.slave, obj, err);
}

static int make_all(struct rst *r, struct err *err)
{
	if (make_masters(r, err))
		return -1;
	vec_each(obj, &r->m.ttys) {
		struct rst_tty *t = find(r, obj->id);

		if (obj->console ? set_up_console(r, obj, err) : set_up_pair(r, t, obj, err))
			return obj->console ? err_ctx(err, "console")
					    : err_ctx(err, "terminal /dev/pts/%u", obj->index);
	}
	return 0;
}

/* --- open files --- */

static int tty_open(struct rst *r, const struct file_obj *f, int *ret_fd, struct err *err)
{
	int flags = (int)f->flags & (O_ACCMODE | O_NONBLOCK);
	struct rst_file_state *s = rst_file_state(r);
	struct rst_tty *t;
	int fd;

	if (!s->ttys.nr && make_all(r, err))
		return -1;
	t = find(r, f->of);
	if (!f->tty_master && t->slave < 0)
		return err_set(err, ERR_IMAGE, "a terminal's slave that was not open");
	if (!f->tty_master && t->master < 0)
		return rst_reg_again(t->slave, flags, ret_fd, err);
	if (f->tty_master &&
	    (t->master < 0 || t->master_given)) /* every open(2) of ptmx is another terminal */
		return err_set(err, ERR_IMAGE, "a terminal's master that cannot be open%s",
			       t->master_given ? " twice" : "");
	fd = f->tty_master ? fcntl(t->master, F_DUPFD_CLOEXEC, 0) : open_slave(t->master, flags);
	if (fd < 0)
		return err_sys(err, "terminal");
	t->master_given |= f->tty_master;
	*ret_fd = fd;
	return 0;
}

/* --- controlling terminals --- */

/* A session's leader takes the terminal; that it has it already is fine (tty_io.c tiocsctty). */
static int control(const struct rst_task *task, int slave, uint32_t group, struct err *err)
{
	struct remote_batch *b;
	int fd, ret;

	if (remote_send_fds(task->r, &slave, 1, &fd, err))
		return -1;
	b = remote_batch_new();
	remote_call(b, "TIOCSCTTY", 0, SYS_ioctl, ra_num(fd), ra_num(TIOCSCTTY), ra_num(0));
	/* the leader's own group is in front now, so it may put another there; that one may be gone */
	if (group)
		remote_call(b, "TIOCSPGRP", REMOTE_MAY_FAIL, SYS_ioctl, ra_num(fd), ra_num(TIOCSPGRP),
			    ra_data(remote_batch_data(b, &group, sizeof(group))));
	remote_call(b, "close", 0, SYS_close, ra_num(fd));
	ret = remote_batch_run(task->r, b, err);
	remote_batch_free(b);
	return ret;
}

/* The pair with that number, from those made early or made now; lower numbers are held meanwhile. */
static int early_master(struct rst *r, uint32_t index, int *ret_fd, struct err *err)
{
	struct rst_file_state *s = rst_file_state(r);
	_fd_ int place = -1;
	VEC(int) lower = {0};
	uint32_t got = 0;
	int fd = -1, ret = -1;

	vec_each(e, &s->early) {
		if (e->index == index) {
			*ret_fd = e->master;
			return 0;
		}
	}
	if (open_device(r, PTMX_PATH, PTMX_DEV, &place, err))
		return -1;
	while (ret && !open_master(place, &fd, &got, err)) {
		if (got == index) {
			vec_push(&s->early, ((struct rst_tty_early){index, fd}));
			*ret_fd = fd;
			ret = 0;
		} else {
			vec_push(&lower, fd);
		}
		if (got > index)
			break;
	}
	vec_each(x, &lower)
		close(*x);
	vec_free(&lower);
	return ret && got > index ? err_set(err, ERR_RESTORE, "terminal /dev/pts/%u is taken", index) : ret;
}

int rst_tty_early(struct rst *r, struct rst_task *t, struct err *err)
{
	_fd_ int slave = -1;
	int master = -1, unlocked = 0;

	if (!t->t.tty)
		return 0;
	if (t->t.tty == TREE_TTY_CONSOLE) {
		if (open_console(r, &slave, err))
			return err_ctx(err, "task %u", t->t.pid);
	} else {
		if (early_master(r, t->t.tty - TREE_TTY_PTS, &master, err))
			return err_ctx(err, "task %u", t->t.pid);
		if (ioctl(master, TIOCSPTLCK, &unlocked))
			return err_sys(err, "task %u: unlock of its terminal", t->t.pid);
		slave = open_slave(master, O_RDWR);
		if (slave < 0)
			return err_sys(err, "task %u: its terminal", t->t.pid);
	}
	return control(t, slave, 0, err) ? err_ctx(err, "task %u", t->t.pid) : 0;
}

static int tty_attach(struct rst *r, struct err *err)
{
	vec_each(obj, &r->m.tasks) {
		struct rst_task *task = obj->ctty ? rst_tree_find(r, obj->pid) : NULL;
		const struct rst_tty *t;

		if (!task || !task->r)
			continue;
		if (!rst_file_state(r)->ttys.nr && make_all(r, err))
			return -1;
		t = find(r, obj->ctty);
		if (!t || t->slave < 0)
			return err_set(err, ERR_IMAGE, "task %u: its controlling terminal is not open",
				       obj->pid);
		if (control(task, t->slave, obj->ctty_pgrp, err))
			return err_ctx(err, "task %u: controlling terminal", obj->pid);
	}
	return 0;
}

static void finish(struct rst_tty *t, const struct tty_obj *obj)
{
	int on = 1;

	if (obj && t->master >= 0) {
		if (obj->slave_locked)
			ioctl(t->master, TIOCSPTLCK, &on);
		if (obj->packet)
			ioctl(t->master, TIOCPKT, &on);
	}
	if (obj && obj->exclusive && t->slave >= 0)
		ioctl(t->slave, TIOCEXCL);
	cleanup_fd(&t->slave);
	cleanup_fd(&t->master); /* where the VE has none, the slave is hung up by this */
}

void rst_tty_let_go(struct rst *r)
{
	struct rst_file_state *s = rst_file_state(r);

	vec_each(t, &s->ttys)
		finish(t, model_tty(&r->m, t->id));
	vec_free(&s->ttys);
	vec_each(e, &s->early)
		cleanup_fd(&e->master);
	vec_free(&s->early);
}

const struct rst_file_kind rst_tty_kind = {.kind = FILE_TTY, .open = tty_open, .attach = tty_attach};
