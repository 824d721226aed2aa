// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/file_victim.h"

#include "cpt/file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

void victim_wait(void)
{
	raise(SIGSTOP);
}

static void be_victim(void (*fn)(void *arg), void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(0, ~0u, 0);
	for (int fd = 0; fd < 3; fd++)
		if (open("/dev/null", O_RDWR) != fd)
			_exit(1);
	fn(arg);
	for (;;)
		victim_wait();
}

static void wait_ready(const struct victim *v)
{
	int status;

	cr_assert_eq(waitpid(v->pid, &status, WUNTRACED), v->pid);
	cr_assert(WIFSTOPPED(status), "the process failed at its preparations: %d", WEXITSTATUS(status));
}

struct victim victim_start(void (*fn)(void *arg), void *arg)
{
	struct victim v = {.pid = fork()};

	cr_assert_geq(v.pid, 0);
	if (!v.pid)
		be_victim(fn, arg);
	wait_ready(&v);
	return v;
}

void victim_go(struct victim *v)
{
	cr_assert_eq(kill(v->pid, SIGCONT), 0);
	wait_ready(v);
}

void victim_end(struct victim *v)
{
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
}

void victim_cpt(struct cpt *c, const pid_t *pids, size_t nr, bool frozen)
{
	char name[32];

	memset(c, 0, sizeof(*c));
	c->run.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	c->run.netns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	c->frozen = frozen;
	for (size_t i = 0; i < nr; i++) {
		struct cpt_task *t = vec_add(&c->tasks);

		t->pid = pids[i];
		t->vpid = t->vpgid = t->vsid = (uint32_t)pids[i];
		strcpy(t->comm, "victim");
		t->pidfd = (int)syscall(SYS_pidfd_open, pids[i], 0);
		snprintf(name, sizeof(name), "/proc/%d", pids[i]);
		t->proc_fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		cr_assert(t->pidfd >= 0 && t->proc_fd >= 0);
		vec_push(&t->threads, ((struct cpt_thread){.tid = pids[i], .vtid = (uint32_t)pids[i]}));
	}
}

void victim_cpt_free(struct cpt *c)
{
	cpt_file_free(c);
	vec_each(t, &c->tasks) {
		close(t->pidfd);
		close(t->proc_fd);
		vec_free(&t->threads);
	}
	vec_free(&c->tasks);
	model_free(&c->m);
	close(c->run.root_fd);
	close(c->run.netns_fd);
}

void victim_collect(struct cpt *c)
{
	struct err err = ERR_INIT;

	cr_assert_eq(cpt_file_collect(c, &err), 0, "%s", err.msg);
	vec_each(t, &c->tasks) {
		struct task_obj *obj = vec_add(&c->m.tasks);

		obj->pid = t->vpid;
		obj->files = t->files;
		obj->fs = t->fs;
	}
}

const char *victim_collect_fails(struct cpt *c)
{
	static struct err err;

	cr_assert_eq(cpt_file_collect(c, &err), -1, "collect was expected to fail");
	return err.msg;
}

char *victim_check(struct cpt *c)
{
	struct findings findings = {0};
	struct err err = ERR_INIT;
	char *all = mem_strdup("");

	c->findings = &findings;
	cr_assert_eq(cpt_file_check(c, &err), 0, "%s", err.msg);
	c->findings = NULL;
	vec_each(f, &findings.list) {
		char *more = mem_printf("%s%s: %s\n", all, f->where, f->what);

		free(all);
		all = more;
	}
	findings_free(&findings);
	return all;
}

const struct file_obj *victim_file(const struct cpt *c, int fd)
{
	file_id id = cpt_file_of(c, &c->tasks.at[0], fd);

	cr_assert_neq(id, 0, "fd %d was not collected", fd);
	return model_file(&c->m, id);
}

void victim_rst(struct rst *r, const struct cpt *c)
{
	memset(r, 0, sizeof(*r));
	r->run.root_fd = c->run.root_fd;
	r->run.uid_base = c->run.uid_base;
	r->m = c->m;
	r->lease_fd = -1;
}

void victim_rst_free(struct rst *r)
{
	rst_file_free(r);
}

void victim_open_all(struct rst *r)
{
	struct err err = ERR_INIT;

	cr_assert_eq(rst_file_open_all(r, &err), 0, "%s", err.msg);
}

int victim_opened(const struct rst *r, const struct cpt *c, int fd)
{
	int own = r->file_fds[victim_file(c, fd)->id];

	cr_assert_geq(own, 0);
	return own;
}

/* --- the whole way --- */

struct shared {
	atomic_int leads, go, failed;
};

static pid_t start_reborn(struct shared *s, int (*after)(void))
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	atomic_store(&s->leads, 1);
	while (!atomic_load(&s->go))
		usleep(1000);
	atomic_store(&s->failed, after());
	_exit(0);
}

static void bring(struct rst *r, const struct cpt *c, pid_t reborn)
{
	struct rst_task *t = vec_add(&r->tasks);
	struct err err = ERR_INIT;

	t->t.pid = t->t.pgid = t->t.sid = c->tasks.at[0].vpid;
	t->pid = reborn;
	cr_assert_eq(remote_seize(&reborn, 1, REMOTE_LIVING, &t->r, &err), 0, "%s", err.msg);
	cr_assert(t->r);
	cr_assert_eq(rst_file_place(r, &err), 0, "%s", err.msg);
	cr_assert_eq(rst_file_attach(r, &err), 0, "%s", err.msg);
	cr_assert_eq(remote_release(t->r, &err), 0, "%s", err.msg);
	t->r = NULL;
}

static void round_trip(const struct victim_trip *trip, bool walk)
{
	struct shared *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct victim v = victim_start(trip->before, NULL);
	pid_t reborn = start_reborn(s, trip->after);
	struct cpt c;
	struct rst r;
	int status;

	victim_cpt(&c, &v.pid, 1, true);
	if (walk)
		cpt_file_use_walk(&c);
	victim_collect(&c);
	if (trip->between)
		trip->between(&c);
	cpt_file_free(&c);
	victim_end(&v);
	victim_rst(&r, &c);
	victim_open_all(&r);
	while (!atomic_load(&s->leads)) /* a session of its own, before it gets a terminal */
		usleep(100);
	bring(&r, &c, reborn);
	victim_rst_free(&r);
	vec_free(&r.tasks);
	atomic_store(&s->go, 1);
	cr_assert_eq(waitpid(reborn, &status, 0), reborn);
	cr_assert(WIFEXITED(status) && !WEXITSTATUS(status), "it ended with status %#x", status);
	cr_assert_eq(atomic_load(&s->failed), 0, "line %d fails in the restored process",
		     atomic_load(&s->failed));
	victim_cpt_free(&c);
}

void victim_round_trip(const struct victim_trip *trip)
{
	round_trip(trip, false);
	if (trip->again)
		trip->again();
	round_trip(trip, true);
}
