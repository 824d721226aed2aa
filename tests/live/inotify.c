/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inotify queues: watches on directories, files, a renamed file, a symbolic link, the program itself, a
 * tmpfs; numbers with gaps between them; once only, without waiting, shared by two processes, in an epoll
 * set. What is done meanwhile with the files must not be reported, what is done afterwards must.
 */
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "tests/live/live.h"

static char dir[PATH_MAX], dir_file[PATH_MAX], moved[PATH_MAX], second[PATH_MAX], symlink_path[PATH_MAX],
	shm[] = "/dev/shm/live-inotify.XXXXXX", shm_file[PATH_MAX];
static int many, all, shared, set, kept; /* `kept`: an open file in the directory */
static int wd_dir, wd_file, wd_link, wd_shm, wd_self, wd_moved, wd_once;

static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 ? -1 : write(fd, "text", 4) != 4 ? -1 : fd;
}

static int unread(int fd)
{
	int bytes = -1;

	ioctl(fd, FIONREAD, &bytes);
	return bytes;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return dup2(DO(inotify_init1(IN_NONBLOCK)), many) < 0;
	case 2:
		return inotify_rm_watch(many, wd_dir);
	case 3:
		return inotify_add_watch(many, dir_file, IN_ATTRIB) < 0;
	case 4:
		close(DO(open(dir_file, O_RDONLY)));
		return unread(all) <= 0;
	case 5:
		return fcntl(many, F_SETFL, 0);
	case 6:
		return epoll_ctl(set, EPOLL_CTL_DEL, many, NULL);
	case 7:
		return inotify_rm_watch(all, wd_once);
	case 8:
		return dup2(DO(inotify_init1(0)), shared) < 0;
	case 9:
		return inotify_add_watch(all, second, IN_MODIFY) < 0; /* for ever, and not once */
	}
	rmdir(shm);
	return -1;
}

/* Watches that come and go: the next one has a higher number. */
static void skip_numbers(int fd, int nr)
{
	char events[4096];

	for (int i = 0; i < nr; i++) {
		DO(inotify_rm_watch(fd, DO(inotify_add_watch(fd, second, IN_ATTRIB))));
		while (unread(fd) > 0)
			DO(read(fd, events, sizeof(events)));
	}
}

static void make_files(void)
{
	char old[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/%s.dir", live_dir, live_name);
	snprintf(dir_file, sizeof(dir_file), "%.4000s/file", dir);
	snprintf(moved, sizeof(moved), "%.4000s/moved", dir);
	snprintf(second, sizeof(second), "%.4000s/second", dir);
	snprintf(symlink_path, sizeof(symlink_path), "%.4000s/link", dir);
	snprintf(old, sizeof(old), "%.4000s/old", dir);
	if (mkdir(dir, 0755) && errno != EEXIST)
		live_die("%s: %s", dir, strerror(errno));
	unlink(symlink_path);
	kept = DO(make_file(dir_file));
	close(DO(make_file(second)));
	close(DO(make_file(old)));
	DO(symlink("nowhere", symlink_path));
	wd_moved = DO(inotify_add_watch(all, old, IN_ALL_EVENTS));
	DO(rename(old, moved));
	if (!mkdtemp(shm))
		live_die("%s: %s", shm, strerror(errno));
	snprintf(shm_file, sizeof(shm_file), "%s/file", shm);
}

static void make(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 5};
	char events[4096];

	many = DO(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	all = DO(inotify_init1(IN_NONBLOCK));
	shared = DO(inotify_init1(0));
	make_files();
	skip_numbers(many, 3);
	wd_dir = DO(inotify_add_watch(many, dir, IN_CREATE | IN_DELETE | IN_CLOSE_WRITE));
	skip_numbers(many, 20);
	wd_file = DO(inotify_add_watch(many, dir_file, IN_MODIFY));
	wd_link = DO(inotify_add_watch(many, symlink_path, IN_DELETE_SELF | IN_DONT_FOLLOW));
	wd_shm = DO(inotify_add_watch(many, shm, IN_CREATE | IN_EXCL_UNLINK));
	wd_self = DO(inotify_add_watch(all, "/proc/self/exe", IN_OPEN | IN_ACCESS | IN_ATTRIB));
	DO(inotify_add_watch(all, dir_file, IN_ALL_EVENTS));
	wd_once = DO(inotify_add_watch(all, second, IN_MODIFY | IN_ONESHOT));
	DO(inotify_add_watch(shared, dir, IN_CREATE));
	set = DO(epoll_create1(EPOLL_CLOEXEC));
	DO(epoll_ctl(set, EPOLL_CTL_ADD, many, &event));
	while (unread(all) > 0)
		DO(read(all, events, sizeof(events)));
}

/* The next event, as it should be. */
static void expect(int fd, int wd, uint32_t mask, const char *name, unsigned line)
{
	static struct {
		int fd;
		size_t at, len;
		char data[8192] __attribute__((aligned(8)));
	} read_ahead;
	const struct inotify_event *e;
	ssize_t len;

	if (read_ahead.at == read_ahead.len) {
		len = unread(fd) > 0 ? read(fd, read_ahead.data, sizeof(read_ahead.data)) : 0;
		if (len <= 0) {
			live_fail("line %u: no event", line);
			return;
		}
		read_ahead.fd = fd;
		read_ahead.at = 0;
		read_ahead.len = (size_t)len;
	}
	e = (const void *)(read_ahead.data + read_ahead.at);
	read_ahead.at += sizeof(*e) + e->len;
	if (read_ahead.fd != fd || e->wd != wd || e->mask != mask || strcmp(e->len ? e->name : "", name))
		live_fail("line %u: event %x of watch %d, \"%s\"", line, e->mask, e->wd,
			  e->len ? e->name : "");
}
#define EXPECT(fd, wd, mask, name) expect(fd, wd, mask, name, __LINE__)

static void check_many(void)
{
	struct epoll_event event = {0};
	char path[PATH_MAX];
	int fd;

	CHECK_EQ(fcntl(many, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(many, F_GETFD), FD_CLOEXEC);
	if (fcntl(many, F_GETFL) & O_NONBLOCK) /* else it would wait */
		CHECK_ERRNO(read(many, path, sizeof(path)), EAGAIN);
	CHECK_EQ(epoll_wait(set, &event, 1, 0), 0);
	snprintf(path, sizeof(path), "%.4000s/new", dir);
	close(make_file(path));
	CHECK_EQ(write(kept, "more", 4), 4);
	CHECK_EQ(epoll_wait(set, &event, 1, 0), 1);
	CHECK_EQ(event.data.u64, 5);
	EXPECT(many, wd_dir, IN_CREATE, "new");
	EXPECT(many, wd_dir, IN_CLOSE_WRITE, "new");
	EXPECT(many, wd_file, IN_MODIFY, "");
	CHECK_EQ(unread(many), 0);
	unlink(symlink_path);
	EXPECT(many, wd_link, IN_DELETE_SELF, "");
	EXPECT(many, wd_link, IN_IGNORED, "");
	EXPECT(many, wd_dir, IN_DELETE, "link");
	fd = make_file(shm_file);
	close(fd);
	EXPECT(many, wd_shm, IN_CREATE, "file");
	/* the next number is one that nobody has */
	CHECK(inotify_add_watch(many, moved, IN_OPEN) > wd_shm);
	unlink(path);
}

static void check_all(void)
{
	int fd;

	EXPECT(all, 3, IN_MODIFY, ""); /* by check_many */
	CHECK_EQ(unread(all), 0);
	fd = open(moved, O_RDONLY);
	close(fd);
	EXPECT(all, wd_moved, IN_OPEN, "");
	EXPECT(all, wd_moved, IN_CLOSE_NOWRITE, "");
	fd = open("/proc/self/exe", O_RDONLY);
	EXPECT(all, wd_self, IN_OPEN, "");
	close(fd);
	fd = open(second, O_WRONLY);
	CHECK_EQ(write(fd, "a", 1), 1);
	CHECK_EQ(write(fd, "b", 1), 1);
	close(fd);
	EXPECT(all, wd_once, IN_MODIFY, "");
	EXPECT(all, wd_once, IN_IGNORED, "");
	CHECK_EQ(unread(all), 0);
}

static void child(void)
{
	char path[PATH_MAX];

	live_child_ready();
	live_go();
	snprintf(path, sizeof(path), "%.4000s/by-child", dir);
	CHECK_EQ(mkdir(path, 0755), 0);
	rmdir(path);
	live_child_end();
}

int main(void)
{
	char event[4096] __attribute__((aligned(8)));
	pid_t pid;

	make();
	pid = live_fork();
	if (!pid)
		child();
	live_wait(sabotage);

	CHECK_EQ(unread(all), 0);
	live_reap(pid);
	CHECK(unread(shared) > 0 && read(shared, event, sizeof(event)) > 0);
	CHECK(!strcmp(((struct inotify_event *)event)->name, "by-child"));
	CHECK_EQ(((struct inotify_event *)event)->mask, IN_CREATE | IN_ISDIR);
	EXPECT(many, wd_dir, IN_CREATE | IN_ISDIR, "by-child");
	EXPECT(many, wd_dir, IN_DELETE | IN_ISDIR, "by-child");
	check_many();
	check_all();
	unlink(shm_file);
	rmdir(shm);
	return live_end();
}
