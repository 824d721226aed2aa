// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ve/template.h"
#include "ve/tool.h"

/* A text of which each piece goes into one argument of a command. */
static int check_words(const char *what, const char *value, struct err *err)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.,:_~/";

	return !*value || value[0] == '-' || strspn(value, good) != strlen(value)
		       ? err_set(err, ERR_VALUE, "bad %s: '%s'", what, value)
		       : 0;
}

static int check(const struct verst_template_opts *opts, struct err *err)
{
	if ((opts->suite && check_words("suite", opts->suite, err)) ||
	    (opts->packages && check_words("packages", opts->packages, err)) ||
	    (opts->mirror && check_words("mirror", opts->mirror, err)))
		return -1;
	if (opts->init && strcmp(opts->init, "sysvinit") && strcmp(opts->init, "systemd"))
		return err_set(err, ERR_VALUE, "init is sysvinit or systemd, not '%s'", opts->init);
	return 0;
}

/* Without a mirror mmdebstrap asks its default; with "-" as the source it takes sources.list from standard
 * input. */
static char *machine_sources(void)
{
	static const char *const paths[] = {"/etc/apt/sources.list.d/debian.sources",
					    "/etc/apt/sources.list"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct stat st;

		if (!stat(paths[i], &st) && st.st_size)
			return mem_strdup(paths[i]);
	}
	return NULL;
}

static int run_mmdebstrap(const char *root, const struct verst_template_opts *opts, struct err *err)
{
	bool systemd = opts->init && !strcmp(opts->init, "systemd");
	const char *suite = opts->suite ? opts->suite : "bookworm";
	_free_ char *include = mem_printf("--include=%s,iproute2,iputils-ping,procps%s%s",
					  systemd ? "systemd-sysv,dbus" : "sysvinit-core,sysv-rc,initscripts",
					  opts->packages ? "," : "", opts->packages ? opts->packages : "");
	_free_ char *sources = opts->mirror ? mem_strdup(opts->mirror) : machine_sources();
	const char *const argv[] = {"mmdebstrap",
				    "--mode=root",
				    "--variant=minbase",
				    include,
				    "--format=directory",
				    "--aptopt=Acquire::Retries \"3\"",
				    "--dpkgopt=path-exclude=/usr/share/man/*",
				    "--dpkgopt=path-exclude=/usr/share/doc/*",
				    "--dpkgopt=path-exclude=/usr/share/locale/*",
				    suite,
				    root,
				    sources,
				    NULL};

	return tool_run(argv, opts->log_fd, NULL, err);
}

static int remove_dev(int dir, struct err *err)
{
	if (io_remove_tree(dir, "dev", err))
		return -1;
	return mkdirat(dir, "dev", 0755) ? err_sys(err, "dev") : 0;
}

/* A VE has no virtual consoles, and its power does not fail. */
static int fix_inittab(int dir, struct err *err)
{
	struct buf old = {0}, new = {0};
	char *save = NULL;
	int r;

	if (faccessat(dir, "etc/inittab", F_OK, 0))
		return 0;
	if (io_read_file(dir, "etc/inittab", 1 << 20, &old, err))
		return -1;
	for (char *line = strtok_r((char *)old.at, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strstr(line, "getty") || strstr(line, ":power"))
			buf_put_u8(&new, '#');
		buf_put(&new, line, strlen(line));
		buf_put_u8(&new, '\n');
	}
	r = io_replace_file(dir, "etc/inittab", new.at, new.len_bytes, 0644, err);
	buf_free(&old);
	buf_free(&new);
	return r;
}

static int replace(int dir, const char *path, const char *text, struct err *err)
{
	return io_replace_file(dir, path, text, strlen(text), 0644, err);
}

static int link_to(int dir, const char *target, const char *path, struct err *err)
{
	unlinkat(dir, path, 0);
	return symlinkat(target, dir, path) ? err_sys(err, "%s", path) : 0;
}

/* Units that would wait for devices or consoles which a VE has not. */
static int fix_systemd(int dir, struct err *err)
{
	static const char *const masked[] = {"systemd-udevd.service",	     "systemd-udev-trigger.service",
					     "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
					     "sys-kernel-debug.mount",	     "sys-kernel-tracing.mount",
					     "systemd-modules-load.service", "getty@tty1.service",
					     "console-getty.service",	     "systemd-remount-fs.service",
					     "dev-hugepages.mount",	     "sys-fs-fuse-connections.mount"};

	if (faccessat(dir, "etc/systemd/system", F_OK, 0))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(masked); i++) {
		char path[128];

		snprintf(path, sizeof(path), "etc/systemd/system/%s", masked[i]);
		if (link_to(dir, "/dev/null", path, err))
			return -1;
	}
	return link_to(dir, "/lib/systemd/system/multi-user.target", "etc/systemd/system/default.target",
		       err);
}

/*
 * Scripts that mount what is mounted, check what has no device, and set the node's clock and kernel. S
 * becomes K, so that update-rc.d leaves them alone.
 */
static int fix_sysvinit(int dir, struct err *err)
{
	static const char *const off[] = {"mountkernfs.sh",
					  "mountdevsubfs.sh",
					  "mount-configfs",
					  "checkroot.sh",
					  "checkfs.sh",
					  "mountall.sh",
					  "hwclock.sh",
					  "brightness",
					  "procps",
					  "urandom",
					  "mountnfs.sh",
					  "udev",
					  "checkroot-bootclean.sh",
					  "mountall-bootclean.sh"};
	_fd_ int rc = openat(dir, "etc/rcS.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int copy = rc >= 0 ? dup(rc) : -1;
	_dir_ DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char new[256];

		for (size_t i = 0; i < ARRAY_LEN(off); i++) {
			if (e->d_name[0] != 'S' || strlen(e->d_name) < 4 || strcmp(e->d_name + 3, off[i]))
				continue;
			snprintf(new, sizeof(new), "K%s", e->d_name + 1);
			if (renameat(rc, e->d_name, rc, new))
				return err_sys(err, "etc/rcS.d/%s", e->d_name);
		}
	}
	return 0;
}

/* What would differ from one build to the next. */
static int forget_build(int dir, struct err *err)
{
	static const char *const logs[] = {"var/log/dpkg.log", "var/log/alternatives.log",
					   "var/log/bootstrap.log", "var/cache/ldconfig/aux-cache"};

	for (size_t i = 0; i < ARRAY_LEN(logs); i++)
		unlinkat(dir, logs[i], 0);
	return io_remove_tree(dir, "var/log/apt", err);
}

int template_fill_debian(const char *root, const struct verst_template_opts *opts, struct err *err)
{
	_fd_ int dir = -1;

	if (check(opts, err) || run_mmdebstrap(root, opts, err))
		return -1;
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fchmod(dir, 0755))
		return err_sys(err, "%s", root);
	if (remove_dev(dir, err) || fix_inittab(dir, err) || fix_sysvinit(dir, err) ||
	    fix_systemd(dir, err) || forget_build(dir, err))
		return -1;
	if (replace(dir, "etc/fstab", "", err) || replace(dir, "etc/hostname", "localhost\n", err) ||
	    replace(dir, "etc/hosts", "127.0.0.1 localhost\n", err) ||
	    replace(dir, "etc/machine-id", "", err) || replace(dir, "etc/resolv.conf", "", err))
		return -1;
	return 0;
}
