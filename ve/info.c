// SPDX-License-Identifier: GPL-2.0-only
#include "ve/info.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "facts/proc.h"
#include "ve/net.h"
#include "ve/node.h"

void ve_info_close(struct ve_info *info)
{
	vec_free(&info->addrs);
	cgroup_close(&info->cgroup);
}

static void put(struct ve_conf *conf, const char *key, const char *fmt, ...)
{
	char text[PATH_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ve_conf_set(conf, key, text);
}

int ve_info_write(const struct ve *ve, const struct ve_info *info, struct err *err)
{
	struct ve_conf conf = {0};
	_free_ char *addrs = ve_net_print(&info->addrs);
	_free_ char *text = NULL;
	char path[PATH_MAX];

	put(&conf, "INIT", "%d %" PRIu64, (int)info->init.pid, info->init.start_ticks);
	put(&conf, "SUPERVISOR", "%d %" PRIu64, (int)info->supervisor.pid, info->supervisor.start_ticks);
	put(&conf, "UID_BASE", "%u", info->uid_base);
	put(&conf, "CONSOLE", "%u %u", info->console_major, info->console_minor);
	put(&conf, "OFFSETS", "%" PRId64 " %" PRId64, info->monotonic_offset_ns, info->boottime_offset_ns);
	put(&conf, "STARTED", "%" PRId64, info->started_s);
	put(&conf, "VENET", "%s", info->venet_host);
	put(&conf, "IP_ADDRESS", "%s", addrs);
	for (size_t i = 0; i < info->cgroup.v1.nr; i++) {
		char key[32];

		snprintf(key, sizeof(key), "CGROUP_V1_%zu", i);
		put(&conf, key, "%s %s", info->cgroup.v1.at[i].controllers, info->cgroup.v1.at[i].path);
	}
	text = ve_conf_print(&conf);
	ve_conf_free(&conf);
	ve_node_path(path, ve->node->run, "%u/info", ve->id);
	return io_replace_file(AT_FDCWD, path, text, strlen(text), 0644, err);
}

static const char *get(const struct ve_conf *conf, const char *key)
{
	const char *value = ve_conf_get(conf, key);

	return value ? value : "";
}

static void take_cgroups(struct ve_info *info, const struct ve_conf *conf)
{
	for (size_t i = 0;; i++) {
		_free_ char *controllers = NULL;
		const char *value, *blank;
		char key[32];

		snprintf(key, sizeof(key), "CGROUP_V1_%zu", i);
		value = ve_conf_get(conf, key);
		blank = value ? strchr(value, ' ') : NULL;
		if (!blank)
			return;
		controllers = mem_printf("%.*s", (int)(blank - value), value);
		cgroup_add_v1(&info->cgroup, controllers, blank + 1);
	}
}

int ve_info_read(const struct ve *ve, struct ve_info *ret, struct err *err)
{
	struct ve_info info = {.cgroup = CGROUP_INIT};
	struct ve_conf conf;
	char path[PATH_MAX];
	bool whole;

	ve_node_path(path, ve->node->run, "%u/info", ve->id);
	if (access(path, F_OK))
		return err_set(err, ERR_NOT_RUNNING, "VE %u is not running", ve->id);
	if (ve_node_read_conf(path, &conf, err))
		return -1;
	whole = sscanf(get(&conf, "INIT"), "%d %" SCNu64, &info.init.pid, &info.init.start_ticks) == 2 &&
		sscanf(get(&conf, "SUPERVISOR"), "%d %" SCNu64, &info.supervisor.pid,
		       &info.supervisor.start_ticks) == 2 &&
		sscanf(get(&conf, "UID_BASE"), "%u", &info.uid_base) == 1 &&
		sscanf(get(&conf, "CONSOLE"), "%u %u", &info.console_major, &info.console_minor) == 2 &&
		sscanf(get(&conf, "OFFSETS"), "%" SCNd64 " %" SCNd64, &info.monotonic_offset_ns,
		       &info.boottime_offset_ns) == 2 &&
		sscanf(get(&conf, "STARTED"), "%" SCNd64, &info.started_s) == 1 &&
		!ve_net_addrs(&conf, &info.addrs, err);
	snprintf(info.venet_host, sizeof(info.venet_host), "%s", get(&conf, "VENET"));
	info.cgroup.name = mem_printf("%s/%u", ve->node->cgroup, ve->id);
	take_cgroups(&info, &conf);
	ve_conf_free(&conf);
	if (!whole) {
		ve_info_close(&info);
		return err_set(err, ERR_SYSTEM, "%s is damaged", path);
	}
	*ret = info;
	return 0;
}

int ve_info_identify(pid_t pid, struct ve_process *ret, struct err *err)
{
	struct proc_stat stat;
	char path[64];
	_fd_ int proc = -1;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return err_sys(err, "%s", path);
	if (proc_stat_read(proc, &stat, err))
		return -1;
	*ret = (struct ve_process){pid, stat.start_ticks};
	return 0;
}

int ve_info_pidfd(const struct ve_process *process)
{
	struct err ignored = ERR_INIT;
	struct ve_process now;
	_fd_ int fd = pidfd_open(process->pid, 0);

	/* Looked at after the descriptor holds it: from then on the pid cannot come to mean another. */
	if (fd < 0 || ve_info_identify(process->pid, &now, &ignored) ||
	    now.start_ticks != process->start_ticks)
		return -1;
	return fd_take(&fd);
}

bool ve_info_alive(const struct ve_process *process)
{
	_fd_ int fd = ve_info_pidfd(process);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, 0) == 0;
}
