// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "ve/template.h"
#include "ve/tool.h"

#define BUSYBOX "/bin/busybox"

static const struct {
	const char *path;
	mode_t mode;
} dirs[] = {
	{"bin", 0755},	     {"sbin", 0755},	  {"usr", 0755},	   {"usr/bin", 0755},
	{"usr/sbin", 0755},  {"etc", 0755},	  {"etc/init.d", 0755},	   {"dev", 0755},
	{"proc", 0755},	     {"sys", 0755},	  {"run", 0755},	   {"tmp", 01777},
	{"root", 0700},	     {"home", 0755},	  {"mnt", 0755},	   {"srv", 0755},
	{"var", 0755},	     {"var/log", 0755},	  {"var/lib", 0755},	   {"var/tmp", 01777},
	{"var/spool", 0755}, {"usr/local", 0755}, {"usr/local/bin", 0755},
};

static const struct {
	const char *path;
	mode_t mode;
	const char *text;
} files[] = {
	{"etc/passwd", 0644,
	 "root:x:0:0:root:/root:/bin/sh\n"
	 "daemon:x:1:1:daemon:/:/bin/false\n"
	 "nobody:x:65534:65534:nobody:/:/bin/false\n"},
	{"etc/group", 0644, "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n"},
	{"etc/shadow", 0600, "root:*:19000:0:99999:7:::\n"},
	{"etc/shells", 0644, "/bin/sh\n/bin/ash\n"},
	{"etc/hosts", 0644, "127.0.0.1 localhost\n"},
	{"etc/hostname", 0644, "localhost\n"},
	{"etc/resolv.conf", 0644, ""},
	{"etc/profile", 0644, "export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"},
	{"etc/inittab", 0644,
	 "# busybox init. A service that must run for ever: ::respawn:/path/to/program\n"
	 "::sysinit:/etc/init.d/rcS\n"
	 "::ctrlaltdel:/sbin/reboot\n"
	 "::shutdown:/etc/init.d/rcK\n"},
	{"etc/init.d/rcS", 0755,
	 "#!/bin/sh\n"
	 "# Runs once at the start: every /etc/init.d/S* in order.\n"
	 "for s in /etc/init.d/S*; do\n"
	 "\t[ -x \"$s\" ] && \"$s\" start\n"
	 "done\n"},
	{"etc/init.d/rcK", 0755,
	 "#!/bin/sh\n"
	 "# Runs once at the end.\n"
	 "for s in /etc/init.d/S*; do\n"
	 "\t[ -x \"$s\" ] && \"$s\" stop\n"
	 "done\n"},
};

/* A program interpreter means shared libraries, which the template has not. */
static int check_static(struct err *err)
{
	const char *const argv[] = {"readelf", "--program-headers", "--wide", BUSYBOX, NULL};
	struct buf out = {0};
	int r;

	if (access(BUSYBOX, X_OK))
		return err_set(err, ERR_TEMPLATE, "there is no %s: install the package busybox-static",
			       BUSYBOX);
	if (tool_run(argv, -1, &out, err))
		return 0;
	r = strstr((char *)out.at, "INTERP") != NULL;
	buf_free(&out);
	return r ? err_set(err, ERR_TEMPLATE, "%s is not static: install the package busybox-static", BUSYBOX)
		 : 0;
}

static int copy_busybox(int root, struct err *err)
{
	_fd_ int from = open(BUSYBOX, O_RDONLY | O_CLOEXEC);
	_fd_ int to = openat(root, "bin/busybox", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ssize_t n;

	if (from < 0 || to < 0)
		return err_sys(err, "bin/busybox");
	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	return n < 0 || fchmod(to, 0755) ? err_sys(err, "bin/busybox") : 0;
}

/* One link per applet, where busybox was built to have it ("sbin/init"). */
static int link_applets(int root, struct err *err)
{
	const char *const argv[] = {BUSYBOX, "--list-full", NULL};
	struct buf out = {0};
	char *save = NULL;

	if (tool_run(argv, -1, &out, err))
		return -1;
	for (char *line = strtok_r((char *)out.at, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strstr(line, "..") || line[0] == '/' || !strcmp(line, "bin/busybox") ||
		    !strcmp(line, "linuxrc"))
			continue;
		if (symlinkat("/bin/busybox", root, line) && errno != EEXIST) {
			err_sys(err, "%s", line);
			buf_free(&out);
			return -1;
		}
	}
	buf_free(&out);
	return 0;
}

static int write_file(int root, size_t i, struct err *err)
{
	_fd_ int fd = openat(root, files[i].path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, "%s", files[i].path);
	if (io_write_full(fd, files[i].text, strlen(files[i].text), err))
		return -1;
	return fchmod(fd, files[i].mode) ? err_sys(err, "%s", files[i].path) : 0;
}

int template_fill_busybox(const char *root, struct err *err)
{
	_fd_ int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || fchmod(dir, 0755))
		return err_sys(err, "%s", root);
	if (check_static(err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (mkdirat(dir, dirs[i].path, 0755) || fchmodat(dir, dirs[i].path, dirs[i].mode, 0))
			return err_sys(err, "%s", dirs[i].path);
	if (copy_busybox(dir, err) || link_applets(dir, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (write_file(dir, i, err))
			return -1;
	return 0;
}
