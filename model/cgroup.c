// SPDX-License-Identifier: GPL-2.0-only
#include "model/cgroup.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"

/*
 * Documentation/admin-guide/cgroup-v2.rst. What names devices or other resources of one node is not carried.
 * cpu.weight.nice shows cpu.weight in other words, and the *.pressure files hold triggers of who has them
 * open.
 */
static const struct cgroup_control controls[] = {
	{"cgroup.subtree_control", "", true},
	{"cgroup.freeze", "0", true},
	{"cgroup.max.depth", "max", true},
	{"cgroup.max.descendants", "max", true},
	{"cgroup.pressure", "1", true},
	{"cpu.weight", "100", true},
	{"cpu.idle", "0", true},
	{"cpu.max", "max 100000", true},
	{"cpu.max.burst", "0", true},
	{"cpu.uclamp.min", "0.00", true},
	{"cpu.uclamp.max", "max", true},
	{"cpuset.cpus", "", true},
	{"cpuset.mems", "", true},
	{"cpuset.cpus.exclusive", "", true},
	{"cpuset.cpus.partition", "member", false},
	{"memory.min", "0", true},
	{"memory.low", "0", true},
	{"memory.high", "max", true},
	{"memory.max", "max", true},
	{"memory.swap.high", "max", true},
	{"memory.swap.max", "max", true},
	{"memory.zswap.max", "max", true},
	{"memory.zswap.writeback", "1", true},
	{"memory.oom.group", "0", true},
	{"pids.max", "max", true},
	{"hugetlb.*.max", "max", true},
	{"io.weight", "default 100", true},
	{"io.bfq.weight", "default 100", true},
	{"io.prio.class", "no-change", true},
	{"io.max", "", false},
	{"io.latency", "", false},
	{"misc.max", "", false},
	{"rdma.max", "", false},
};

const struct cgroup_control *cgroup_control_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(controls); i++)
		if (!fnmatch(controls[i].name, name, 0))
			return &controls[i];
	return NULL;
}

/* No limit at all is also told as a number: mm/hugetlb_cgroup.c, hugetlb_cgroup_read_u64_max */
bool cgroup_is_initial(const struct cgroup_control *control, const char *value)
{
	if (!strcmp(value, control->initial))
		return true;
	return !strcmp(control->initial, "max") && strtoull(value, NULL, 10) >= 1ull << 62;
}

/* cgroup-v2.rst, "Model of Delegation" */
bool cgroup_is_delegated(const char *name)
{
	return !strcmp(name, "cgroup.procs") || !strcmp(name, "cgroup.threads") ||
	       !strcmp(name, "cgroup.subtree_control");
}
