// SPDX-License-Identifier: GPL-2.0-only
#include "ve/init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "kernel/helper.h"

/* The kernel tries these, and in this order: init/main.c, kernel_init(). */
static const char *const programs[] = {"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"};

static void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int set_hostname(const struct ve *ve, struct err *err)
{
	const char *name = ve_conf_get(&ve->conf, "HOSTNAME");
	char number[32];

	snprintf(number, sizeof(number), "ve%u", ve->id);
	if (!name || !*name)
		name = number;
	return sethostname(name, strlen(name)) ? err_sys(err, "hostname %s", name) : 0;
}

static int write_etc(const char *path, const char *text, struct err *err)
{
	_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_sys(err, "%s", path);
	return io_write_full(fd, text, strlen(text), err);
}

static char *nameserver_lines(const char *value, const char *search)
{
	char *text = search && *search ? mem_printf("search %s\n", search) : mem_strdup("");

	for (value += strspn(value, " "); *value; value += strspn(value, " ")) {
		int len = (int)strcspn(value, " ");
		char *more = mem_printf("%snameserver %.*s\n", text, len, value);

		free(text);
		text = more;
		value += len;
	}
	return text;
}

/* What the config says of the VE's own files. They are written from inside, with no more rights than the VE
 * has. */
static void configure_files(const struct ve *ve)
{
	const char *hostname = ve_conf_get(&ve->conf, "HOSTNAME");
	const char *nameserver = ve_conf_get(&ve->conf, "NAMESERVER");
	struct err err = ERR_INIT;

	if (access("/etc", F_OK))
		return;
	if (hostname && *hostname) {
		_free_ char *line = mem_printf("%s\n", hostname);

		if (write_etc("/etc/hostname", line, &err))
			log_warn("VE %u: %s", ve->id, err.msg);
	}
	if (nameserver && *nameserver) {
		_free_ char *lines = nameserver_lines(nameserver, ve_conf_get(&ve->conf, "SEARCHDOMAIN"));

		if (write_etc("/etc/resolv.conf", lines, &err))
			log_warn("VE %u: %s", ve->id, err.msg);
	}
}

static int open_stdio(struct err *err)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		return err_sys(err, "/dev/console");
	for (int i = 0; i < 3; i++)
		if (fd != i && dup2(fd, i) < 0)
			return err_sys(err, "/dev/console");
	if (fd > 2)
		close(fd);
	return 0;
}

static const char *find_program(void)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (!access(programs[i], X_OK))
			return programs[i];
	return NULL;
}

static int prepare(const struct init_opts *opts, struct err *err)
{
	setsid();
	reset_signals();
	if (jail_enter(opts->jail, err) || set_hostname(opts->ve, err))
		return -1;
	if (opts->locked)
		return open_stdio(err);
	configure_files(opts->ve);
	if (!find_program())
		return err_set(err, ERR_BOOT, "there is no /sbin/init in VE %u", opts->ve->id);
	return open_stdio(err);
}

static void run_program(void)
{
	char *const envp[] = {"HOME=/", "TERM=linux",
			      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			      "container=verst", NULL};
	struct err err = ERR_INIT;
	const char *program = find_program();
	char *const argv[] = {(char *)(uintptr_t)(program ? program : ""), NULL};

	if (program && !jail_drop_caps(&err))
		execve(program, argv, envp);
	_exit(127);
}

/* Everything else is closed: for a restore the task must be as bare as can be. */
static int keep_only(int fd)
{
	if (fd != 3 && dup3(fd, 3, O_CLOEXEC) < 0)
		return -1;
	return close_range(4, ~0u, 0);
}

void init_main(const struct init_opts *opts)
{
	bool locked = opts->locked;
	struct err err = ERR_INIT;
	char byte;
	int r;

	r = prepare(opts, &err);
	if (helper_send(opts->report_fd, &err, -1) || r || keep_only(opts->go_fd))
		_exit(1);
	/* A new image would set this by itself; a restored tree inherits it from us. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (read(3, &byte, 1) == 1 && !locked)
		run_program();
	_exit(1);
}
