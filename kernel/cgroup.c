// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_MAX_BYTES (1 << 20)

/* A hierarchy nobody mounted where we can see it (a fresh mount of /sys hides them) is reached by a mount of
 * our own. */
static int open_v2_root(struct err *err)
{
	_file_ FILE *mounts = setmntent("/proc/self/mounts", "re");
	_fd_ int fs = -1;
	struct mntent *m;
	int fd;

	while (mounts && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup2") &&
		    (fd = open(m->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
			return fd;
	fs = fsopen("cgroup2", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ||
	    (fd = fsmount(fs, FSMOUNT_CLOEXEC, 0)) < 0)
		return err_sys(err, "cgroup v2");
	return fd;
}

/* "controllers" is one of the comma-separated words of options (of a mount, of /proc/PID/cgroup). */
static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)); at += len)
		if ((at == words || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

/* The options of a v1 mount without those that are no controllers. */
static char *controllers_of(const char *options)
{
	static const char *const other[] = {"rw",    "ro",     "relatime", "noatime",	     "nosuid",
					    "nodev", "noexec", "xattr",	   "clone_children", "noprefix"};
	_free_ char *copy = mem_strdup(options);
	char *ret = mem_alloc(strlen(options) + 1);
	char *save = NULL;

	for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		bool skip = !strncmp(word, "release_agent=", 14);

		for (size_t i = 0; i < ARRAY_LEN(other); i++)
			skip |= !strcmp(word, other[i]);
		if (skip)
			continue;
		if (*ret)
			strcat(ret, ",");
		strcat(ret, word);
	}
	return ret;
}

/* The group of a process in the hierarchy with these controllers ("" for v2), from /proc/PID/cgroup; NULL if
 * unknown. */
static char *group_of(pid_t pid, const char *controllers)
{
	struct err ignored = ERR_INIT;
	struct buf text = {0};
	char path[64], *save = NULL, *ret = NULL;
	char first[256];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (io_read_file(AT_FDCWD, path, FILE_MAX_BYTES, &text, &ignored))
		return NULL;
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(controllers, ","), controllers);
	for (char *line = strtok_r((char *)text.at, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *words = strchr(line, ':');
		char *group = words ? strchr(words + 1, ':') : NULL;

		if (!group)
			continue;
		*group++ = 0;
		if (*controllers ? has_word(words + 1, first) : !words[1]) {
			ret = mem_strdup(group);
			break;
		}
	}
	buf_free(&text);
	return ret;
}

/* One cgroup v1 mount: adds where the VE's directory is or will be. */
static void add_v1(struct cgroup *cg, const struct mntent *m)
{
	char *controllers = controllers_of(m->mnt_opts);
	_free_ char *own = has_word(controllers, "memory") ? group_of(getpid(), controllers) : NULL;
	struct cgroup_v1 *v1;
	char *path = mem_printf("%s%s/%s", m->mnt_dir, own && strcmp(own, "/") ? own : "", cg->name);

	vec_each(known, &cg->v1) {
		if (!strcmp(known->controllers, controllers)) {
			free(controllers);
			free(path);
			return;
		}
	}
	v1 = vec_add(&cg->v1);
	v1->path = path;
	v1->controllers = controllers;
}

static void find_v1(struct cgroup *cg)
{
	_file_ FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (mounts && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup"))
			add_v1(cg, m);
}

static void free_v1(struct cgroup_v1 *v1)
{
	free(v1->path);
	free(v1->controllers);
}

void cgroup_close(struct cgroup *cg)
{
	vec_each(v1, &cg->v1)
		free_v1(v1);
	vec_free(&cg->v1);
	free(cg->name);
	if (cg->v2_fd >= 0)
		close(cg->v2_fd);
	*cg = CGROUP_INIT;
}

int cgroup_open_v2(const char *node, const char *name, int *ret_fd, struct err *err)
{
	_fd_ int root = open_v2_root(err);
	char path[PATH_MAX];
	int fd;

	if (root < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/%s", node, name);
	fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cgroup %s", path);
	*ret_fd = fd;
	return 0;
}

/* What is available is passed on to the children: the VE's limits are set there. */
static void enable_controllers(int dir)
{
	struct err ignored = ERR_INIT;
	struct buf list = {0};
	char *save = NULL, text[64];

	if (io_read_file(dir, "cgroup.controllers", FILE_MAX_BYTES, &list, &ignored))
		return;
	for (char *word = strtok_r((char *)list.at, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		snprintf(text, sizeof(text), "+%s", word);
		if (io_write_file(dir, "cgroup.subtree_control", text, &ignored))
			log_debug("cgroup v2: controller %s stays off: %s", word, ignored.msg);
	}
	buf_free(&list);
}

static int remove_tree(int parent, const char *name, int depth);

/* The node's directory goes with its last VE; if that happens just now, once more. */
static int mkdir_v2(int root, const char *node, const char *path, struct err *err)
{
	for (int tries = 0;; tries++) {
		_fd_ int dir = -1;

		if (mkdirat(root, node, 0755) && errno != EEXIST)
			return err_sys(err, "cgroup v2: %s", node);
		dir = openat(root, node, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			enable_controllers(dir);
		if (!mkdirat(root, path, 0755))
			return 0;
		if (errno == EEXIST && (tries || remove_tree(root, path, 0)))
			return err_set(err, ERR_SYSTEM, "cgroup v2: %s has tasks in it", path);
		if ((errno != ENOENT && errno != EEXIST) || tries > 100)
			return err_sys(err, "cgroup v2: %s", path);
	}
}

/* cgroup-v2.rst, "Delegation Containment": these files and the directory itself, never the limits. */
static void delegate(int dir, uid_t owner)
{
	static const char *const files[] = {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};

	if (fchown(dir, owner, owner))
		log_debug("cgroup v2: chown: %m");
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (fchownat(dir, files[i], owner, owner, 0))
			log_debug("cgroup v2: chown %s: %m", files[i]);
}

/* A new v1 cpuset is empty, and nothing can run in it before it has cpus and nodes: the parent's. */
static void fill_cpuset(const char *path)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		_free_ char *from = mem_printf("%s/../%s", path, files[i]);
		_free_ char *to = mem_printf("%s/%s", path, files[i]);
		struct buf text = {0};

		if (io_read_file(AT_FDCWD, from, FILE_MAX_BYTES, &text, &ignored) ||
		    io_write_file(AT_FDCWD, to, (char *)text.at, &ignored))
			log_debug("cpuset: %s", ignored.msg);
		buf_free(&text);
	}
}

static int mkdir_v1(const struct cgroup_v1 *v1)
{
	bool cpuset = has_word(v1->controllers, "cpuset");
	_free_ char *parent = mem_strdup(v1->path);

	*strrchr(parent, '/') = 0;
	for (int tries = 0; tries < 100; tries++) {
		if (mkdir(parent, 0755) && errno != EEXIST)
			return -1;
		if (cpuset)
			fill_cpuset(parent);
		if (!mkdir(v1->path, 0755) || errno == EEXIST) {
			if (cpuset)
				fill_cpuset(v1->path);
			return 0;
		}
		if (errno != ENOENT)
			return -1;
	}
	return -1;
}

static void make_v1(struct cgroup *cg)
{
	size_t kept = 0;

	vec_each(v1, &cg->v1) {
		if (mkdir_v1(v1)) {
			log_warn("cgroup %s: not used: %s: %m", v1->controllers, v1->path);
			free_v1(v1);
			continue;
		}
		cg->v1.at[kept++] = *v1;
	}
	cg->v1.nr = kept;
}

int cgroup_make(struct cgroup *ret, const char *node, const char *name, uid_t owner, struct err *err)
{
	struct cgroup cg = {.v2_fd = -1};
	_fd_ int root = open_v2_root(err);

	if (root < 0)
		return -1;
	cg.name = mem_printf("%s/%s", node, name);
	enable_controllers(root);
	if (mkdir_v2(root, node, cg.name, err)) {
		cgroup_close(&cg);
		return -1;
	}
	cg.v2_fd = openat(root, cg.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cg.v2_fd < 0) {
		err_sys(err, "cgroup v2: %s", cg.name);
		unlinkat(root, cg.name, AT_REMOVEDIR);
		cgroup_close(&cg);
		return -1;
	}
	delegate(cg.v2_fd, owner);
	find_v1(&cg);
	make_v1(&cg);
	*ret = cg;
	return 0;
}

int cgroup_find(struct cgroup *ret, const char *node, const char *name, struct err *err)
{
	struct cgroup cg = {.v2_fd = -1};
	_fd_ int root = open_v2_root(err);

	if (root < 0)
		return -1;
	cg.name = mem_printf("%s/%s", node, name);
	cg.v2_fd = openat(root, cg.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	find_v1(&cg);
	*ret = cg;
	return 0;
}

void cgroup_add_v1(struct cgroup *cg, const char *controllers, const char *path)
{
	struct cgroup_v1 *v1 = vec_add(&cg->v1);

	v1->controllers = mem_strdup(controllers);
	v1->path = mem_strdup(path);
}

int cgroup_join(const struct cgroup *cg, struct err *err)
{
	if (io_write_file(cg->v2_fd, "cgroup.procs", "0", err))
		return err_ctx(err, "cgroup v2");
	vec_each(v1, &cg->v1) {
		_free_ char *procs = mem_printf("%s/cgroup.procs", v1->path);

		if (io_write_file(AT_FDCWD, procs, "0", err))
			return -1;
	}
	return 0;
}

/* v1's groups of the VE have no children that we care for; in v2 init may have moved itself (systemd:
 * init.scope). */
int cgroup_join_like(const struct cgroup *cg, pid_t pid, struct err *err)
{
	_free_ char *group = group_of(pid, "");
	const char *below = group ? strstr(group, cg->name) : NULL;
	_free_ char *procs = NULL;

	below = below ? below + strlen(cg->name) : "";
	procs = mem_printf("%s%scgroup.procs", *below == '/' ? below + 1 : "", *below == '/' ? "/" : "");
	if (io_write_file(cg->v2_fd, procs, "0", err))
		return err_ctx(err, "cgroup v2");
	vec_each(v1, &cg->v1) {
		_free_ char *path = mem_printf("%s/cgroup.procs", v1->path);

		if (io_write_file(AT_FDCWD, path, "0", err))
			return -1;
	}
	return 0;
}

int cgroup_is_frozen(int v2_fd)
{
	struct err ignored = ERR_INIT;
	struct buf text = {0};
	int frozen;

	if (io_read_file(v2_fd, "cgroup.events", FILE_MAX_BYTES, &text, &ignored))
		return 0;
	frozen = strstr((char *)text.at, "frozen 1") != NULL;
	buf_free(&text);
	return frozen;
}

int cgroup_thaw(int v2_fd, struct err *err)
{
	return io_write_file(v2_fd, "cgroup.freeze", "0", err) ? err_ctx(err, "thaw") : 0;
}

#define SPIN_NS 3000000

int cgroup_freeze(int v2_fd, int timeout_ms, struct err *err)
{
	int64_t began_ns = io_now_ns(), until_ns = began_ns + timeout_ms * 1000000LL,
		spin_until_ns = began_ns + SPIN_NS;
	_fd_ int events = openat(v2_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct pollfd p = {.fd = events, .events = POLLPRI};
	char text[128];

	if (events < 0)
		return err_sys(err, "cgroup.events");
	if (io_write_file(v2_fd, "cgroup.freeze", "1", err))
		return err_ctx(err, "freeze");
	for (;;) {
		ssize_t n = pread(events, text, sizeof(text) - 1, 0);
		int64_t left_ns = until_ns - io_now_ns();

		text[n > 0 ? n : 0] = 0;
		if (strstr(text, "frozen 1"))
			return 0;
		/* a notification can be 10 ms late (CGROUP_FILE_NOTIFY_MIN_INTV); tasks usually stop at once
		 */
		if (io_now_ns() < spin_until_ns) {
			sched_yield();
			continue;
		}
		if (left_ns <= 0 || poll(&p, 1, (int)(left_ns / 1000000) + 1) < 0)
			break;
	}
	io_write_file(v2_fd, "cgroup.freeze", "0", err);
	return err_set(err, ERR_SYSTEM, "freeze: some tasks did not stop within %d ms", timeout_ms);
}

int cgroup_kill(int v2_fd, struct err *err)
{
	return io_write_file(v2_fd, "cgroup.kill", "1", err) ? err_ctx(err, "kill") : 0;
}

static unsigned count_below(int dir, int depth)
{
	struct err ignored = ERR_INIT;
	struct buf text = {0};
	unsigned nr = 0;
	_dir_ DIR *d = NULL;
	struct dirent *e;
	int fd;

	if (!io_read_file(dir, "cgroup.threads", 64 << 20, &text, &ignored))
		for (size_t i = 0; i < text.len_bytes; i++)
			nr += text.at[i] == '\n';
	buf_free(&text);
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd >= 0 ? fdopendir(fd) : NULL;
	while (d && depth < 32 && (e = readdir(d))) {
		_fd_ int sub = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			nr += count_below(sub, depth + 1);
	}
	return nr;
}

unsigned cgroup_count_tasks(int v2_fd)
{
	return count_below(v2_fd, 0);
}

/* rmdir from the leaves up; files of a cgroup directory vanish with it. */
static int remove_tree(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_dir_ DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (d && depth < 64 && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			remove_tree(fd, e->d_name, depth + 1);
	if (!unlinkat(parent, name, AT_REMOVEDIR) || errno == ENOENT)
		return 0;
	return -1;
}

/* The last tasks may still be on their way out: their exit releases the directory. */
static void remove_patiently(int dirfd, const char *path)
{
	struct timespec pause = {.tv_nsec = 2000000};

	for (int tries = 0; remove_tree(dirfd, path, 0); tries++) {
		if (errno != EBUSY || tries == 500) {
			log_warn("cgroup %s stays: %m", path);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

void cgroup_remove(const struct cgroup *cg)
{
	struct err ignored = ERR_INIT;
	_fd_ int root = open_v2_root(&ignored);
	_free_ char *node = mem_strdup(cg->name);

	*strchr(node, '/') = 0;
	if (root >= 0) {
		remove_patiently(root, cg->name);
		unlinkat(root, node, AT_REMOVEDIR);
	}
	vec_each(v1, &cg->v1) {
		_free_ char *parent = mem_strdup(v1->path);

		remove_patiently(AT_FDCWD, v1->path);
		*strrchr(parent, '/') = 0;
		rmdir(parent);
	}
}
