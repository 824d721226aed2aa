// SPDX-License-Identifier: GPL-2.0-only
/* A sane model passes; each way of being insane is refused, with the right words. */
#include <criterion/criterion.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "tests/unit/image_sample.h"

Test(model_validate, sane_one_passes)
{
	struct err err = ERR_INIT;
	struct model m;

	sample_model(&m);
	cr_assert_eq(model_validate(&m, &err), 0, "%s", err.msg);
	model_free(&m);
}

static void refused(struct model *m, const char *words, const char *change)
{
	struct err err = ERR_INIT;

	cr_assert_eq(model_validate(m, &err), -1, "%s: passes", change);
	cr_assert_eq(err.code, ERR_IMAGE);
	cr_assert(strstr(err.msg, words), "%s: says: %s", change, err.msg);
	model_free(m);
}

/* change is made to `m` */
#define REFUSED(words, change)                                                                               \
	do {                                                                                                 \
		struct model m;                                                                              \
		sample_model(&m);                                                                            \
		change;                                                                                      \
		refused(&m, words, #change);                                                                 \
	} while (0)

static void drop_all_ves(struct model *m)
{
	model_free_ve(&m->ve.at[0]);
	m->ve.nr = 0;
}

Test(model_validate, ve)
{
	REFUSED("instead of one", drop_all_ves(&m));
	REFUSED("impossible page size", m.ve.at[0].page_bytes = 5000);
	REFUSED("impossible id", m.ve.at[0].id = 0);
	REFUSED("before their beginning", m.ve.at[0].boottime_ns = -1);
}

Test(model_validate, tree)
{
	REFUSED("none of the frozen VE", m.trees.at[1].frozen = false);
	REFUSED("rounds count from 1", m.trees.at[0].round = 0);
	REFUSED("without a task", m.trees.at[0].tasks.nr = 0);
	REFUSED("not the VE's init", m.trees.at[0].tasks.at[0].pid = 2);
	REFUSED("is not before it", m.trees.at[0].tasks.at[1].ppid = 7);
	REFUSED("is not before it", m.trees.at[0].tasks.at[1].mm_from = 9);
	REFUSED("is there twice", m.trees.at[0].tasks.at[1].pid = 1);
	REFUSED("leads a session", m.trees.at[0].tasks.at[1].pgid = 1);
	REFUSED("is not what the tree says", m.trees.at[1].tasks.at[1].mm = 1);
	REFUSED("task records", m.trees.at[1].tasks.nr = 1);
}

Test(model_validate, task)
{
	REFUSED("task 7: mm 9 does not exist", (m.tasks.at[1].mm = 9, m.trees.at[1].tasks.at[1].mm = 9));
	REFUSED("files 9", m.tasks.at[1].files = 9);
	REFUSED("fs 9", m.tasks.at[1].fs = 9);
	REFUSED("sighand 9", m.tasks.at[1].sighand = 9);
	REFUSED("terminal 9", m.tasks.at[1].ctty = 9);
	REFUSED("above its maximum", m.tasks.at[1].rlimits[3].cur = 1);
	REFUSED("interval timer 1", m.tasks.at[0].itimers[1].left_ns = -1);
	REFUSED("timer 0", m.tasks.at[0].posix_timers.at[0].notify_tid = 8);
	REFUSED("timer 0 is there twice",
		vec_push(&m.tasks.at[0].posix_timers, ((struct posix_timer_obj){.id = 0, .clock = 1})));
	REFUSED("not its leader", m.tasks.at[1].threads.at[0].tid = 8);
	REFUSED("a zombie with memory", m.tasks.at[1].state = TASK_ZOMBIE);
	REFUSED("thread 7: impossible scheduling", m.tasks.at[1].threads.at[0].nice = 30);
	REFUSED("general registers", m.tasks.at[1].threads.at[0].regs.nr_general = 65);
	REFUSED("signal 65 is pending", m.tasks.at[1].threads.at[0].pending.at[0].signo = 65);
	REFUSED("number 7 is there twice", vec_add(&m.tasks.at[0].threads)->tid = 7);
	REFUSED("in no cgroup", (free(m.tasks.at[1].cgroup), m.tasks.at[1].cgroup = NULL));
	REFUSED("a zombie with 2 threads", vec_add(&m.tasks.at[2].threads)->tid = 10);
	REFUSED("umask", m.fss.at[0].umask = 01000);
	REFUSED("oom_score_adj", m.tasks.at[0].oom_score_adj = 2000);
}

Test(model_validate, memory)
{
	REFUSED("mm 1: mapping 10000000-10080000: not at page", m.mms.at[0].vmas.at[1].offset = 1);
	REFUSED("empty, or not behind", m.mms.at[0].vmas.at[1].start = 0x401000);
	REFUSED("empty, or not behind", m.mms.at[0].vmas.at[1].end = 0x10000000);
	REFUSED("does not go with", m.mms.at[0].vmas.at[1].reg = 1);
	REFUSED("does not go with", m.mms.at[0].vmas.at[0].reg = 0);
	REFUSED("reg 9 does not exist", m.mms.at[0].vmas.at[0].reg = 9);
	REFUSED("shm 9 does not exist", m.mms.at[0].vmas.at[2].shm = 9);
	REFUSED("unknown protection", m.mms.at[0].vmas.at[0].prot = 0x100);
	REFUSED("beyond the largest file", m.mms.at[0].vmas.at[0].offset = UINT64_MAX & ~UINT64_C(4095));
	REFUSED("reg 9, does not exist", m.mms.at[0].exe = 9);
	REFUSED("ends before its beginning", m.mms.at[0].arg_start = 1);
	REFUSED("auxv", m.mms.at[0].auxv.len_bytes = 15);
	REFUSED("at page boundaries", m.ve.at[0].page_bytes = 65536);
	REFUSED("ghost 9 does not exist", m.regs.at[0].ghost = 9);
	REFUSED("no regular file", m.regs.at[1].mode = S_IFIFO | 0600);
	REFUSED("sealed, but no memfd", (m.shms.at[0].kind = SHM_ANON, m.shms.at[0].seals = 1));
	REFUSED("impossible size", m.shms.at[0].size_bytes = UINT64_MAX);
	REFUSED("ghost 1", m.ghosts.at[0].mode = S_IFCHR);
	REFUSED("not within System V segment 2", m.mms.at[0].vmas.at[3].end += 0x1000);
	REFUSED("not within System V segment 2", m.mms.at[0].vmas.at[3].offset = UINT64_C(1) << 40);
	REFUSED("not within System V segment 2", m.mms.at[0].vmas.at[3].kind = VMA_FILE);
	REFUSED("not within System V segment 2", m.shms.at[1].gone = true);
	REFUSED("gone, but no System V", m.shms.at[0].gone = true);
	REFUSED("shm 2: impossible System V", m.shms.at[1].size_bytes = 0);
	REFUSED("shm 2: impossible System V", m.shms.at[1].ipc_id = UINT32_MAX);
	REFUSED("shm 2: impossible System V", m.shms.at[1].mode = 01777);
	REFUSED("System V segment 32769 is there twice",
		*vec_add(&m.shms) =
			((struct shm_obj){.id = 3, .kind = SHM_SYSV, .size_bytes = 1, .ipc_id = 32769}));
	REFUSED("with key 0x56525354",
		*vec_add(&m.shms) =
			((struct shm_obj){.id = 3, .kind = SHM_SYSV, .size_bytes = 1, .key = 0x56525354}));
	REFUSED("file 1: what it opens",
		(m.files.at[0].kind = FILE_MEMFD, m.files.at[0].of = 2, m.files.at[0].tty_master = false));
}

Test(model_validate, files)
{
	REFUSED("file 1: what it opens", m.files.at[0].of = 9);
	REFUSED("no terminal", m.files.at[0].tty_master = true);
	REFUSED("impossible owner", m.files.at[0].owner_type = 3);
	REFUSED("files 1: fd 0: file 99", m.fdtables.at[0].fds.at[0].file = 99);
	REFUSED("out of order", m.fdtables.at[0].fds.at[1].fd = 0);
	REFUSED("pipe 1: 11 bytes in 4", m.pipes.at[0].capacity_bytes = 4);
	REFUSED("impossible count", m.eventfds.at[0].count = UINT64_MAX);
	REFUSED("timerfd 1", m.timerfds.at[0].clock = 2);
	REFUSED("chardev 1", m.chardevs.at[0].major = 5000);
	REFUSED("tty: index 3 is there twice", *vec_add(&m.ttys) = ((struct tty_obj){.id = 2, .index = 3}));
	REFUSED("target 5: file 99", m.epolls.at[0].targets.at[0].file = 99);
	REFUSED("watch 3: file 9", m.inotifys.at[0].watches.at[0].reg = 9);
	REFUSED("watch 3: impossible mask", m.inotifys.at[0].watches.at[0].mask = IN_IGNORED);
	REFUSED("watch 2: impossible number", m.inotifys.at[0].watches.at[1].wd = 2);
	REFUSED("watch 300000: impossible number", m.inotifys.at[0].watches.at[1].wd = 300000);
	REFUSED("pidfd 1: task 99", m.pidfds.at[0].pid = 99);
	REFUSED("pidfd 1: impossible end", m.pidfds.at[0].exit_code = 1);
	REFUSED("pidfd 2: impossible end", m.pidfds.at[1].exit_code = 0x137f);
	REFUSED("watches itself", m.epolls.at[0].targets.at[0].file = 5);
}

Test(model_validate, sockets)
{
	REFUSED("unix 1: peer 9", m.unixs.at[0].peer = 9);
	REFUSED("unix 2: peer 1 is connected to 0", m.unixs.at[0].peer = 0);
	REFUSED("unknown type", m.unixs.at[0].type = 3);
	REFUSED("another type", m.unixs.at[0].type = 5);
	REFUSED("does not listen", vec_push(&m.unixs.at[0].pending, 2));
	REFUSED("sender 9", m.unixs.at[1].queue.at[0].from_unix = 9);
	REFUSED("file 99", m.unixs.at[1].queue.at[0].files.at[0] = 99);
	REFUSED("inet 1: unknown family", m.inets.at[0].family = 1);
	REFUSED("impossible address", m.inets.at[1].src.len_bytes = 3);
	REFUSED("listener 9", m.inets.at[1].listener = 9);
	REFUSED("does not listen", m.inets.at[0].state = 1);
	REFUSED("7 bytes not sent of 6", m.inets.at[1].unsent_bytes = 7);
}

Test(model_validate, ns)
{
	REFUSED("mount 2 (/run): parent 2", m.mounts.at[1].parent = 2);
	REFUSED("file /lock of mount 1: mount 1 does not exist, or is no tmpfs", m.fsents.at[0].mount = 1);
	REFUSED("content beyond its end", m.fsents.at[0].offset = 1);
	REFUSED("impossible mode", (m.fsents.at[0].mode = 0644, m.fsents.at[0].content.len_bytes = 0));
	REFUSED("no regular file", m.fsents.at[0].mode = S_IFDIR | 0755);
	REFUSED("device lo does not exist", m.netns.at[0].links.at[0].name[0] = 'x');
	REFUSED("impossible address of lo", m.netns.at[0].addrs.at[0].prefix_len = 33);
	REFUSED("impossible route of lo", m.netns.at[0].routes.at[0].dst_len = 8);
	REFUSED("with the name", m.netns.at[0].links.at[0].name[0] = '/');
}

static void rename_to(char **name, const char *to)
{
	free(*name);
	*name = mem_strdup(to);
}

Test(model_validate, cgroups)
{
	REFUSED("cgroup /../x: impossible path", rename_to(&m.cgroups.at[1].path, "/../x"));
	REFUSED("impossible path", rename_to(&m.cgroups.at[1].path, "/a//b"));
	REFUSED("impossible path", rename_to(&m.cgroups.at[1].path, "/a/"));
	REFUSED("impossible path", rename_to(&m.cgroups.at[1].path, "/./a"));
	REFUSED("what it is in does not exist", rename_to(&m.cgroups.at[1].path, "/a/b"));
	REFUSED("there twice", rename_to(&m.cgroups.at[1].path, "/"));
	REFUSED("impossible owner", m.cgroups.at[1].uid = 65536);
	REFUSED("impossible owner", m.cgroups.at[1].mode = 010000);
	REFUSED("with the name", rename_to(&m.cgroups.at[1].files.at[0].name, "../pids.max"));
	REFUSED("with the name", rename_to(&m.cgroups.at[1].files.at[0].name, ""));
	REFUSED("do not carry", rename_to(&m.cgroups.at[1].files.at[0].name, "cgroup.procs"));
	REFUSED("do not carry", rename_to(&m.cgroups.at[1].files.at[0].name, "io.max"));
	REFUSED("do not carry", rename_to(&m.cgroups.at[1].files.at[0].value, "1\n2"));
	REFUSED("impossible owner", m.cgroups.at[1].files.at[1].uid = 65536);
	REFUSED("belongs to the node", rename_to(&m.cgroups.at[0].files.at[0].name, "memory.max"));
	REFUSED("attribute trusted.x", rename_to(&m.cgroups.at[1].xattrs.at[0].name, "trusted.x"));
	REFUSED("task 1: cgroup /init does not exist", rename_to(&m.tasks.at[0].cgroup, "/init"));
}

static void add_twin(struct model *m)
{
	struct semset_obj *s = vec_add(&m->semsets);

	*s = (struct semset_obj){.id = 4, .perm = {.key = 0x56525353}};
	vec_push(&s->values, 0u);
}

Test(model_validate, ipc)
{
	REFUSED("ipc: 2 instead of one", *vec_add(&m.ipc) = (struct ipc_obj){0});
	REFUSED("msgq 32770: impossible type", m.msgqs.at[0].messages.at[0].type = 0);
	REFUSED("impossible type", m.msgqs.at[0].messages.at[1].type = UINT64_MAX);
	REFUSED("impossible mode", m.msgqs.at[0].perm.mode = 01000);
	REFUSED("impossible owner", m.msgqs.at[0].perm.cuid = 65536);
	REFUSED("impossible number", m.msgqs.at[0].id = UINT32_MAX);
	REFUSED("semset 3: task 9, which undoes", m.semsets.at[0].undos.at[0].pid = 9);
	REFUSED("task 99, which undoes", m.semsets.at[0].undos.at[0].pid = 99);
	REFUSED("impossible undo of task 1", m.semsets.at[0].undos.at[0].nr = 2);
	REFUSED("impossible undo of task 1", m.semsets.at[0].undos.at[0].adjust = 40000);
	REFUSED("impossible undo of task 1", m.semsets.at[0].undos.at[0].adjust = 0);
	REFUSED("never used", m.semsets.at[0].used = false);
	REFUSED("impossible value", m.semsets.at[0].values.at[0] = 32768);
	REFUSED("impossible owner", m.semsets.at[0].perm.uid = 65536);
	REFUSED("semset: two with key", add_twin(&m));
	REFUSED("msgq: two with key",
		*vec_add(&m.msgqs) = ((struct msgq_obj){.id = 32771, .perm = {.key = 0x5652534d}}));
}

Test(model, cgroup_controls)
{
	const struct cgroup_control *pages = cgroup_control_of("hugetlb.2MB.max");

	cr_assert(pages && pages->carried);
	cr_assert(cgroup_is_initial(pages, "max") && cgroup_is_initial(pages, "9223372036854771712"));
	cr_assert(!cgroup_is_initial(pages, "2097152"));
	cr_assert(cgroup_control_of("io.max") && !cgroup_control_of("io.max")->carried);
	cr_assert_null(cgroup_control_of("cgroup.procs"));
	cr_assert_null(cgroup_control_of("memory.current"));
	cr_assert(cgroup_is_delegated("cgroup.threads") && !cgroup_is_delegated("memory.max"));
}

Test(model, lookups)
{
	struct model m;

	sample_model(&m);
	for (uint32_t id = 1; id <= m.files.nr; id++)
		cr_assert_eq(model_file(&m, id)->id, id);
	cr_assert_null(model_file(&m, 0));
	cr_assert_null(model_file(&m, 99));
	cr_assert_eq(model_task(&m, 7)->pid, 7);
	cr_assert_null(model_task(&m, 2));
	cr_assert_eq(model_unix(&m, 2)->peer, 1);
	model_free(&m);
	cr_assert_eq(m.files.nr, 0);
}
