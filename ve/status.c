// SPDX-License-Identifier: GPL-2.0-only
/* What there is to say of VEs: status and list. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "kernel/cgroup.h"
#include "ve/ctl.h"
#include "ve/info.h"
#include "ve/node.h"
#include "ve/wire.h"

void verst_status_free(struct verst_status *s)
{
	free(s->name);
	free(s->hostname);
	free(s->ip);
	free(s->template_name);
	free(s->description);
	*s = (struct verst_status){0};
}

static char *value_of(const struct ve *ve, const char *key)
{
	const char *value = ve_conf_get(&ve->conf, key);

	return mem_strdup(value ? value : "");
}

static bool is_mounted(const struct ve *ve)
{
	char path[PATH_MAX];
	struct statx sx;

	ve_path_root(ve, path);
	return !statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &sx) &&
	       sx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static void fill(const struct ve *ve, struct verst_status *s)
{
	const char *onboot = ve_conf_get(&ve->conf, "ONBOOT");
	struct err ignored = ERR_INIT;
	struct ve_run run;
	struct ve_info info;

	*s = (struct verst_status){
		.id = ve->id,
		.exists = true,
		.mounted = is_mounted(ve),
		.onboot = onboot && !strcmp(onboot, "yes"),
		.name = value_of(ve, "NAME"),
		.hostname = value_of(ve, "HOSTNAME"),
		.ip = value_of(ve, "IP_ADDRESS"),
		.template_name = value_of(ve, "OSTEMPLATE"),
		.description = value_of(ve, "DESCRIPTION"),
	};
	if (ve_run_open(ve, &run, &ignored))
		return;
	s->running = true;
	s->init_pid = run.init_pid;
	s->frozen = cgroup_is_frozen(run.cgroup_fd);
	s->nr_tasks = cgroup_count_tasks(run.cgroup_fd);
	ve_run_close(&run);
	if (ve_info_read(ve, &info, &ignored))
		return;
	s->uptime_s = time(NULL) - info.started_s;
	ve_info_close(&info);
}

int verst_status(struct verst *v, const char *id_or_name, struct verst_status *ret, struct err *err)
{
	struct ve ve;
	char *end;

	if (ve_open(&v->node, id_or_name, false, &ve, err)) {
		unsigned id = ve_node_parse_id(id_or_name, &end);

		if (err->code != ERR_NO_CONFIG || !id || *end)
			return -1;
		err_clear(err);
		*ret = (struct verst_status){.id = id,
					     .name = mem_strdup(""),
					     .hostname = mem_strdup(""),
					     .ip = mem_strdup(""),
					     .template_name = mem_strdup(""),
					     .description = mem_strdup("")};
		return 0;
	}
	fill(&ve, ret);
	ve_close(&ve);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

int verst_list(struct verst *v, struct verst_status **ret, size_t *ret_nr, struct err *err)
{
	struct verst_status *list;
	struct ve_ids ids;
	size_t nr = 0;

	if (ve_node_ids(&v->node, &ids, err))
		return -1;
	vec_sort(&ids, by_number);
	list = mem_alloc((ids.nr + 1) * sizeof(*list));
	vec_each(id, &ids) {
		struct err ignored = ERR_INIT;
		char number[16];
		struct ve ve;

		snprintf(number, sizeof(number), "%u", *id);
		if (ve_open(&v->node, number, false, &ve, &ignored)) {
			if (ignored.code != ERR_NO_CONFIG)
				log_warn("%s", ignored.msg);
			continue;
		}
		fill(&ve, &list[nr++]);
		ve_close(&ve);
	}
	vec_free(&ids);
	*ret = list;
	*ret_nr = nr;
	return 0;
}

int verst_console(struct verst *v, const char *id_or_name, int *ret_fd, struct err *err)
{
	struct ve ve;
	int fd = -1, r;

	if (ve_open(&v->node, id_or_name, false, &ve, err))
		return -1;
	r = ve_ctl_connect(&ve, &fd, err) || wire_call(fd, WIRE_CONSOLE, 0, 10000, err) ? -1 : 0;
	ve_close(&ve);
	if (r)
		cleanup_fd(&fd);
	else
		*ret_fd = fd;
	return r;
}
