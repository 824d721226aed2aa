// SPDX-License-Identifier: GPL-2.0-only
#include "ve/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef void tasks_fn(pid_t pid, void *arg);

static void each_of_group(int group, tasks_fn *fn, void *arg)
{
	int fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_file_ FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	int pid;

	if (!f && fd >= 0)
		close(fd);
	/* 0 stands for a task that our pid namespace cannot name (kernel/cgroup: cgroup_procs_show) */
	while (f && fscanf(f, "%d", &pid) == 1)
		if (pid > 0)
			fn(pid, arg);
}

/* The VE has made groups of its own below the one it was given. */
static void each_below(int group, int depth, tasks_fn *fn, void *arg)
{
	int copy = openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_dir_ DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d && copy >= 0)
		close(copy);
	each_of_group(group, fn, arg);
	while (d && depth < 64 && (e = readdir(d))) {
		_fd_ int sub = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			each_below(sub, depth + 1, fn, arg);
	}
}

static void add_memory(pid_t pid, void *arg)
{
	uint64_t *sum = arg;
	char path[64];
	unsigned long long resident;
	_file_ FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%*u %llu", &resident) == 1)
		*sum += resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t tasks_memory_bytes(const struct ve *ve)
{
	struct err ignored = ERR_INIT;
	struct ve_run run;
	uint64_t sum = 0;

	if (ve_run_open(ve, &run, &ignored))
		return 0;
	each_below(run.cgroup_fd, 0, add_memory, &sum);
	ve_run_close(&run);
	return sum;
}

struct visit {
	void (*fn)(void *arg, const char *path);
	void *arg;
};

/* proc(5), /proc/pid/maps: start-end perms offset dev inode path; a newline in a path is written as \012 */
static void visit_mapping(const struct visit *v, char *line)
{
	char perms[5];
	unsigned long long inode;
	int used = 0;
	char *out;

	if (sscanf(line, "%*x-%*x %4s %*x %*x:%*x %llu %n", perms, &inode, &used) != 2 || !used || !inode)
		return;
	if (perms[1] != 'w' || perms[3] != 's' || line[used] != '/')
		return;
	line[strcspn(line, "\n")] = 0;
	out = line + used + 1;
	for (char *p = out; *p; p++) {
		if (strncmp(p, "\\012", 4))
			continue;
		*p = '\n';
		memmove(p + 1, p + 4, strlen(p + 4) + 1);
	}
	if (*out)
		v->fn(v->arg, out);
}

static void visit_task(pid_t pid, void *arg)
{
	char path[64];
	_file_ FILE *f = NULL;
	_free_ char *line = NULL;
	size_t cap = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f && getline(&line, &cap, f) > 0)
		visit_mapping(arg, line);
}

int tasks_shared_files(const struct ve *ve, void (*fn)(void *arg, const char *path), void *arg,
		       struct err *err)
{
	struct visit v = {fn, arg};
	struct ve_run run;

	if (ve_run_open(ve, &run, err))
		return -1;
	each_below(run.cgroup_fd, 0, visit_task, &v);
	ve_run_close(&run);
	return 0;
}
