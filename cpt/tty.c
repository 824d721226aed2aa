// SPDX-License-Identifier: GPL-2.0-only
/*
 * Terminals: pairs of the VE's own devpts, and the console, whose master is the supervisor's. What is on its
 * way through a pair is taken out and put back at once, so that the VE can go on with it.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "cpt/file.h"
#include "kernel/ptydata.h"

/* Documentation/admin-guide/devices.txt */
#define TTY_MAJOR_AUX	 5 /* 0 tty, 1 console, 2 ptmx */
#define TTY_MAJOR_PTS	 136
#define TTY_MAJOR_PTS_TO 143

static bool is_pts(dev_t rdev)
{
	return major(rdev) >= TTY_MAJOR_PTS && major(rdev) <= TTY_MAJOR_PTS_TO;
}

static uint32_t index_of(unsigned dev_major, unsigned dev_minor)
{
	return (dev_major - TTY_MAJOR_PTS) * 256 + dev_minor;
}

static bool tty_match(const struct cpt_fd *fd)
{
	dev_t rdev = fd->st.st_rdev;

	return S_ISCHR(fd->st.st_mode) &&
	       (is_pts(rdev) || rdev == makedev(TTY_MAJOR_AUX, 0) || rdev == makedev(TTY_MAJOR_AUX, 2));
}

/* The number as proc(5) tells it; what the low and high bits of the minor are is the kernel's new_encode_dev.
 */
static unsigned major_of(uint32_t tty_nr)
{
	return (tty_nr >> 8) & 0xfff;
}

static unsigned minor_of(uint32_t tty_nr)
{
	return (tty_nr & 0xff) | ((tty_nr >> 12) & 0xfff00);
}

static bool leads_with_tty(const struct cpt_task *t)
{
	return t->tty_nr && t->vpid == t->vsid && !t->zombie;
}

/* --- which terminal --- */

struct tty_end {
	bool console, master;
	uint32_t index;
};

static bool is_console(struct cpt *c, const struct stat *st)
{
	struct stat console;

	return c->run.console_major && st->st_rdev == makedev(c->run.console_major, c->run.console_minor) &&
	       !cpt_reg_stat(c, "/dev/console", &console) && console.st_dev == st->st_dev &&
	       console.st_ino == st->st_ino;
}

static bool is_of_ve(struct cpt *c, const struct stat *st)
{
	struct stat devpts;

	return !cpt_reg_stat(c, "/dev/pts/ptmx", &devpts) && devpts.st_dev == st->st_dev;
}

static struct cpt_tty_known *find(const struct cpt *c, bool console, uint32_t index)
{
	struct cpt_file_state *s = c->file;

	if (!s)
		return NULL;
	vec_each(k, &s->ttys)
		if (k->console == console && (console || k->index == index))
			return k;
	return NULL;
}

/*
 * The same number may be the console's (a pty of the host) and one of the VE's own. If the VE has such a pair
 * open, its master tells which session the pair belongs to.
 */
static bool number_is_console(const struct cpt *c, unsigned dev_major, unsigned dev_minor, pid_t sid)
{
	const struct cpt_tty_known *own = find(c, false, index_of(dev_major, dev_minor));
	pid_t session;

	if (dev_major != c->run.console_major || dev_minor != c->run.console_minor)
		return false;
	return !own || own->master_fd < 0 || ioctl(own->master_fd, TIOCGSID, &session) || session != sid;
}

/* "/dev/tty" was opened: the terminal that the session of the opener had then. */
static int of_dev_tty(struct cpt *c, const struct cpt_fd *fd, struct tty_end *ret, struct err *err)
{
	unsigned dev;

	if (ioctl(fd->local, TIOCGDEV, &dev))
		return err_set(err, ERR_CHECKPOINT, "/dev/tty of a terminal that is gone");
	if (!is_pts(dev))
		return err_set(err, ERR_CHECKPOINT, "/dev/tty of the host's terminal %u:%u", major(dev),
			       minor(dev));
	ret->index = index_of(major(dev), minor(dev));
	ret->console = number_is_console(c, major(dev), minor(dev), fd->task ? getsid(fd->task->pid) : 0);
	return 0;
}

static int identify(struct cpt *c, const struct cpt_fd *fd, struct tty_end *ret, struct err *err)
{
	struct tty_end end = {0};
	unsigned index;

	if (is_console(c, &fd->st)) {
		end.console = true;
	} else if (fd->st.st_rdev == makedev(TTY_MAJOR_AUX, 0)) {
		if (of_dev_tty(c, fd, &end, err))
			return -1;
	} else if (is_pts(fd->st.st_rdev)) {
		if (!is_of_ve(c, &fd->st))
			return err_set(err, ERR_CHECKPOINT, "terminal %s is not of the VE", fd->link);
		end.index = index_of(major(fd->st.st_rdev), minor(fd->st.st_rdev));
	} else {
		if (!is_of_ve(c, &fd->st) && !cpt_reg_leads_to(c, fd->link, fd->st.st_dev, fd->st.st_ino))
			return err_set(err, ERR_CHECKPOINT, "terminal master %s is not of the VE", fd->link);
		if (ioctl(fd->local, TIOCGPTN, &index))
			return err_sys(err, "terminal master: TIOCGPTN");
		end.master = true;
		end.index = index;
	}
	*ret = end;
	return 0;
}

/* Remembers the end; a copy of the first descriptor of each is kept. */
static struct cpt_tty_known *note(struct cpt *c, const struct tty_end *end, const struct cpt_fd *fd,
				  bool *ret_new)
{
	struct cpt_file_state *s = cpt_file_state(c);
	struct cpt_tty_known *k = find(c, end->console, end->index);
	int *kept;

	*ret_new = !k;
	if (!k) {
		k = vec_add(&s->ttys);
		*k = (struct cpt_tty_known){
			.console = end->console, .index = end->index, .master_fd = -1, .slave_fd = -1};
		cpt_fdopen_where(fd, k->where);
	}
	kept = end->master ? &k->master_fd : &k->slave_fd;
	if (*kept < 0)
		*kept = fcntl(fd->local, F_DUPFD_CLOEXEC, 3);
	return k;
}

static bool has_hup(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

static bool master_is_outside(const struct cpt_tty_known *k)
{
	return !k->console && k->master_fd < 0 && !has_hup(k->slave_fd);
}

static void forget(struct cpt_file_state *s)
{
	vec_each(k, &s->ttys) {
		cleanup_fd(&k->master_fd);
		cleanup_fd(&k->slave_fd);
	}
	vec_free(&s->ttys);
}

/* --- check --- */

static int tty_check(struct cpt *c, const struct cpt_fd *fd, struct err *err)
{
	struct err why;
	struct tty_end end;
	char where[64];
	bool is_new;

	if (identify(c, fd, &end, &why))
		findings_add(c->findings, cpt_fdopen_where(fd, where),
			     "end the session (verst enter, verst exec) and try again", "%s", why.msg);
	else
		note(c, &end, fd, &is_new);
	return 0;
}

void cpt_tty_check_ends(struct cpt *c)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(k, &s->ttys)
		if (master_is_outside(k))
			findings_add(c->findings, k->where,
				     "end the session (verst enter, verst exec) and try again",
				     "terminal /dev/pts/%u whose master is held outside of the VE", k->index);
	forget(s);
}

/* --- collect --- */

static int open_console(struct cpt *c)
{
	struct open_how how = {.flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT};

	return (int)syscall(SYS_openat2, c->run.root_fd, "/dev/console", &how, sizeof(how));
}

static int tty_collect(struct cpt *c, const struct cpt_fd *fd, struct file_obj *ret, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	struct tty_end end;
	bool is_new;

	if (identify(c, fd, &end, err))
		return -1;
	ret->of = (uint32_t)(note(c, &end, fd, &is_new) - s->ttys.at) + 1;
	ret->tty_master = end.master;
	if (is_new) {
		struct tty_obj *tty = vec_add(&c->m.ttys);

		tty->id = ret->of;
		tty->console = end.console;
		tty->index = end.console ? 0 : end.index;
	}
	return 0;
}

static void read_settings(int fd, struct tty_obj *tty)
{
	struct termios2 t;
	struct winsize w;
	int exclusive;

	/* a slave that was hung up has none any more */
	if (!ioctl(fd, TCGETS2, &t)) {
		tty->iflag = t.c_iflag;
		tty->oflag = t.c_oflag;
		tty->cflag = t.c_cflag;
		tty->lflag = t.c_lflag;
		tty->line = t.c_line;
		tty->ispeed = t.c_ispeed;
		tty->ospeed = t.c_ospeed;
		tty->cc = bytes_dup(t.c_cc, sizeof(t.c_cc));
	}
	if (!ioctl(fd, TIOCGWINSZ, &w)) {
		tty->rows = w.ws_row;
		tty->cols = w.ws_col;
		tty->xpixel = w.ws_xpixel;
		tty->ypixel = w.ws_ypixel;
	}
	if (!ioctl(fd, TIOCGEXCL, &exclusive))
		tty->exclusive = exclusive;
}

static void read_master(int fd, struct tty_obj *tty)
{
	int on;

	if (!ioctl(fd, TIOCGPTLCK, &on))
		tty->slave_locked = on;
	if (!ioctl(fd, TIOCGPKT, &on))
		tty->packet = on;
}

static uint32_t id_in_ve(const struct cpt *c, uint32_t id)
{
	return id >= c->run.uid_base && id - c->run.uid_base < 65536 ? id - c->run.uid_base : 0;
}

static void read_node(struct cpt *c, struct tty_obj *tty)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/dev/pts/%u", tty->index);
	if (cpt_reg_stat(c, tty->console ? "/dev/console" : path, &st))
		return; /* a hung up slave has lost it */
	tty->uid = id_in_ve(c, st.st_uid);
	tty->gid = id_in_ve(c, st.st_gid);
	tty->mode = st.st_mode & 07777;
}

static int carry_data(int master, int slave, struct tty_obj *tty, struct err *err)
{
	struct buf to_slave = {0}, to_master = {0};
	struct err failed;
	int ret = ptydata_take(master, slave, &to_slave, &to_master, &tty->stopped, err);

	tty->to_slave = bytes_dup(to_slave.at, to_slave.len_bytes);
	tty->to_master = bytes_dup(to_master.at, to_master.len_bytes);
	if ((to_slave.len_bytes || to_master.len_bytes) &&
	    ptydata_put(master, slave, &to_slave, &to_master, ret ? &failed : err))
		ret = -1;
	buf_free(&to_slave);
	buf_free(&to_master);
	return ret;
}

static int fill(struct cpt *c, const struct cpt_tty_known *k, struct tty_obj *tty, struct err *err)
{
	_fd_ int peer = -1;

	tty->has_master = k->master_fd >= 0;
	tty->has_slave = k->slave_fd >= 0;
	read_settings(tty->has_slave ? k->slave_fd : k->master_fd, tty);
	read_node(c, tty);
	if (!tty->has_master)
		return master_is_outside(k)
			       ? err_set(err, ERR_CHECKPOINT, "its master is held outside of the VE")
			       : 0;
	read_master(k->master_fd, tty);
	if (tty->has_slave)
		return carry_data(k->master_fd, k->slave_fd, tty, err);
	tty->slave_closed = has_hup(k->master_fd);
	if (!tty->slave_closed)
		return 0; /* never opened: opening it would be seen */
	peer = ioctl(k->master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return peer < 0 ? 0
			: carry_data(k->master_fd, peer, tty,
				     err); /* locked again: nobody can read it anyway */
}

/* A session may have the console for its terminal and nothing open of it. */
static int console_of_sessions(struct cpt *c, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	vec_each(t, &c->tasks) {
		struct cpt_tty_known *k;
		struct tty_obj *tty;

		if (!leads_with_tty(t) || find(c, true, 0) ||
		    !number_is_console(c, major_of(t->tty_nr), minor_of(t->tty_nr), t->pid))
			continue;
		k = vec_add(&s->ttys);
		*k = (struct cpt_tty_known){.console = true, .master_fd = -1};
		cpt_where(t, -1, k->where);
		k->slave_fd = open_console(c);
		if (k->slave_fd < 0)
			return err_sys(err, "%s: console", k->where);
		tty = vec_add(&c->m.ttys);
		tty->id = (tty_id)s->ttys.nr;
		tty->console = true;
	}
	return 0;
}

static int tty_finish(struct cpt *c, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	if (console_of_sessions(c, err))
		return -1;
	for (size_t i = 0; i < s->ttys.nr; i++) {
		const struct cpt_tty_known *k = &s->ttys.at[i];

		if (fill(c, k, &c->m.ttys.at[i], err))
			return err_ctx(err, "%s: terminal /dev/pts/%u", k->where, k->index);
	}
	return 0;
}

tty_id cpt_tty_of_leader(const struct cpt *c, const struct cpt_task *t)
{
	unsigned dev_major = major_of(t->tty_nr), dev_minor = minor_of(t->tty_nr);
	const struct cpt_tty_known *k = NULL;

	if (!leads_with_tty(t))
		return 0;
	if (number_is_console(c, dev_major, dev_minor, t->pid))
		k = find(c, true, 0);
	else if (is_pts(makedev(dev_major, dev_minor)))
		k = find(c, false, index_of(dev_major, dev_minor));
	return k ? (tty_id)(k - c->file->ttys.at) + 1 : 0;
}

uint32_t cpt_tty_in_tree(struct cpt *c, const struct cpt_task *t)
{
	unsigned dev_major = major_of(t->tty_nr), dev_minor = minor_of(t->tty_nr);
	const struct cpt_tty_known *k;
	struct stat st;
	char path[32];

	if (!leads_with_tty(t))
		return TREE_TTY_NONE;
	if (c->frozen) {
		tty_id id = cpt_tty_of_leader(c, t);

		k = id ? &c->file->ttys.at[id - 1] : NULL;
		return !k ? TREE_TTY_NONE : k->console ? TREE_TTY_CONSOLE : TREE_TTY_PTS + k->index;
	}
	if (number_is_console(c, dev_major, dev_minor, t->pid))
		return TREE_TTY_CONSOLE;
	snprintf(path, sizeof(path), "/dev/pts/%u", index_of(dev_major, dev_minor));
	return is_pts(makedev(dev_major, dev_minor)) && !cpt_reg_stat(c, path, &st)
		       ? TREE_TTY_PTS + index_of(dev_major, dev_minor)
		       : TREE_TTY_NONE;
}

const struct cpt_file_kind cpt_tty_kind = {
	.kind = FILE_TTY,
	.match = tty_match,
	.check = tty_check,
	.collect = tty_collect,
	.finish = tty_finish,
};
