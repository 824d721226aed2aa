// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/sock_world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "kernel/netlock.h"

static int64_t cpu_us(void)
{
	static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
	struct rusage u;
	int64_t sum_us = 0;

	for (int i = 0; i < 2; i++) {
		getrusage(whose[i], &u);
		sum_us += (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec +
			  u.ru_stime.tv_usec;
	}
	return sum_us;
}

void sock_world_make(struct world *w)
{
	memset(w, 0, sizeof(*w));
	net_make(&w->net);
	w->c.run.netns_fd = w->r.run.netns_fd = w->net.ve_fd;
	w->c.run.cgroup_fd = w->r.run.cgroup_fd = -1;
	w->c.findings = &w->findings;
	w->task.pid = getpid();
	w->task.vpid = 1;
	strcpy(w->task.comm, "test");
	w->r.run.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(netlock_prepare(w->net.ve_fd, -1, &w->lock, &w->err), 0, "%s", w->err.msg);
	w->r.netlock = w->c.netlock = w->lock;
	vec_push(&w->c.tasks, w->task);
}

static const struct cpt_file_kind *kind_of(const struct cpt_fd *fd)
{
	return cpt_unix_kind.match(fd) ? &cpt_unix_kind : cpt_inet_kind.match(fd) ? &cpt_inet_kind : NULL;
}

static const struct cpt_file_kind *describe(struct world *w, int fd, struct cpt_fd *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->task = &w->task;
	ret->fd = ret->local = fd;
	ret->flags = (uint32_t)fcntl(fd, F_GETFL);
	cr_assert_eq(fstat(fd, &ret->st), 0);
	return kind_of(ret);
}

const char *sock_world_check(struct world *w, const int *fds, size_t nr)
{
	static char text[4096];
	size_t at = 0;

	text[0] = 0;
	cpt_sock_free(&w->c);
	findings_free(&w->findings);
	for (size_t i = 0; i < nr; i++) {
		struct cpt_fd fd;
		const struct cpt_file_kind *kind = describe(w, fds[i], &fd);

		cr_assert(kind);
		cr_assert_eq(kind->check(&w->c, &fd, &w->err), 0, "%s", w->err.msg);
	}
	vec_each(f, &w->findings.list)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\n", f->what);
	return text;
}

static int collect(struct world *w, const int *fds, size_t nr)
{
	struct cpt *c = &w->c;

	if (cpt_sock_collect(c, &w->err))
		return -1;
	for (size_t i = 0; i < nr; i++)
		if (!cpt_file_of_local(c, fds[i], &w->err))
			return -1;
	return cpt_unix_kind.finish(c, &w->err) || cpt_inet_kind.finish(c, &w->err) ? -1 : 0;
}

/* Frees what the dump holds on to: copies of descriptors keep sockets alive. */
static void forget(struct world *w)
{
	cpt_sock_free(&w->c);
	cpt_file_free(&w->c);
}

static void through_image(struct world *w)
{
	const struct img_writer_opts opts = {.arch = "test", .page_bytes = 4096};
	_fd_ int fd = memfd_create("image", MFD_CLOEXEC);
	struct img_writer *out;
	struct img_reader *in;
	struct img_record record;

	cr_assert_eq(img_writer_open(fd, &opts, &out, &w->err), 0, "%s", w->err.msg);
	vec_each(u, &w->c.m.unixs)
		cr_assert_eq(img_put_unix(out, u, &w->err), 0, "%s", w->err.msg);
	vec_each(s, &w->c.m.inets)
		cr_assert_eq(img_put_inet(out, s, &w->err), 0, "%s", w->err.msg);
	vec_each(f, &w->c.m.files)
		cr_assert_eq(img_put_file(out, f, &w->err), 0, "%s", w->err.msg);
	cr_assert_eq(img_writer_end(out, &w->err), 0, "%s", w->err.msg);
	img_writer_close(out);
	lseek(fd, 0, SEEK_SET);
	cr_assert_eq(img_reader_open(fd, &in, &w->err), 0, "%s", w->err.msg);
	do
		cr_assert_eq(img_read(in, &w->r.m, &record, &w->err), 0, "%s", w->err.msg);
	while (record.item != IMG_END);
	img_reader_close(in);
}

/* As when its network namespace goes: without a trace. A socket that is closed in repair mode does so. */
static void vanish(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, 19 /* TCP_REPAIR */, &on, sizeof(on));
	close(fd);
}

int sock_world_dump(struct world *w, int *fds, size_t nr)
{
	int64_t start_us;
	int result;

	cr_assert_eq(netlock_take(w->lock, &w->err), 0, "%s", w->err.msg);
	start_us = cpu_us();
	w->nr = nr;
	result = collect(w, fds, nr);
	w->dump_us = cpu_us() - start_us;
	forget(w);
	if (result)
		return -1;
	for (size_t i = 0; i < nr; i++)
		vanish(fds[i]);
	through_image(w);
	return 0;
}

int sock_world_look(struct world *w, const int *fds, size_t nr)
{
	int result;

	cr_assert_eq(netlock_take(w->lock, &w->err), 0, "%s", w->err.msg);
	result = collect(w, fds, nr);
	cpt_sock_resume(&w->c);
	forget(w);
	model_free(&w->c.m);
	netlock_release(w->lock);
	return result;
}

int sock_world_restore(struct world *w, int *ret_fds)
{
	struct rst *r = &w->r;
	int64_t start_us = cpu_us();

	cr_assert_eq(netlock_take(w->lock, &w->err), 0, "%s", w->err.msg);
	r->nr_file_fds = r->m.files.nr + 1;
	r->file_fds = mem_alloc(r->nr_file_fds * sizeof(int));
	memset(r->file_fds, 0xff, r->nr_file_fds * sizeof(int));
	vec_each(f, &r->m.files) {
		const struct rst_file_kind *kind = f->kind == FILE_UNIX ? &rst_unix_kind : &rst_inet_kind;

		if (kind->open(r, f, &r->file_fds[f->id], &w->err))
			return -1;
	}
	if (rst_unix_kind.connect(r, &w->err))
		return -1;
	w->restore_us = cpu_us() - start_us;
	netlock_release(w->lock);
	rst_sock_kick(r);
	for (size_t i = 1; i < r->nr_file_fds; i++) {
		if (i <= w->nr)
			ret_fds[i - 1] = r->file_fds[i];
		else
			close(r->file_fds[i]); /* in flight, and nowhere else */
	}
	rst_sock_free(r);
	free(r->file_fds);
	r->file_fds = NULL;
	model_free(&r->m);
	model_free(&w->c.m);
	return 0;
}

void sock_world_move(struct world *w, int *fds, size_t nr)
{
	cr_assert_eq(sock_world_dump(w, fds, nr), 0, "dump: %s", w->err.msg);
	cr_assert_eq(sock_world_restore(w, fds), 0, "restore: %s", w->err.msg);
}

void sock_world_free(struct world *w)
{
	forget(w);
	rst_sock_free(&w->r); /* after a restore that failed */
	free(w->r.file_fds);
	netlock_free(w->lock);
	findings_free(&w->findings);
	model_free(&w->c.m);
	model_free(&w->r.m);
	vec_free(&w->c.tasks);
	close(w->r.run.root_fd);
	close(w->net.ve_fd);
	close(w->net.peer_fd);
}
