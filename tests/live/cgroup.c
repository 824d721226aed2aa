/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cgroups that root made below the VE's own: a process with a thread in one, its child in the next, an empty
 * one that is frozen; owners, modes, limits, attributes of them. A process that is in none of them stays
 * where it was.
 */
#include <pthread.h>
#include <sys/xattr.h>

#include "tests/live/live.h"

static char own[256];  /* what /proc/self/cgroup says of v2 */
static char base[512]; /* where that is mounted, and below it */

/* "0::/path" of a process */
static void group_of(const char *proc, char *ret, size_t len_bytes)
{
	static __thread char text[8192];
	char *line;

	live_read_file(proc, text, sizeof(text));
	line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text - 1;
	if (!line)
		live_skip("no cgroup v2");
	line[1 + strcspn(line + 1, "\n")] = '\0';
	snprintf(ret, len_bytes, "%s", line + 4);
}

static void find_base(void)
{
	static char mounts[65536];
	char *save, where[PATH_MAX] = "";

	group_of("/proc/self/cgroup", own, sizeof(own));
	live_read_file("/proc/self/mounts", mounts, sizeof(mounts));
	for (char *line = strtok_r(mounts, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strstr(line, " cgroup2 ") && sscanf(line, "%*s %255s", where) == 1)
			break;
	if (!*where)
		live_skip("no cgroup v2");
	snprintf(base, sizeof(base), "%.200s%.200s/live-%d", where, strcmp(own, "/") ? own : "",
		 (int)getpid());
}

static const char *at(const char *name)
{
	static __thread char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", base, name);
	return path;
}

static int put(const char *name, const char *text)
{
	int fd = open(at(name), O_WRONLY | O_CLOEXEC), result;

	if (fd < 0)
		return -1;
	result = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return result;
}

static bool reads(const char *name, const char *should)
{
	char text[4096];

	live_read_file(at(name), text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	return !strcmp(text, should);
}

static bool is_owned(const char *name, unsigned uid, unsigned gid, unsigned mode)
{
	struct stat st;

	return !stat(at(name), &st) && st.st_uid == uid && st.st_gid == gid && (st.st_mode & 07777) == mode;
}

/* The process, or one of its threads, is in the group below base. */
static bool is_in(const char *proc, const char *name)
{
	char is[512], should[512];

	group_of(proc, is, sizeof(is));
	snprintf(should, sizeof(should), "%s%s%s", strcmp(own, "/") ? own : "", strrchr(base, '/'), name);
	return !strcmp(is, should);
}

static void *thread(void *arg)
{
	live_go();
	CHECK(is_in("/proc/thread-self/cgroup", "/a"));
	return arg;
}

/* in /a with a thread; its own child in /a/b */
static void child(void)
{
	pthread_t t;
	pid_t pid;

	DO(put("/a/cgroup.procs", "0"));
	if (pthread_create(&t, NULL, thread, NULL))
		live_die("thread");
	pid = live_fork();
	if (!pid) {
		DO(put("/a/b/cgroup.procs", "0"));
		live_child_ready();
		live_go();
		CHECK(is_in("/proc/self/cgroup", "/a/b"));
		live_child_end();
	}
	live_child_ready();
	live_go();
	CHECK(is_in("/proc/self/cgroup", "/a"));
	pthread_join(t, NULL);
	live_reap(pid);
	live_child_end();
}

static pid_t in_a;

/* On the host they would stay. */
static void remove_all(void)
{
	put("/cgroup.kill", "1");
	waitpid(in_a, NULL, 0);
	while (rmdir(at("/a/b")) && errno == EBUSY)
		poll(NULL, 0, 1);
	rmdir(at("/a"));
	rmdir(at("/empty"));
	rmdir(base);
}

static int sabotage(int nr)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)in_a);
	switch (nr) {
	case 1:
		return put("/../cgroup.procs", pid);
	case 2:
		return put("/a/b/cgroup.procs", pid);
	case 3:
		return put("/empty/cgroup.freeze", "0");
	case 4:
		return rmdir(at("/empty"));
	case 5:
		return put("/a/cgroup.max.depth", "max");
	case 6:
		return put("/empty/cgroup.max.descendants", "max");
	case 7:
		return chown(at("/a"), 0, 0);
	case 8:
		return chmod(at("/a"), 0755);
	case 9:
		return chown(at("/a/cgroup.procs"), 0, 0);
	case 10:
		return chmod(at("/a/cgroup.threads"), 0644);
	case 11:
		return removexattr(at("/a/b"), "user.live");
	case 12:
		return put("/a/cgroup.procs", "0");
	}
	remove_all();
	return -1;
}

static void make(void)
{
	if (mkdir(base, 0755)) {
		if (errno == EACCES || errno == EROFS || errno == EPERM)
			live_skip("no cgroup can be made here");
		live_die("%s: %s", base, strerror(errno));
	}
	DO(mkdir(at("/a"), 0755));
	DO(mkdir(at("/a/b"), 0755));
	DO(mkdir(at("/empty"), 0755));
	DO(put("/a/cgroup.max.depth", "3"));
	DO(put("/empty/cgroup.max.descendants", "7"));
	DO(put("/empty/cgroup.freeze", "1"));
	DO(chown(at("/a"), 1000, 1001));
	DO(chmod(at("/a"), 0750));
	DO(chown(at("/a/cgroup.procs"), 1000, 1001));
	DO(chmod(at("/a/cgroup.threads"), 0600));
	DO(setxattr(at("/a/b"), "user.live", "attribute", 9, 0));
}

static void check(void)
{
	char value[16] = "", now[256];

	group_of("/proc/self/cgroup", now, sizeof(now));
	CHECK(!strcmp(now, own));
	CHECK(is_owned("/a", 1000, 1001, 0750));
	CHECK(is_owned("/a/cgroup.procs", 1000, 1001, 0644));
	CHECK(is_owned("/a/cgroup.threads", 0, 0, 0600));
	CHECK(is_owned("/a/cgroup.subtree_control", 0, 0, 0644));
	CHECK(is_owned("/a/b", 0, 0, 0755));
	CHECK(is_owned("/a/b/cgroup.kill", 0, 0, 0200));
	CHECK(getxattr(at("/a/b"), "user.live", value, sizeof(value)) == 9 && !strcmp(value, "attribute"));
	CHECK(reads("/a/cgroup.max.depth", "3"));
	CHECK(reads("/a/b/cgroup.max.depth", "max"));
	CHECK(reads("/a/cgroup.freeze", "0"));
	CHECK(!access(at("/empty"), F_OK));
	if (!access(at("/empty"), F_OK)) {
		CHECK(reads("/empty/cgroup.max.descendants", "7"));
		CHECK(reads("/empty/cgroup.freeze", "1"));
	}
}

static void clean_up(void)
{
	put("/../cgroup.procs", "0");
	rmdir(at("/empty"));
	CHECK(!rmdir(at("/a/b")));
	CHECK(!rmdir(at("/a")));
	CHECK(!rmdir(base));
}

int main(void)
{
	find_base();
	make();
	in_a = live_fork();
	if (!in_a)
		child();

	live_wait(sabotage);

	live_reap(in_a);
	check();
	clean_up();
	return live_end();
}
