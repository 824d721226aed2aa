// SPDX-License-Identifier: GPL-2.0-only
/* The place of a VE in the cgroups. Needs root. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cpt/cpt.h"
#include "kernel/cgroup.h"
#include "kernel/devices.h"

static char node[32];

static void setup(void)
{
	if (geteuid())
		cr_skip_test("not root");
	snprintf(node, sizeof(node), "verst-unit-%d", (int)getpid());
}

TestSuite(cgroup, .init = setup, .timeout = 60);

static struct cgroup make(void)
{
	struct err err = ERR_INIT;
	struct cgroup cg;

	cr_assert_eq(cgroup_make(&cg, node, "1", 100000, &err), 0, "%s", err.msg);
	return cg;
}

static void remove_all(struct cgroup *cg)
{
	struct err err = ERR_INIT;
	int fd;

	cgroup_remove(cg);
	cr_assert_eq(cgroup_open_v2(node, "1", &fd, &err), -1);
	vec_each(v1, &cg->v1)
		cr_assert(access(v1->path, F_OK), "%s", v1->path);
	cgroup_close(cg);
}

/* A child in the groups, and three of its own. */
static pid_t spawn(const struct cgroup *cg)
{
	struct err err = ERR_INIT;
	int ready[2];
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		if (cgroup_join(cg, &err))
			_exit(1);
		for (int i = 0; i < 3; i++)
			if (!fork())
				for (;;)
					pause();
		if (write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	return pid;
}

Test(cgroup, all_of_it)
{
	struct err err = ERR_INIT;
	struct cgroup cg = make();
	pid_t pid = spawn(&cg);
	int status;

	cr_assert_eq(cgroup_count_tasks(cg.v2_fd), 4);
	cr_assert_eq(cgroup_is_frozen(cg.v2_fd), 0);
	cr_assert_eq(cgroup_freeze(cg.v2_fd, 5000, &err), 0, "%s", err.msg);
	cr_assert_eq(cgroup_is_frozen(cg.v2_fd), 1);
	cr_assert_eq(cgroup_thaw(cg.v2_fd, &err), 0);
	/* a second VE of that name finds the place taken */
	cr_assert_eq(cgroup_make(&(struct cgroup){0}, node, "1", 100000, &err), -1);
	cr_assert_eq(cgroup_kill(cg.v2_fd, &err), 0, "%s", err.msg);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status));
	remove_all(&cg);
}

static void put(const struct cgroup *cg, const char *path, const char *text)
{
	struct err err = ERR_INIT;

	cr_assert_eq(io_write_file(cg->v2_fd, path, text, &err), 0, "%s", err.msg);
}

static void refused(struct cpt *c, const char *why)
{
	struct err err = ERR_INIT;

	cr_assert_eq(cpt_cgroup_look(c, &err), -1);
	cr_assert_str_eq(err.msg, why);
}

/* What a dump finds below the VE's own. */
Test(cgroup, below_it)
{
	struct err err = ERR_INIT;
	struct cgroup cg = make();
	struct cpt c = {.run = {.cgroup_fd = cg.v2_fd, .uid_base = 100000}, .frozen = true};
	pid_t pid = spawn(&cg);
	struct cpt_task in = {.pid = pid}, out = {.pid = getpid()};
	char text[16];
	int status;

	cr_assert_eq(cpt_cgroup_collect(&c, &err), 0, "%s", err.msg);
	cr_assert_eq(c.m.cgroups.nr, 0);
	cr_assert(!mkdirat(cg.v2_fd, "a", 0755) && !mkdirat(cg.v2_fd, "a/b", 0755));
	cr_assert_eq(fchownat(cg.v2_fd, "a", 100007, 100008, 0), 0);
	snprintf(text, sizeof(text), "%d", pid);
	put(&cg, "a/b/cgroup.procs", text);
	put(&cg, "a/cgroup.max.depth", "3");
	cr_assert_eq(cpt_cgroup_collect(&c, &err), 0, "%s", err.msg);
	cr_assert_eq(c.m.cgroups.nr, 3);
	cr_assert_str_eq(c.m.cgroups.at[2].path, "/a/b");
	cr_assert(c.m.cgroups.at[1].uid == 7 && c.m.cgroups.at[1].gid == 8);
	cr_assert_eq(c.m.cgroups.at[2].uid, CGROUP_FOREIGN);
	cr_assert_str_eq(cpt_cgroup_of(&c, &in), "/a/b");
	cr_assert_str_eq(cpt_cgroup_of(&c, &out), "/");
	put(&cg, "a/cgroup.freeze", "1");
	refused(&c, "cgroup /a: it is frozen and there are tasks in it");
	put(&cg, "a/cgroup.freeze", "0");
	cr_assert_eq(cpt_cgroup_look(&c, &err), 0, "%s", err.msg);
	cr_assert_eq(cgroup_kill(cg.v2_fd, &err), 0, "%s", err.msg);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	remove_all(&cg);
}

Test(cgroup, threaded_ones_are_refused)
{
	struct cgroup cg = make();
	struct cpt c = {.run = {.cgroup_fd = cg.v2_fd, .uid_base = 100000}, .frozen = true};

	cr_assert_eq(mkdirat(cg.v2_fd, "t", 0755), 0);
	put(&cg, "t/cgroup.type", "threaded");
	refused(&c, "cgroup /t: it is threaded");
	remove_all(&cg);
}

Test(cgroup, an_empty_one_is_taken_over)
{
	struct cgroup left = make(), cg;

	cr_assert_eq(mkdirat(left.v2_fd, "below", 0755), 0);
	cg = make();
	cgroup_close(&left);
	remove_all(&cg);
}

static int try(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* The same rules by the v1 controller, where there is one, and by the BPF program. */
static void check_devices(bool v1)
{
	struct err err = ERR_INIT;
	struct cgroup cg = make(), only_v2 = {.v2_fd = cg.v2_fd};
	struct cgroup *in = v1 ? &cg : &only_v2;
	int status;
	pid_t pid;

	cr_assert_eq(devices_limit(in, &err), 0, "%s", err.msg);
	pid = fork();
	if (!pid) {
		bool good = !cgroup_join(in, &err) && !try("/dev/null") && !try("/dev/urandom") &&
			    !try("/dev/ptmx") && try("/dev/kmsg") == EPERM &&
			    (access("/dev/loop0", F_OK) || try("/dev/loop0") == EPERM) &&
			    mknod("/dev/verst-unit-disk", S_IFBLK | 0600, 0x700) && errno == EPERM;

		_exit(good ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	remove_all(&cg);
}

Test(cgroup, devices)
{
	check_devices(true);
}

Test(cgroup, devices_by_bpf)
{
	check_devices(false);
}
