// SPDX-License-Identifier: GPL-2.0-only
/* A VE as something that moves; contracts in include/verst.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "kernel/netlock.h"
#include "lib/findings.h"
#include "ve/ctl.h"
#include "ve/journal.h"
#include "ve/net.h"
#include "ve/node.h"
#include "ve/open.h"
#include "ve/tasks.h"
#include "ve/template.h"
#include "ve/wire.h"

#define PREPARE_MS   5000
#define LOCK_WAIT_MS 10000 /* for a process that is just ending */

void verst_ve_free(struct verst_ve *ve)
{
	free(ve->name);
	free(ve->conf);
	free(ve->template_name);
	free(ve->template_digest);
	free(ve->upper);
	*ve = (struct verst_ve){0};
}

/* --- describe --- */

static char *value_of(const struct ve_conf *conf, const char *key)
{
	const char *value = ve_conf_get(conf, key);

	return mem_strdup(value ? value : "");
}

static char *digest_of(struct ve_node *node, const char *name)
{
	struct err ignored = ERR_INIT;
	struct ve_template t;
	char *ret;

	if (!*name || template_open(node, name, &t, &ignored))
		return mem_strdup("");
	ret = value_of(&t.manifest, "DIGEST");
	template_close(&t);
	return ret;
}

int verst_ve_describe(struct verst *v, const char *id_or_name, struct verst_ve *ret, struct err *err)
{
	char path[PATH_MAX];
	struct ve ve;

	if (ve_open(&v->node, id_or_name, false, &ve, err))
		return -1;
	ve_path_private(&ve, path);
	*ret = (struct verst_ve){
		.id = ve.id,
		.name = value_of(&ve.conf, "NAME"),
		.conf = ve_conf_print(&ve.conf),
		.template_name = value_of(&ve.conf, "OSTEMPLATE"),
		.upper = mem_printf("%s/upper", path),
		.running = ve_is_running(&ve),
	};
	ret->template_digest = digest_of(&v->node, ret->template_name);
	if (ret->running)
		ret->memory_bytes = tasks_memory_bytes(&ve);
	ve_close(&ve);
	return 0;
}

int verst_ve_shared_files(struct verst *v, unsigned id, void (*fn)(void *arg, const char *path), void *arg,
			  struct err *err)
{
	char number[16];
	struct ve ve;
	int r;

	snprintf(number, sizeof(number), "%u", id);
	if (ve_open(&v->node, number, false, &ve, err))
		return -1;
	r = tasks_shared_files(&ve, fn, arg, err);
	ve_close(&ve);
	return r;
}

int verst_ve_commit_prepare(struct verst *v, unsigned id, struct err *err)
{
	struct ve ve = {.node = &v->node, .id = id, .lock_fd = -1};
	_fd_ int fd = -1;

	return ve_ctl_connect(&ve, &fd, err) || wire_call(fd, WIRE_PREPARE, 0, PREPARE_MS, err) ? -1 : 0;
}

/* --- room --- */

static void check_id(const struct ve *ve, struct findings *ret)
{
	char path[PATH_MAX];

	ve_node_path(path, ve->node->etc, "%u.conf", ve->id);
	if (!access(path, F_OK)) {
		findings_add(ret, "id", NULL, "there is a VE %u already", ve->id);
		return;
	}
	ve_path_private(ve, path);
	if (!access(path, F_OK))
		findings_add(ret, "id", "it belongs to no VE: remove it",
			     "there is a private area %s already", path);
}

static void check_name(const struct ve *ve, struct findings *ret)
{
	const char *name = ve_conf_get(&ve->conf, "NAME");
	struct err err = ERR_INIT;
	unsigned other;

	if (!name || !*name)
		return;
	if (ve_open_check_name(name, &err)) {
		findings_add(ret, "name", NULL, "%s", err.msg);
		return;
	}
	other = ve_open_find_name(ve->node, name, &err);
	if (other)
		findings_add(ret, "name", NULL, "'%s' is the name of VE %u", name, other);
}

static void check_addresses(const struct ve *ve, struct findings *ret)
{
	struct err err = ERR_INIT;
	struct venet_addrs addrs;

	if (ve_net_addrs(&ve->conf, &addrs, &err)) {
		findings_add(ret, "address", NULL, "%s", err.msg);
		return;
	}
	vec_each(at, &addrs) {
		err_clear(&err);
		if (ve_net_check_free(ve, *at, false, &err))
			findings_add(ret, "address", NULL, "%s", err.msg);
	}
	vec_free(&addrs);
}

static void check_template(const struct ve *ve, const char *digest, struct findings *ret)
{
	const char *name = ve_conf_get(&ve->conf, "OSTEMPLATE");
	struct err err = ERR_INIT;
	struct ve_template t;
	const char *ours;

	if (!name || !*name)
		return;
	if (template_open(ve->node, name, &t, &err)) {
		findings_add(ret, "template", "build it, or copy it with rsync -aHAXS", "%s", err.msg);
		return;
	}
	ours = ve_conf_get(&t.manifest, "DIGEST");
	if (!ours || strcmp(ours, digest))
		findings_add(ret, "template", "copy it from one node to the other with rsync -aHAXS",
			     "'%s' is not the same on both nodes (digest %s there, %s at the source)", name,
			     ours ? ours : "none", *digest ? digest : "none");
	template_close(&t);
}

static int check_space(const struct ve_node *node, uint64_t need_bytes, struct findings *ret, struct err *err)
{
	struct statvfs fs;
	uint64_t free_bytes;

	if (io_mkdir_p(node->lib, 0755, err))
		return -1;
	if (statvfs(node->lib, &fs))
		return err_sys(err, "%s", node->lib);
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (need_bytes > free_bytes)
		findings_add(ret, "space", NULL, "the VE has %llu MiB of files, %s has %llu MiB",
			     (unsigned long long)need_bytes >> 20, node->lib,
			     (unsigned long long)free_bytes >> 20);
	return 0;
}

int verst_ve_room(struct verst *v, const struct verst_ve *ve_there, uint64_t files_bytes,
		  struct verst_findings *ret, struct err *err)
{
	struct ve ve = {.node = &v->node, .id = ve_there->id, .lock_fd = -1};
	struct findings found = {0};
	int r;

	if (ve.id < VE_ID_MIN || ve.id > VE_ID_MAX)
		return err_set(err, ERR_VALUE, "%u is no VE id", ve.id);
	if (ve_conf_parse(&ve.conf, ve_there->conf, strlen(ve_there->conf), err))
		return err_ctx(err, "config of VE %u", ve.id);
	check_id(&ve, &found);
	check_name(&ve, &found);
	check_addresses(&ve, &found);
	check_template(&ve, ve_there->template_digest, &found);
	r = check_space(&v->node, files_bytes, &found, err);
	ve_conf_free(&ve.conf);
	if (r) {
		findings_free(&found);
		return -1;
	}
	ret->nr = found.list.nr;
	ret->at = mem_realloc_array(NULL, found.list.nr, sizeof(*ret->at));
	for (size_t i = 0; i < found.list.nr; i++)
		ret->at[i] = (struct verst_finding){found.list.at[i].where, found.list.at[i].what,
						    found.list.at[i].hint};
	vec_free(&found.list);
	return 0;
}

/* --- adopt, forget, drop --- */

static int make_private(const struct ve *ve, char **ret_upper, struct err *err)
{
	char path[PATH_MAX], part[PATH_MAX];

	ve_path_private(ve, path);
	if (!access(path, F_OK))
		return err_set(err, ERR_EXISTS, "private area %s exists already", path);
	ve_node_path(part, path, "work");
	if (io_mkdir_p(part, 0700, err))
		return -1;
	ve_node_path(part, path, "upper");
	if (io_mkdir_p(part, 0755, err))
		return -1;
	*ret_upper = mem_strdup(part);
	return 0;
}

int verst_ve_adopt(struct verst *v, unsigned id, const char *conf_text, char **ret_upper, struct err *err)
{
	struct ve_conf conf = {0};
	_free_ char *upper = NULL;
	struct ve ve;
	int r;

	if (ve_conf_parse(&conf, conf_text, strlen(conf_text), err))
		return -1;
	r = ve_new(&v->node, id, &conf, &ve, err);
	ve_conf_free(&conf);
	if (r)
		return -1;
	if (make_private(&ve, &upper, err) || ve_save(&ve, err))
		r = -1;
	ve_close(&ve);
	if (!r)
		*ret_upper = ptr_take(&upper);
	return r;
}

/* The lock of a VE that need not have a config; a holder that is just ending is waited for. */
static int lock_bare(struct ve_node *node, unsigned id, struct ve *ret, struct err *err)
{
	*ret = (struct ve){.node = node, .id = id, .lock_fd = -1};
	for (int waited_ms = 0;; waited_ms += 50) {
		err_clear(err);
		if (!ve_open_lock(node, id, &ret->lock_fd, err))
			return 0;
		if (err->code != ERR_LOCKED || waited_ms >= LOCK_WAIT_MS)
			return -1;
		poll(NULL, 0, 50);
	}
}

/* Its end is not the network's business: with this no FIN and no RST leaves. Best effort: what has no tasks
 * has no sockets. */
static struct netlock *silence(const struct ve *ve)
{
	struct err ignored = ERR_INIT;
	struct netlock *lock = NULL;
	struct ve_run run;

	if (ve_run_open(ve, &run, &ignored))
		return NULL;
	if (!netlock_prepare(run.netns_fd, run.cgroup_fd, &lock, &ignored) && netlock_take(lock, &ignored))
		log_warn("VE %u: its network could not be locked: %s", ve->id, ignored.msg);
	ve_run_close(&run);
	return lock;
}

static int end_tasks(const struct ve *ve, struct err *err)
{
	struct netlock *lock = silence(ve);
	int r = ve_kill(ve, err);

	if (lock)
		netlock_free(lock);
	return r;
}

static int remove_files(const struct ve *ve, struct err *err)
{
	char path[PATH_MAX];

	ve_path_private(ve, path);
	/* a supervisor with a lease may be at it as well: what it takes away meanwhile is no error */
	for (int tries = 0; io_remove_tree(AT_FDCWD, path, err); tries++) {
		if (err->sys_errno != ENOENT || tries == 100)
			return -1;
		err_clear(err);
		poll(NULL, 0, 10);
	}
	ve_node_path(path, ve->node->etc, "%u.conf", ve->id);
	return unlink(path) && errno != ENOENT ? err_sys(err, "%s", path) : 0;
}

static int keep_files(const struct ve *ve, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX];

	ve_node_path(from, ve->node->etc, "%u.conf", ve->id);
	ve_node_path(to, ve->node->etc, "%u.conf.migrated", ve->id);
	return rename(from, to) && errno != ENOENT ? err_sys(err, "%s", to) : 0;
}

static int leave(struct verst *v, unsigned id, bool keep, struct err *err)
{
	struct ve ve;
	int r;

	if (lock_bare(&v->node, id, &ve, err))
		return -1;
	r = end_tasks(&ve, err);
	if (!r)
		r = keep ? keep_files(&ve, err) : remove_files(&ve, err);
	ve_close(&ve);
	return r;
}

int verst_ve_forget(struct verst *v, unsigned id, struct err *err)
{
	return leave(v, id, false, err);
}

int verst_ve_drop(struct verst *v, unsigned id, bool keep, struct err *err)
{
	return leave(v, id, keep, err);
}

/* --- unfreeze --- */

static int let_run(const struct ve *ve, struct err *err)
{
	struct ve_run run;
	int lease, r;

	if (!ve_is_running(ve))
		return 0;
	if (ve_run_open(ve, &run, err))
		return -1;
	/* the lease of the one that died is taken over, and ended in good order: the network is unlocked with
	 * it */
	r = ve_lease_take(ve, VE_LEASE_COMMIT, false, &lease, err);
	if (!r) {
		r = ve_thaw(&run, err);
		if (ve_lease_end(lease, err))
			r = -1;
	}
	ve_run_close(&run);
	return r;
}

int verst_ve_unfreeze(struct verst *v, unsigned id, struct err *err)
{
	struct ve ve;
	int r;

	if (lock_bare(&v->node, id, &ve, err))
		return -1;
	r = let_run(&ve, err);
	ve_close(&ve);
	return r;
}

/* --- the journal, by the node's handle --- */

int verst_journal_read(struct verst *v, unsigned id, struct verst_journal *ret, struct err *err)
{
	return ve_journal_read(&v->node, id, ret, err);
}

int verst_journal_write(struct verst *v, const struct verst_journal *j, struct err *err)
{
	return ve_journal_write(&v->node, j, err);
}

int verst_journal_step(struct verst *v, unsigned id, const char *migration, enum verst_journal_state from,
		       enum verst_journal_state to, struct err *err)
{
	return ve_journal_step(&v->node, id, migration, from, to, err);
}

int verst_journal_remove(struct verst *v, unsigned id, const char *migration, struct err *err)
{
	return ve_journal_remove(&v->node, id, migration, err);
}

size_t verst_journal_list(struct verst *v, unsigned *ret_ids, size_t max)
{
	return ve_journal_list(&v->node, ret_ids, max);
}

int verst_journal_settle(struct verst *v, unsigned id, struct err *err)
{
	return ve_journal_settle(&v->node, id, err);
}

int verst_journal_resolve(struct verst *v, unsigned id, const char *migration, enum verst_journal_state *ret,
			  struct err *err)
{
	return ve_journal_resolve(&v->node, id, migration, ret, err);
}

int verst_journal_forget(struct verst *v, const char *migration, struct err *err)
{
	return ve_journal_forget(&v->node, migration, err);
}
