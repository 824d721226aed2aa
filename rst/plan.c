// SPDX-License-Identifier: GPL-2.0-only
#include "rst/ipc.h"
#include "rst/plan.h"

static const struct rst_step steps[] = {
	{"tree", "the remaining tasks, sessions, process groups, zombies", rst_tree_complete, {0}},
	{"names", "host and domain name", rst_uts_restore, {0}},
	{"network", "addresses, routes and settings of the VE's network", rst_ns_network, {0}},
	{"clock", "clocks as they were when the VE stood still", rst_clock_restore, {"tree"}},
	{"cgroups", "cgroups the VE made, tasks into them", rst_cgroup_build, {"tree"}},
	{"open",
	 "every open file, pipe and socket, in the engine",
	 rst_file_open_all,
	 {"network", "clock", "cgroups"}},
	{"memory", "protections, advice, vdso, and where code, heap and stack lie", rst_mm_finish, {"tree"}},
	{"ipc", "System V queues and semaphores, limits of the ipc namespace", rst_ipc_restore, {"memory"}},
	{"place",
	 "descriptors, working directories and roots into the tasks",
	 rst_file_place,
	 {"tree", "open"}},
	{"attach",
	 "what a task itself must do to a file: epoll sets, terminals, owners",
	 rst_file_attach,
	 {"place"}},
	{"threads", "all threads", rst_task_threads, {"memory", "attach"}},
	{"state", "signals, timers, limits, credentials", rst_task_state, {"threads", "names", "ipc"}},
	{"limits", "limits of the cgroups the VE made", rst_cgroup_limits, {"state"}},
	{"watch", "inotify watches, when nothing touches files any more", rst_inotify_watch, {"limits"}},
	{"seal", "own registers set, our code gone; frozen", rst_task_seal, {"watch"}},
	{"freezer", "cgroups that the VE had frozen", rst_cgroup_freezer, {"seal"}},
};

const struct rst_step *rst_plan_steps(size_t *ret_nr)
{
	*ret_nr = ARRAY_LEN(steps);
	return steps;
}

static ssize_t index_of(const struct rst_step *at, size_t nr, const char *name)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(at[i].name, name))
			return (ssize_t)i;
	return -1;
}

/* Depth first: what a step waits for, then the step. mark: 1 in work (met again, it is a cycle), 2 done. */
static int visit(const struct rst_step *at, size_t nr, size_t i, uint8_t *mark, const struct rst_step **ret,
		 size_t *done, struct err *err)
{
	if (mark[i] == 2)
		return 0;
	if (mark[i] == 1)
		return err_set(err, ERR_RESTORE, "plan: step %s waits for itself", at[i].name);
	mark[i] = 1;
	for (size_t k = 0; k < ARRAY_LEN(at[i].after) && at[i].after[k]; k++) {
		ssize_t before = index_of(at, nr, at[i].after[k]);

		if (before < 0)
			return err_set(err, ERR_RESTORE, "plan: step %s waits for %s, which there is not",
				       at[i].name, at[i].after[k]);
		if (visit(at, nr, (size_t)before, mark, ret, done, err))
			return -1;
	}
	mark[i] = 2;
	ret[(*done)++] = &at[i];
	return 0;
}

int rst_plan_sort(const struct rst_step *at, size_t nr, const struct rst_step **ret, struct err *err)
{
	_free_ uint8_t *mark = mem_alloc(nr);
	size_t done = 0;

	for (size_t i = 0; i < nr; i++)
		if (visit(at, nr, i, mark, ret, &done, err))
			return -1;
	return 0;
}

int rst_plan_run(struct rst *r, struct err *err)
{
	const struct rst_step *order[ARRAY_LEN(steps)];

	if (rst_plan_sort(steps, ARRAY_LEN(steps), order, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		int64_t began_ns = io_now_ns();

		if (order[i]->run(r, err))
			return err_ctx(err, "%s", order[i]->name);
		log_debug("restore: %s: %.3f ms", order[i]->name, (double)(io_now_ns() - began_ns) / 1e6);
	}
	return 0;
}
