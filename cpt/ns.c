// SPDX-License-Identifier: GPL-2.0-only
/* The VE's namespaces: one of each kind, hostname, POSIX queues. Mounts are in cpt/mount.c, the network
 * in cpt/netns.c, System V IPC in cpt/ipc.c. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "cpt/cpt.h"
#include "cpt/ns.h"

static const struct {
	const char *file, *what;
} namespaces[] = {
	{"ns/pid", "pid"}, {"ns/mnt", "mount"}, {"ns/net", "network"},	 {"ns/ipc", "ipc"},
	{"ns/uts", "uts"}, {"ns/user", "user"}, {"ns/cgroup", "cgroup"}, {"ns/time", "time"},
};

/* Runs fn with this thread in the namespace of that file of the VE's init. */
static int in_namespace(struct cpt *c, const char *file, int (*fn)(struct cpt *c, struct err *err),
			struct err *err)
{
	char own[64];
	_fd_ int there = openat(c->tasks.at[0].proc_fd, file, O_RDONLY | O_CLOEXEC);
	_fd_ int back = -1;
	int ret;

	snprintf(own, sizeof(own), "/proc/thread-self/%s", file);
	back = open(own, O_RDONLY | O_CLOEXEC);
	if (there < 0 || back < 0)
		return err_sys(err, "%s", file);
	if (setns(there, 0))
		return err_sys(err, "setns %s", file);
	ret = fn(c, err);
	if (setns(back, 0))
		return err_sys(err, "setns back from %s", file);
	return ret;
}

/* A namespace that a task entered or made itself. */
static int check_nested(struct cpt *c, struct err *err)
{
	ino_t init[ARRAY_LEN(namespaces)];

	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
		struct stat st;

		if (fstatat(c->tasks.at[0].proc_fd, namespaces[i].file, &st, 0))
			return err_sys(err, "%s", namespaces[i].file);
		init[i] = st.st_ino;
	}
	vec_each(t, &c->tasks) {
		for (size_t i = 0; !t->zombie && i < ARRAY_LEN(namespaces); i++) {
			char where[64];
			struct stat st;

			if (!fstatat(t->proc_fd, namespaces[i].file, &st, 0) && st.st_ino != init[i])
				findings_add(c->findings, cpt_where(t, -1, where), NULL,
					     "it is in a %s namespace of its own", namespaces[i].what);
		}
	}
	return 0;
}

static int check_mqueue(struct cpt *c)
{
	int fd = openat(c->run.root_fd, "dev/mqueue", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			findings_add(c->findings, "ipc namespace", NULL, "POSIX message queue /%s",
				     e->d_name);
	return 0;
}

int cpt_ns_check(struct cpt *c, struct err *err)
{
	return check_nested(c, err) || cpt_ipc_check(c, err) || check_mqueue(c) || cpt_mount_check(c, err) ||
			       cpt_netns_check(c, err)
		       ? -1
		       : 0;
}

static int collect_uts(struct cpt *c, struct err *err)
{
	struct ve_obj *ve = &c->m.ve.at[0];
	struct utsname uts;

	if (uname(&uts))
		return err_sys(err, "uname");
	free(ve->hostname);
	free(ve->domainname);
	ve->hostname = mem_strdup(uts.nodename);
	ve->domainname = mem_strdup(uts.domainname);
	return 0;
}

int cpt_ns_collect(struct cpt *c, struct err *err)
{
	return in_namespace(c, "ns/uts", collect_uts, err) || cpt_ipc_collect(c, err) ||
			       cpt_mount_collect(c, err) || cpt_netns_collect(c, err)
		       ? -1
		       : 0;
}
