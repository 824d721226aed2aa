/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What root inside changed of the VE's own surroundings: host name, domain name, a tmpfs with content, a bind
 * mount, an address and a route on loopback, a setting of the network.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "tests/live/live.h"

static char tmpfs[PATH_MAX], bound[PATH_MAX];

static void put(const char *path, const char *text)
{
	int fd = DO(open(path, O_WRONLY | O_CREAT, 0640));

	DO(write(fd, text, strlen(text)));
	close(fd);
}

static const char *inside(const char *dir, const char *name)
{
	static char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* a second address on loopback, by the old interface: lo:1 */
static int set_address(const char *text)
{
	struct ifreq request = {.ifr_name = "lo:1"};
	struct sockaddr_in addr = {.sin_family = AF_INET};
	int fd = DO(socket(AF_INET, SOCK_DGRAM, 0)), result;

	inet_pton(AF_INET, text, &addr.sin_addr);
	memcpy(&request.ifr_addr, &addr, sizeof(addr));
	result = ioctl(fd, SIOCSIFADDR, &request);
	close(fd);
	return result;
}

static bool is_local(const char *text)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	int fd = DO(socket(AF_INET, SOCK_DGRAM, 0));
	bool is;

	inet_pton(AF_INET, text, &addr.sin_addr);
	is = !bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
	return is;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return sethostname("other", 5);
	case 2:
		return unlink(inside(tmpfs, "file"));
	case 3:
		return umount2(bound, MNT_DETACH);
	case 4:
		return set_address("11.99.0.2");
	case 5:
		return mount(NULL, tmpfs, NULL, MS_REMOUNT | MS_NOSUID, "size=2m");
	case 6:
		put("/proc/sys/net/ipv4/ip_default_ttl", "64");
		return 0;
	case 7:
		return symlink("other", inside(tmpfs, "more"));
	}
	return -1;
}

static void check_tmpfs(void)
{
	char text[64], link[64] = "";
	struct stat st;

	live_read_file(inside(tmpfs, "dir/inner"), text, sizeof(text));
	CHECK(!strcmp(text, "inner content"));
	if (access(inside(tmpfs, "file"), F_OK))
		live_fail("the tmpfs lost a file");
	else
		live_read_file(inside(tmpfs, "file"), text, sizeof(text));
	CHECK(!strcmp(text, "content"));
	CHECK(!stat(inside(tmpfs, "file"), &st) && (st.st_mode & 07777) == 0604 && st.st_uid == 33 &&
	      st.st_gid == 44);
	CHECK(readlink(inside(tmpfs, "link"), link, sizeof(link) - 1) == 4 && !strcmp(link, "file"));
	CHECK_ERRNO(access(inside(tmpfs, "more"), F_OK), ENOENT);
	CHECK(!stat(tmpfs, &st) && (st.st_mode & 07777) == 0751);
	CHECK(lstat(inside(tmpfs, "more"), &st) < 0);
}

static bool has_mount(const char *path, const char *option)
{
	static char text[65536];
	char *at;

	live_read_file("/proc/self/mountinfo", text, sizeof(text));
	for (char *line = strtok_r(text, "\n", &at); line; line = strtok_r(NULL, "\n", &at)) {
		char where[PATH_MAX];

		if (sscanf(line, "%*s %*s %*s %*s %4095s", where) == 1 && !strcmp(where, path) &&
		    strstr(line, option))
			return true;
	}
	return false;
}

int main(void)
{
	LIVE_FILE(bound_file, "bound/file");
	struct utsname uts;
	char text[64];

	snprintf(tmpfs, sizeof(tmpfs), "%s/%s.tmpfs", live_dir, live_name);
	snprintf(bound, sizeof(bound), "%s/%s.bound", live_dir, live_name);
	DO(sethostname("changed-inside", 14));
	DO(setdomainname("verst.test", 10));
	mkdir(tmpfs, 0755);
	mkdir(bound, 0755);
	DO(mount("live", tmpfs, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=751"));
	put(inside(tmpfs, "file"), "content");
	DO(chmod(inside(tmpfs, "file"), 0604));
	DO(chown(inside(tmpfs, "file"), 33, 44));
	mkdir(inside(tmpfs, "dir"), 0700);
	put(inside(tmpfs, "dir/inner"), "inner content");
	DO(symlink("file", inside(tmpfs, "link")));
	DO(mount(inside(tmpfs, "dir"), bound, NULL, MS_BIND, NULL));
	put("/proc/sys/net/ipv4/ip_default_ttl", "77");
	DO(set_address("10.99.0.1"));

	live_wait(sabotage);

	CHECK(!uname(&uts) && !strcmp(uts.nodename, "changed-inside") &&
	      !strcmp(uts.domainname, "verst.test"));
	check_tmpfs();
	CHECK(has_mount(tmpfs, "nosuid,nodev") && has_mount(tmpfs, "size=1024k"));
	CHECK(has_mount(bound, "tmpfs"));
	CHECK(!access(inside(bound, "inner"), R_OK) && access(bound_file, F_OK));
	CHECK(is_local("10.99.0.1"));
	CHECK(!is_local("11.99.0.2"));
	live_read_file("/proc/sys/net/ipv4/ip_default_ttl", text, sizeof(text));
	CHECK_EQ(atoi(text), 77);
	umount2(bound, MNT_DETACH);
	umount2(tmpfs, MNT_DETACH);
	return live_end();
}
