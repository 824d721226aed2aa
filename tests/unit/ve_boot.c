// SPDX-License-Identifier: GPL-2.0-only
/* What an engine asks of a VE: locked boots, leases and the death of their holders, the freezer, the
 * addresses. Needs root. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "kernel/cgroup.h"
#include "ve/journal.h"
#include "ve/node.h"

#define ID "109"

static struct verst *v;
static char root[] = "/var/tmp/verst-boot.XXXXXX";

static void setup(void)
{
	struct verst_template_opts template = {.log_fd = -1};
	const char *const ips[] = {"10.71.9.2"};
	struct verst_create_opts opts = {.template_name = "busybox", .ips = ips, .nr_ips = 1};
	struct err err = ERR_INIT;
	unsigned id;

	if (geteuid())
		cr_skip_test("not root");
	cr_assert(mkdtemp(root));
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	cr_assert_eq(verst_open(root, &v, &err), 0, "%s", err.msg);
	cr_assert_eq(verst_template_build(v, "busybox", &template, &err), 0, "%s", err.msg);
	cr_assert_eq(verst_create(v, 109, &opts, &id, &err), 0, "%s", err.msg);
}

static void teardown(void)
{
	struct err err = ERR_INIT;
	struct ve ve;

	if (geteuid())
		return;
	if (!ve_open(&v->node, ID, false, &ve, &err)) {
		ve_kill(&ve, &err);
		ve_close(&ve);
	}
	err_clear(&err);
	cr_expect_eq(io_remove_tree(AT_FDCWD, root, &err), 0, "%s", err.msg);
	verst_close(v);
}

TestSuite(ve_boot, .init = setup, .fini = teardown, .timeout = 60);

static struct ve *open_ve(void)
{
	static struct ve ve;
	struct err err = ERR_INIT;

	cr_assert_eq(ve_open(&v->node, ID, false, &ve, &err), 0, "%s", err.msg);
	return &ve;
}

static void boot_locked(struct ve *ve, struct undo *undo, struct ve_run *run)
{
	struct ve_boot_opts opts = {
		.locked = true, .monotonic_offset_ns = 1000000000123, .boottime_offset_ns = -5};
	struct err err = ERR_INIT;

	cr_assert_eq(ve_boot(ve, &opts, undo, run, &err), 0, "%s", err.msg);
}

/* What a restore would do before it dies, in a child that then does. */
static void die_after(void (*what)(struct ve *ve, struct ve_run *run))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct undo undo = {0};
		struct ve_run run;
		struct ve *ve = open_ve();

		boot_locked(ve, &undo, &run);
		if (what)
			what(ve, &run);
		raise(SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child failed: %x", status);
}

static bool runs(void)
{
	struct err err = ERR_INIT;
	struct verst_status s;
	bool running;

	cr_assert_eq(verst_status(v, ID, &s, &err), 0, "%s", err.msg);
	running = s.running;
	verst_status_free(&s);
	return running;
}

static void wait_for_end(void)
{
	char path[PATH_MAX];

	ve_node_path(path, v->node.run, "%s/supervisor", ID);
	for (int i = 0; i < 500 && !access(path, F_OK); i++)
		poll(NULL, 0, 10);
	cr_assert(access(path, F_OK), "the supervisor is still there");
	cr_assert(!runs());
}

static bool exists(const char *dir, const char *fmt)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, fmt);
	return !access(path, F_OK);
}

static void lease_restore(struct ve *ve, struct ve_run *run)
{
	struct err err = ERR_INIT;
	int fd;

	if (ve_lease_take(ve, VE_LEASE_RESTORE, false, &fd, &err))
		_exit(1);
}

static void lease_restore_remove(struct ve *ve, struct ve_run *run)
{
	struct err err = ERR_INIT;
	int fd;

	if (ve_lease_take(ve, VE_LEASE_RESTORE, true, &fd, &err))
		_exit(1);
}

static void lease_ended(struct ve *ve, struct ve_run *run)
{
	struct err err = ERR_INIT;
	int fd;

	if (ve_lease_take(ve, VE_LEASE_RESTORE, true, &fd, &err) || ve_lease_end(fd, &err))
		_exit(1);
}

static void committed_and_frozen(struct ve *ve, struct ve_run *run)
{
	struct verst_journal journal = {.id = ve->id, .state = VERST_JOURNAL_COMMITTED};
	struct err err = ERR_INIT;

	memset(journal.migration, 'a', 32);
	lease_restore_remove(ve, run);
	if (ve_freeze(run, 5000, &err) || ve_journal_write(ve->node, &journal, &err))
		_exit(1);
}

static void lease_commit(struct ve *ve, struct ve_run *run)
{
	struct err err = ERR_INIT;
	int fd;

	lease_ended(ve, run);
	if (ve_freeze(run, 5000, &err) || ve_lease_take(ve, VE_LEASE_COMMIT, false, &fd, &err))
		_exit(1);
}

Test(ve_boot, death_before_a_lease_leaves_nothing)
{
	die_after(NULL);
	wait_for_end();
	cr_assert(exists(v->node.etc, ID ".conf"));
}

Test(ve_boot, death_with_a_lease_leaves_nothing)
{
	die_after(lease_restore);
	wait_for_end();
	cr_assert(exists(v->node.etc, ID ".conf"));
	cr_assert(exists(v->node.lib, "private/" ID));
}

Test(ve_boot, death_with_a_lease_removes_what_it_was_told_to)
{
	die_after(lease_restore_remove);
	wait_for_end();
	cr_assert(!exists(v->node.etc, ID ".conf"));
	cr_assert(!exists(v->node.lib, "private/" ID));
}

Test(ve_boot, death_after_the_lease_leaves_it_running)
{
	die_after(lease_ended);
	poll(NULL, 0, 100);
	cr_assert(runs());
}

static bool is_frozen(void)
{
	struct err err = ERR_INIT;
	struct ve_run run;
	int frozen;

	cr_assert_eq(ve_run_open(open_ve(), &run, &err), 0, "%s", err.msg);
	frozen = cgroup_is_frozen(run.cgroup_fd);
	ve_run_close(&run);
	return frozen;
}

Test(ve_boot, committed_runs_on)
{
	die_after(committed_and_frozen);
	for (int i = 0; i < 200 && is_frozen(); i++)
		poll(NULL, 0, 10);
	cr_assert(!is_frozen());
	cr_assert(runs());
}

Test(ve_boot, in_doubt_it_stays_frozen)
{
	die_after(lease_commit);
	poll(NULL, 0, 200);
	cr_assert(runs());
	cr_assert(is_frozen());
}

Test(ve_boot, one_lease_at_a_time)
{
	struct err err = ERR_INIT;
	struct ve *ve = open_ve();
	struct undo undo = {0};
	struct ve_run run;
	int first, second;

	boot_locked(ve, &undo, &run);
	cr_assert_eq(ve_lease_take(ve, VE_LEASE_RESTORE, false, &first, &err), 0, "%s", err.msg);
	cr_assert_eq(ve_lease_take(ve, VE_LEASE_COMMIT, false, &second, &err), -1);
	cr_assert_eq(err.code, ERR_LOCKED);
	cr_assert_eq(ve_lease_end(first, &err), 0);
	cr_assert_eq(ve_lease_take(ve, VE_LEASE_COMMIT, false, &second, &err), 0, "%s", err.msg);
	cr_assert_eq(ve_lease_end(second, &err), 0);
	undo_run(&undo);
	cr_assert(!runs());
	ve_run_close(&run);
}

Test(ve_boot, locked_is_as_told)
{
	struct err err = ERR_INIT;
	struct ve *ve = open_ve();
	struct buf text = {0};
	struct undo undo = {0};
	char path[64];
	long t[4];
	struct ve_run run, again;

	boot_locked(ve, &undo, &run);
	cr_assert_eq(ve_run_open(ve, &again, &err), 0, "%s", err.msg);
	cr_assert_eq(again.init_pid, run.init_pid);
	cr_assert_eq(again.uid_base, run.uid_base);
	cr_assert_eq(again.monotonic_offset_ns, 1000000000123);
	cr_assert_eq(again.boottime_offset_ns, -5);
	cr_assert_neq(again.console_minor, 0xffffffff);
	cr_assert_eq(faccessat(again.root_fd, "proc/1/stat", F_OK, 0), 0);
	snprintf(path, sizeof(path), "/proc/%d/timens_offsets", run.init_pid);
	cr_assert_eq(io_read_file(AT_FDCWD, path, 4096, &text, &err), 0);
	cr_assert_eq(
		sscanf((char *)text.at, "monotonic %ld %ld boottime %ld %ld", &t[0], &t[1], &t[2], &t[3]), 4);
	cr_assert(t[0] == 1000 && t[1] == 123 && t[2] == -1 && t[3] == 999999995, "%s", text.at);
	buf_free(&text);
	/* no route yet, and none after it is withdrawn */
	cr_assert_eq(io_read_file(AT_FDCWD, "/proc/self/net/route", 65536, &text, &err), 0);
	cr_assert(!strstr((char *)text.at, "0209470A"), "%s", text.at);
	buf_free(&text);
	cr_assert_eq(ve_net_announce(ve, &run, &err), 0, "%s", err.msg);
	cr_assert_eq(io_read_file(AT_FDCWD, "/proc/self/net/route", 65536, &text, &err), 0);
	cr_assert(strstr((char *)text.at, "0209470A"), "%s", text.at);
	buf_free(&text);
	cr_assert_eq(ve_net_withdraw(ve, &run, &err), 0, "%s", err.msg);
	cr_assert_eq(io_read_file(AT_FDCWD, "/proc/self/net/route", 65536, &text, &err), 0);
	cr_assert(!strstr((char *)text.at, "0209470A"), "%s", text.at);
	buf_free(&text);
	ve_run_close(&again);
	undo_run(&undo);
	ve_run_close(&run);
}

Test(ve_boot, freeze_and_thaw)
{
	struct err err = ERR_INIT;
	struct ve_run run;

	cr_assert_eq(verst_start(v, ID, &err), 0, "%s", err.msg);
	cr_assert_eq(ve_run_open(open_ve(), &run, &err), 0, "%s", err.msg);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(ve_freeze(&run, 5000, &err), 0, "%s", err.msg);
		cr_assert(cgroup_is_frozen(run.cgroup_fd));
		cr_assert_eq(ve_thaw(&run, &err), 0, "%s", err.msg);
	}
	cr_assert_eq(ve_freeze(&run, 5000, &err), 0, "%s", err.msg);
	ve_run_close(&run);
	/* a frozen one ends too */
	cr_assert_eq(verst_stop(v, ID, false, &err), 0, "%s", err.msg);
}

Test(ve_boot, a_second_boot_is_refused)
{
	struct ve_boot_opts opts = {.locked = true};
	struct err err = ERR_INIT;
	struct undo undo = {0};
	struct ve_run run;

	cr_assert_eq(verst_start(v, ID, &err), 0, "%s", err.msg);
	cr_assert_eq(ve_boot(open_ve(), &opts, &undo, &run, &err), -1);
	cr_assert_eq(err.code, ERR_RUNNING);
	cr_assert_eq(undo.nr, 0);
	cr_assert(runs());
}
