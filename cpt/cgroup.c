// SPDX-License-Identifier: GPL-2.0-only
/* Which cgroups the VE's tasks are in, and those the VE made below its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cpt/cpt.h"
#include "ve/node.h"

#define FILE_MAX_BYTES (1u << 20)

/* What of a group's path is below the VE's own: "" for that itself; NULL: the group is elsewhere. */
static const char *below_own(const struct cpt *c, const char *group)
{
	char own[96];
	size_t len;

	snprintf(own, sizeof(own), "/%s/%u", c->ve.node->cgroup, c->ve.id);
	len = strlen(own);
	for (const char *at = group; (at = strstr(at, own)); at += len)
		if (!at[len] || at[len] == '/')
			return at + len;
	return NULL;
}

/* A line of /proc/PID/cgroup: "0::/verst/101" of v2, "4:memory:/verst/101" of v1. */
static void check_group(struct cpt *c, const struct cpt_task *t, const char *controllers, const char *group)
{
	const char *below = below_own(c, group);
	char where[64];

	cpt_where(t, -1, where);
	if (*controllers && below && *below)
		findings_add(c->findings, where, "move it to the VE's own",
			     "it is in the cgroup %s of the v1 hierarchy %s", below, controllers);
	if (!*controllers && !below)
		findings_add(c->findings, where, "move it back", "it is not in the VE's cgroup, but in %s",
			     group);
	if (!*controllers && below && *below)
		findings_add(c->findings, where, "move it to the VE's own", "it is in the cgroup %s", below);
}

static int check_task(struct cpt *c, const struct cpt_task *t, struct err *err)
{
	char *save = NULL;
	struct buf text;

	if (io_read_file(t->proc_fd, "cgroup", FILE_MAX_BYTES, &text, err))
		return err->sys_errno == ENOENT || err->sys_errno == ESRCH ? 0 : -1;
	for (char *line = strtok_r((char *)text.at, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *words = strchr(line, ':'), *group = words ? strchr(words + 1, ':') : NULL;

		if (!group)
			continue;
		*group = 0;
		check_group(c, t, words + 1, group + 1);
	}
	buf_free(&text);
	return 0;
}

int cpt_cgroup_check(struct cpt *c, struct err *err)
{
	vec_each(t, &c->tasks)
		if (!t->zombie && check_task(c, t, err))
			return -1;
	return 0;
}

int cpt_cgroup_of(struct cpt *c, const struct cpt_task *t, char **ret, struct err *err)
{
	const char *below;
	char *line;
	struct buf text;
	int result = 0;

	if (io_read_file(t->proc_fd, "cgroup", FILE_MAX_BYTES, &text, err))
		return -1;
	line = strncmp((char *)text.at, "0::", 3) ? strstr((char *)text.at, "\n0::") : (char *)text.at - 1;
	if (line)
		line[1 + strcspn(line + 1, "\n")] = 0;
	below = line ? below_own(c, line + 4) : NULL;
	if (!below || *below)
		result = err_set(err, ERR_CHECKPOINT, "it is in the cgroup %s", line ? line + 4 : "?");
	else
		*ret = mem_strdup("/");
	buf_free(&text);
	return result;
}
