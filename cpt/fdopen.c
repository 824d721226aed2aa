// SPDX-License-Identifier: GPL-2.0-only
/* Looking at one descriptor: a copy of it in this process answers nearly everything without /proc. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "cpt/file.h"
#include "facts/fdinfo.h"
#include "facts/proc.h"

#define DELETED " (deleted)"

struct cpt_file_state *cpt_file_state(struct cpt *c)
{
	struct cpt_file_state *s = c->file;

	if (s)
		return s;
	s = c->file = mem_new(struct cpt_file_state);
	s->proc_self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s;
}

const char *cpt_fdopen_where(const struct cpt_fd *fd, char ret[static 64])
{
	if (fd->task)
		return cpt_where(fd->task, fd->fd, ret);
	return strcpy(ret, "file on its way in a socket");
}

const char *cpt_fdopen_in_root(struct cpt *c, const char *path)
{
	struct cpt_file_state *s = cpt_file_state(c);

	if (!s->root_prefix[0]) {
		struct err ignored;
		char name[32];

		snprintf(name, sizeof(name), "/proc/self/fd/%d", c->run.root_fd);
		if (proc_link_read(AT_FDCWD, name, s->root_prefix, sizeof(s->root_prefix), &ignored))
			return NULL;
		s->root_prefix_bytes = strcmp(s->root_prefix, "/") ? strlen(s->root_prefix) : 0;
	}
	if (path[0] != '/' || strncmp(path, s->root_prefix, s->root_prefix_bytes))
		return NULL;
	path += s->root_prefix_bytes;
	return *path == '/' ? path : *path ? NULL : "/";
}

/* "/tmp/x (deleted)": the kernel says so of what has lost the name it was opened by. A name may end so by
 * itself. */
static void cut_deleted(struct cpt *c, struct cpt_fd *fd)
{
	size_t len = strlen(fd->link), mark = sizeof(DELETED) - 1;

	if (fd->link[0] != '/' || len <= mark || strcmp(fd->link + len - mark, DELETED))
		return;
	if (fd->st.st_nlink && cpt_reg_leads_to(c, fd->link, fd->st.st_dev, fd->st.st_ino) == 1)
		return;
	fd->link[len - mark] = 0;
	fd->deleted = true;
}

/* Of the copy: the task may by now have another file at that number. */
static int read_link(struct cpt *c, struct cpt_fd *fd, struct err *err)
{
	int proc_self = cpt_file_state(c)->proc_self;
	char name[32];
	ssize_t len;

	snprintf(name, sizeof(name), "fd/%d", fd->local);
	len = readlinkat(proc_self, name, fd->link, sizeof(fd->link) - 1);
	if (len < 0)
		return err_sys(err, "%s", name);
	if ((size_t)len == sizeof(fd->link) - 1)
		return err_set(err, ERR_CHECKPOINT, "its path is longer than %zu bytes",
			       sizeof(fd->link) - 2);
	fd->link[len] = 0;
	return 0;
}

static int ask_flags(struct cpt_fd *fd, struct err *err)
{
	int flags = fcntl(fd->local, F_GETFL);
	off_t pos;

	if (flags < 0)
		return err_sys(err, "F_GETFL");
	fd->flags = (uint32_t)flags;
	if (fd->flags & O_PATH || !(S_ISREG(fd->st.st_mode) || S_ISDIR(fd->st.st_mode)))
		return 0;
	pos = lseek(fd->local, 0, SEEK_CUR);
	fd->pos = pos > 0 ? pos : 0; /* some files of /proc have none */
	return 0;
}

static int look(struct cpt *c, struct cpt_fd *fd, struct err *err)
{
	if (fstat(fd->local, &fd->st))
		return err_sys(err, "fstat");
	if (read_link(c, fd, err) || ask_flags(fd, err))
		return -1;
	cut_deleted(c, fd);
	return 0;
}

static int open_copy(struct cpt_task *t, unsigned nr, struct cpt_fd *ret, struct err *err)
{
	ret->task = t;
	ret->fd = (int)nr;
	ret->deleted = false;
	ret->pos = 0;
	ret->fdinfo = NULL;
	ret->local = (int)syscall(SYS_pidfd_getfd, t->pidfd, nr, 0);
	return ret->local < 0 ? err_sys(err, "pidfd_getfd") : 0;
}

/* Of anonymous inodes, which say of themselves nowhere else what they are. */
static int add_fdinfo(struct cpt *c, struct cpt_fd *fd, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	if (strncmp(fd->link, "anon_inode:", 11))
		return 0;
	if (fdinfo_read(s->proc_self, (unsigned)fd->local, &s->text, err))
		return -1;
	fd->fdinfo = (const char *)s->text.at;
	return 0;
}

int cpt_fdopen(struct cpt *c, struct cpt_task *t, unsigned nr, struct cpt_fd *ret, struct err *err)
{
	if (open_copy(t, nr, ret, err))
		return (err->sys_errno == EBADF || err->sys_errno == ESRCH) && !c->frozen ? 1 : -1;
	if (!look(c, ret, err) && !add_fdinfo(c, ret, err))
		return 0;
	cpt_fdopen_close(ret);
	return -1;
}

int cpt_fdopen_walked(struct cpt *c, struct cpt_task *t, const struct filewalk_entry *e, struct cpt_fd *ret,
		      struct err *err)
{
	if (open_copy(t, e->fd, ret, err))
		return -1;
	if (fstat(ret->local, &ret->st)) {
		err_sys(err, "fstat");
	} else if (e->path || !read_link(c, ret, err)) {
		if (e->path)
			strcpy(ret->link, e->path);
		ret->flags = e->flags;
		ret->pos = S_ISREG(ret->st.st_mode) || S_ISDIR(ret->st.st_mode) ? (int64_t)e->pos : 0;
		cut_deleted(c, ret);
		if (!add_fdinfo(c, ret, err))
			return 0;
	}
	cpt_fdopen_close(ret);
	return -1;
}

int cpt_fdopen_own(struct cpt *c, int local, struct cpt_fd *ret, struct err *err)
{
	*ret = (struct cpt_fd){.fd = local, .local = local};
	return look(c, ret, err) || add_fdinfo(c, ret, err) ? -1 : 0;
}

void cpt_fdopen_close(struct cpt_fd *fd)
{
	if (fd->task && fd->local >= 0)
		close(fd->local);
	fd->local = -1;
}
