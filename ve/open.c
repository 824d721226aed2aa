// SPDX-License-Identifier: GPL-2.0-only
#include "ve/node.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "ve/open.h"

static void conf_path(const struct ve_node *node, unsigned id, char ret[static PATH_MAX])
{
	ve_node_path(ret, node->etc, "%u.conf", id);
}

void ve_path_private(const struct ve *ve, char ret[static PATH_MAX])
{
	ve_node_path(ret, ve->node->lib, "private/%u", ve->id);
}

void ve_path_root(const struct ve *ve, char ret[static PATH_MAX])
{
	ve_node_path(ret, ve->node->lib, "root/%u", ve->id);
}

void ve_path_run(const struct ve *ve, char ret[static PATH_MAX])
{
	ve_node_path(ret, ve->node->run, "%u", ve->id);
}

int ve_open_check_name(const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (!len || len > VE_NAME_MAX)
		return err_set(err, ERR_NAME, "a name has 1 to %d characters: '%s'", VE_NAME_MAX, name);
	if (!isalpha((unsigned char)name[0]))
		return err_set(err, ERR_NAME, "a name begins with a letter: '%s'", name);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return err_set(err, ERR_NAME,
				       "a name consists of letters, digits, '-', '_' and '.': '%s'", name);
	return 0;
}

unsigned ve_open_find_name(const struct ve_node *node, const char *name, struct err *err)
{
	struct ve_ids ids;
	unsigned found = 0;

	if (ve_node_ids(node, &ids, err))
		return 0;
	for (size_t i = 0; i < ids.nr && !found; i++) {
		struct err ignored = ERR_INIT;
		struct ve_conf conf;
		char path[PATH_MAX];
		const char *other;

		conf_path(node, ids.at[i], path);
		if (ve_node_read_conf(path, &conf, &ignored))
			continue;
		other = ve_conf_get(&conf, "NAME");
		if (other && !strcmp(other, name))
			found = ids.at[i];
		ve_conf_free(&conf);
	}
	vec_free(&ids);
	return found;
}

static int find_id(const struct ve_node *node, const char *s, unsigned *ret, struct err *err)
{
	char *end;
	unsigned id = ve_node_parse_id(s, &end);
	char path[PATH_MAX];

	if (isdigit((unsigned char)s[0])) {
		if (!id || *end)
			return err_set(err, ERR_VALUE, "'%s' is no VE id: ids are numbers from %u to %u", s,
				       VE_ID_MIN, VE_ID_MAX);
		conf_path(node, id, path);
		if (access(path, F_OK))
			return err_set(err, ERR_NO_CONFIG, "there is no VE %u", id);
	} else {
		if (ve_open_check_name(s, err))
			return -1;
		err_clear(err);
		id = ve_open_find_name(node, s, err);
		if (!id)
			return err->code ? -1 : err_set(err, ERR_NO_CONFIG, "there is no VE named '%s'", s);
	}
	*ret = id;
	return 0;
}

/* Who holds a lock, as far as can be seen: the lock file has the holder's pid. */
static int locked_by(const char *path, unsigned id, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct buf pid = {0}, words = {0};
	char proc[64];

	if (io_read_file(AT_FDCWD, path, 64, &pid, &ignored))
		return err_set(err, ERR_LOCKED, "VE %u is locked by another command", id);
	snprintf(proc, sizeof(proc), "/proc/%d/cmdline", atoi((char *)pid.at));
	if (io_read_file(AT_FDCWD, proc, 4096, &words, &ignored)) {
		err_set(err, ERR_LOCKED, "VE %u is locked by another command", id);
	} else {
		for (size_t i = 0; i + 1 < words.len_bytes; i++)
			if (!words.at[i])
				words.at[i] = ' ';
		err_set(err, ERR_LOCKED, "VE %u is locked by process %d: %.200s", id, atoi((char *)pid.at),
			words.at);
	}
	buf_free(&pid);
	buf_free(&words);
	return -1;
}

/* The file may be replaced between open and flock by one who held the lock: then once more. */
int ve_open_lock_file(const char *path, int *ret_fd, struct err *err)
{
	for (;;) {
		_fd_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		struct stat held, now;

		if (fd < 0)
			return err_sys(err, "%s", path);
		if (flock(fd, LOCK_EX | LOCK_NB))
			return errno == EWOULDBLOCK ? 1 : err_sys(err, "lock %s", path);
		if (fstat(fd, &held) || stat(path, &now) || held.st_ino != now.st_ino ||
		    held.st_dev != now.st_dev)
			continue;
		*ret_fd = fd_take(&fd);
		return 0;
	}
}

int ve_open_lock(const struct ve_node *node, unsigned id, int *ret_fd, struct err *err)
{
	char dir[PATH_MAX], path[PATH_MAX], text[32];
	int r;

	ve_node_path(dir, node->run, "%u", id);
	ve_node_path(path, node->run, "%u/lock", id);
	do
		r = io_mkdir_p(dir, 0755, err) ? -1 : ve_open_lock_file(path, ret_fd, err);
	while (r < 0 && err->sys_errno == ENOENT); /* the last holder removed the directory just now */
	if (r)
		return r > 0 ? locked_by(path, id, err) : -1;
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(*ret_fd, 0) || pwrite(*ret_fd, text, strlen(text), 0) < 0) {
		err_sys(err, "%s", path);
		close(fd_take(ret_fd));
		return -1;
	}
	return 0;
}

int ve_open(struct ve_node *node, const char *id_or_name, bool lock, struct ve *ret, struct err *err)
{
	struct ve ve = {.node = node, .lock_fd = -1};
	char path[PATH_MAX];

	if (find_id(node, id_or_name, &ve.id, err))
		return -1;
	if (lock && ve_open_lock(node, ve.id, &ve.lock_fd, err))
		return -1;
	conf_path(node, ve.id, path);
	if (ve_node_read_conf(path, &ve.conf, err)) {
		if (err->sys_errno == ENOENT)
			err_set(err, ERR_NO_CONFIG, "there is no VE %u", ve.id);
		ve_close(&ve);
		return -1;
	}
	*ret = ve;
	return 0;
}

int ve_new(struct ve_node *node, unsigned id, const struct ve_conf *conf, struct ve *ret, struct err *err)
{
	struct ve ve = {.node = node, .id = id, .lock_fd = -1};
	char path[PATH_MAX];

	if (id < VE_ID_MIN || id > VE_ID_MAX)
		return err_set(err, ERR_VALUE, "%u is no VE id: ids are numbers from %u to %u", id, VE_ID_MIN,
			       VE_ID_MAX);
	if (ve_open_lock(node, id, &ve.lock_fd, err))
		return -1;
	conf_path(node, id, path);
	if (!access(path, F_OK)) {
		ve_close(&ve);
		return err_set(err, ERR_EXISTS, "VE %u exists already", id);
	}
	vec_each(line, &conf->lines)
		vec_push(&ve.conf.lines,
			 ((struct ve_conf_line){mem_strdup(line->key), mem_strdup(line->value)}));
	*ret = ve;
	return 0;
}

void ve_close(struct ve *ve)
{
	char path[PATH_MAX];

	ve_conf_free(&ve->conf);
	if (ve->lock_fd < 0)
		return;
	/* What never came to be, or is no more, leaves no lock either. */
	conf_path(ve->node, ve->id, path);
	if (access(path, F_OK)) {
		ve_node_path(path, ve->node->run, "%u/lock", ve->id);
		unlink(path);
		ve_path_run(ve, path);
		rmdir(path);
		rmdir(ve->node->run);
	}
	close(fd_take(&ve->lock_fd));
}

int ve_save(const struct ve *ve, struct err *err)
{
	_free_ char *text = ve_conf_print(&ve->conf);
	char path[PATH_MAX];

	if (io_mkdir_p(ve->node->etc, 0755, err))
		return -1;
	conf_path(ve->node, ve->id, path);
	return io_replace_file(AT_FDCWD, path, text, strlen(text), 0644, err);
}
