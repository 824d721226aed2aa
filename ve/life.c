// SPDX-License-Identifier: GPL-2.0-only
/* create, start, stop, destroy. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

#include "ve/exec.h"
#include "ve/info.h"
#include "ve/journal.h"
#include "ve/net.h"
#include "ve/node.h"
#include "ve/open.h"
#include "ve/set.h"
#include "ve/template.h"

#define STOP_TIMEOUT_S	120
#define HALT_TIMEOUT_MS 10000

/* --- create --- */

static unsigned lowest_free(const struct ve_node *node, struct err *err)
{
	struct ve_ids ids;
	unsigned id = VE_ID_MIN;

	if (ve_node_ids(node, &ids, err))
		return 0;
	for (size_t i = 0; i < ids.nr; i++) {
		if (ids.at[i] != id)
			continue;
		id++;
		i = (size_t)-1;
	}
	vec_free(&ids);
	return id;
}

static int make_conf(struct ve *ve, const struct verst_create_opts *opts, struct err *err)
{
	const struct verst_change basics[] = {
		{VERST_SET, "OSTEMPLATE", opts->template_name},
		{VERST_SET, "NAME", opts->name},
		{VERST_SET, "HOSTNAME", opts->hostname},
	};

	for (size_t i = 0; i < ARRAY_LEN(basics); i++)
		if (basics[i].value && set_one(ve, &basics[i], err))
			return -1;
	for (size_t i = 0; i < opts->nr_ips; i++)
		if (set_one(ve, &(struct verst_change){VERST_ADD, "IP_ADDRESS", opts->ips[i]}, err))
			return -1;
	return 0;
}

static int make_private(const struct ve *ve, struct err *err)
{
	char path[PATH_MAX];
	size_t len;

	ve_path_private(ve, path);
	if (!access(path, F_OK))
		return err_set(err, ERR_EXISTS, "private area %s exists already", path);
	len = strlen(path);
	strcpy(path + len, "/upper");
	if (io_mkdir_p(path, 0755, err))
		return -1;
	strcpy(path + len, "/work");
	return io_mkdir_p(path, 0700, err);
}

static void remove_private(const struct ve *ve)
{
	struct err err = ERR_INIT;
	char path[PATH_MAX];

	ve_path_private(ve, path);
	if (io_remove_tree(AT_FDCWD, path, &err))
		log_warn("%s", err.msg);
}

static int create(struct ve *ve, const struct verst_create_opts *opts, struct err *err)
{
	struct ve_template template;

	if (template_open(ve->node, opts->template_name, &template, err))
		return -1;
	template_close(&template);
	if (ve_journal_may_boot(ve->node, ve->id, false, err) || make_conf(ve, opts, err) ||
	    make_private(ve, err))
		return -1;
	if (fault_point("create-private", err) || ve_save(ve, err)) {
		remove_private(ve);
		return -1;
	}
	return 0;
}

int verst_create(struct verst *v, unsigned id, const struct verst_create_opts *opts, unsigned *ret_id,
		 struct err *err)
{
	struct ve_conf none = {0};
	struct ve ve;
	int r;

	if (!id && !(id = lowest_free(&v->node, err)))
		return -1;
	if (ve_new(&v->node, id, &none, &ve, err))
		return -1;
	r = create(&ve, opts, err);
	ve_close(&ve);
	if (!r)
		*ret_id = id;
	return r;
}

/* --- start --- */

/* The VE's clocks begin at about zero, as after a boot: its uptime is its own. */
static int64_t offset_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return -(int64_t)now.tv_sec * 1000000000;
}

static int start(struct ve *ve, struct err *err)
{
	struct ve_boot_opts opts = {.monotonic_offset_ns = offset_of(CLOCK_MONOTONIC),
				    .boottime_offset_ns = offset_of(CLOCK_BOOTTIME)};
	struct undo undo = {0};
	struct ve_run run;
	int r;

	if (ve_boot(ve, &opts, &undo, &run, err))
		return -1;
	r = fault_point("start-booted", err) || ve_boot_go(ve, &run, err) ? -1 : 0;
	if (r)
		undo_run(&undo);
	else
		undo_forget(&undo);
	ve_run_close(&run);
	return r;
}

int verst_start(struct verst *v, const char *id_or_name, struct err *err)
{
	struct ve ve;
	int r;

	if (ve_open(&v->node, id_or_name, true, &ve, err))
		return -1;
	r = start(&ve, err);
	ve_close(&ve);
	return r;
}

/* --- stop --- */

/* Which signal, if any, has this init program power off. Programs are told by the name of their file. */
static int power_off_signal(pid_t init)
{
	char path[64], exe[PATH_MAX];
	const char *name;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)init);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = 0;
	name = strrchr(exe, '/') ? strrchr(exe, '/') + 1 : exe;
	if (!strcmp(name, "busybox"))
		return SIGUSR2; /* init/init.c of busybox: poweroff */
	if (!strcmp(name, "systemd"))
		return SIGRTMIN + 4; /* systemd(1), SIGNALS: poweroff.target */
	if (!strcmp(name, "init"))
		return 0; /* sysvinit knows no such signal: `halt` does it */
	return SIGPWR;
}

static void ask_init(const struct ve *ve, const struct ve_run *run)
{
	static const char *const halt[] = {"halt", "-p", NULL};
	struct verst_exec_opts opts = {.argv = halt};
	int signal = power_off_signal(run->init_pid);
	struct err err = ERR_INIT;
	struct verst_exec *e;

	if (signal) {
		if (pidfd_send_signal(run->init_pidfd, signal, NULL, 0))
			log_warn("VE %u: signal to init: %m", ve->id);
		return;
	}
	if (exec_in(ve, run, &opts, &e, &err)) {
		log_warn("VE %u: halt: %s", ve->id, err.msg);
		return;
	}
	poll(&(struct pollfd){.fd = verst_exec_pidfd(e), .events = POLLIN}, 1, HALT_TIMEOUT_MS);
	exec_abandon(e);
}

static int stop_timeout_s(const struct ve *ve, struct err *err)
{
	struct ve_conf global = {0};
	const char *value = ve_conf_get(&ve->conf, "STOP_TIMEOUT");
	int s = STOP_TIMEOUT_S;

	if (ve_node_conf(ve->node, &global, err))
		return -1;
	if (!value)
		value = ve_conf_get(&global, "STOP_TIMEOUT");
	if (value && *value)
		s = (int)strtoul(value, NULL, 10);
	ve_conf_free(&global);
	return s;
}

/* Asked, and gone in time: 1. An init that is on its way is watched by its supervisor, which cleans up. */
static int stop_gently(const struct ve *ve, const struct ve_run *run, struct err *err)
{
	struct pollfd p = {.fd = run->init_pidfd, .events = POLLIN};
	int timeout_s = stop_timeout_s(ve, err);

	if (timeout_s < 0)
		return -1;
	if (cgroup_is_frozen(run->cgroup_fd))
		return 0;
	ask_init(ve, run);
	return poll(&p, 1, timeout_s * 1000) > 0;
}

static int stop(struct ve *ve, bool fast, struct err *err)
{
	struct ve_run run;
	int gone = 0;

	if (ve_run_open(ve, &run, err))
		return -1;
	if (!fast)
		gone = stop_gently(ve, &run, err);
	if (!gone && !fast)
		log_info("VE %u: init did not end in time; by force", ve->id);
	ve_run_close(&run);
	if (gone < 0)
		return -1;
	return ve_kill(ve, err) ? err_code(err, ERR_STOP) : 0;
}

int verst_stop(struct verst *v, const char *id_or_name, bool fast, struct err *err)
{
	struct ve ve;
	int r;

	if (ve_open(&v->node, id_or_name, true, &ve, err))
		return -1;
	r = stop(&ve, fast, err);
	ve_close(&ve);
	return r;
}

/* --- destroy --- */

static int destroy(struct ve *ve, struct err *err)
{
	char path[PATH_MAX];

	if (ve_is_running(ve))
		return err_set(err, ERR_RUNNING, "VE %u is running: stop it first", ve->id);
	/* Also what a dead supervisor, or a node that lost its power, left. */
	if (ve_journal_may_boot(ve->node, ve->id, false, err) || ve_kill(ve, err))
		return -1;
	ve_path_private(ve, path);
	if (io_remove_tree(AT_FDCWD, path, err))
		return -1;
	ve_node_path(path, ve->node->etc, "%u.conf", ve->id);
	return unlink(path) && errno != ENOENT ? err_sys(err, "%s", path) : 0;
}

int verst_destroy(struct verst *v, const char *id_or_name, struct err *err)
{
	struct ve ve;
	int r;

	if (ve_open(&v->node, id_or_name, true, &ve, err))
		return -1;
	r = destroy(&ve, err);
	ve_close(&ve);
	return r;
}
