// SPDX-License-Identifier: GPL-2.0-only
/*
 * One small text file per VE, KEY=VALUE lines, replaced as a whole (new file, fsync, rename, fsync of the
 * directory). Transitions hold a lock, so that a commit and a "what became of it" cannot both win.
 */
#include "ve/journal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_MAX_BYTES (16 * 1024)

static const char *const state_names[] = {
	[VERST_JOURNAL_NONE] = "none",		 [VERST_JOURNAL_RECEIVING] = "receiving",
	[VERST_JOURNAL_COMMITTED] = "committed", [VERST_JOURNAL_ABORTED] = "aborted",
	[VERST_JOURNAL_DOUBT] = "doubt",	 [VERST_JOURNAL_MOVED] = "moved",
};

static void dir_of(const struct ve_node *node, char ret[static PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%.4000s/journal", node->lib);
}

static void path_of(const struct ve_node *node, unsigned id, char ret[static PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%.4000s/journal/%u", node->lib, id);
}

static bool migration_valid(const char *text)
{
	return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

static int outcome_path(const struct ve_node *node, const char *migration, char ret[static PATH_MAX],
			struct err *err)
{
	/* comes from the wire: no other character gets near a path */
	if (!migration_valid(migration))
		return err_set(err, ERR_PROTOCOL, "bad migration id");
	snprintf(ret, PATH_MAX, "%.4000s/journal/committed/%s", node->lib, migration);
	return 0;
}

static int lock(const struct ve_node *node, int *ret_fd, struct err *err)
{
	char path[PATH_MAX];

	dir_of(node, path);
	if (io_mkdir_p(path, 0700, err))
		return -1;
	strcat(path, "/.lock");
	*ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*ret_fd < 0)
		return err_sys(err, "%s", path);
	if (flock(*ret_fd, LOCK_EX)) {
		close(*ret_fd);
		return err_sys(err, "%s: lock", path);
	}
	return 0;
}

/* --- text --- */

static void put_line(struct buf *out, const char *key, const char *value)
{
	if (!value)
		return;
	buf_put(out, key, strlen(key));
	buf_put_u8(out, '=');
	/* a newline cannot be in any value that passed its parser; if one is, the line ends there */
	buf_put(out, value, strcspn(value, "\n"));
	buf_put_u8(out, '\n');
}

static void print(const struct verst_journal *j, struct buf *out)
{
	char number[32];

	put_line(out, "STATE", state_names[j->state]);
	put_line(out, "MIGRATION", j->migration);
	put_line(out, "NODE_USER", j->user);
	put_line(out, "NODE", j->host);
	snprintf(number, sizeof(number), "%u", j->port);
	put_line(out, "PORT", j->host ? number : NULL);
	put_line(out, "KEY", j->key_path);
	put_line(out, "KNOWN_HOSTS", j->known_hosts);
	put_line(out, "REMOTE_ROOT", j->remote_root);
	put_line(out, "REMOTE_VERST", j->remote_verst);
	put_line(out, "KEEP", j->keep ? "yes" : NULL);
	snprintf(number, sizeof(number), "%lld", (long long)time(NULL));
	put_line(out, "TIME", number);
}

static void take_line(struct verst_journal *j, const char *key, const char *value)
{
	char **text = !strcmp(key, "NODE_USER")	     ? &j->user
		      : !strcmp(key, "NODE")	     ? &j->host
		      : !strcmp(key, "KEY")	     ? &j->key_path
		      : !strcmp(key, "KNOWN_HOSTS")  ? &j->known_hosts
		      : !strcmp(key, "REMOTE_ROOT")  ? &j->remote_root
		      : !strcmp(key, "REMOTE_VERST") ? &j->remote_verst
						     : NULL;

	if (text) {
		free(*text);
		*text = mem_strdup(value);
	} else if (!strcmp(key, "STATE")) {
		for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
			if (!strcmp(value, state_names[i]))
				j->state = (enum verst_journal_state)i;
	} else if (!strcmp(key, "MIGRATION")) {
		if (migration_valid(value))
			strcpy(j->migration, value);
	} else if (!strcmp(key, "PORT")) {
		j->port = (unsigned)strtoul(value, NULL, 10);
	} else if (!strcmp(key, "KEEP")) {
		j->keep = !strcmp(value, "yes");
	} else if (!strcmp(key, "TIME")) {
		j->time_s = strtoll(value, NULL, 10);
	}
}

static int parse(char *text, struct verst_journal *j)
{
	char *save, *line;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *eq = strchr(line, '=');

		if (!eq)
			return -1;
		*eq = 0;
		take_line(j, line, eq + 1);
	}
	return j->state == VERST_JOURNAL_NONE || !*j->migration ? -1 : 0;
}

/* --- reading and writing --- */

void verst_journal_free(struct verst_journal *j)
{
	free(j->user);
	free(j->host);
	free(j->key_path);
	free(j->known_hosts);
	free(j->remote_root);
	free(j->remote_verst);
	*j = (struct verst_journal){0};
}

int ve_journal_read(const struct ve_node *node, unsigned id, struct verst_journal *ret, struct err *err)
{
	struct verst_journal j = {.id = id};
	struct buf text = {0};
	char path[PATH_MAX];

	path_of(node, id, path);
	if (io_read_file(AT_FDCWD, path, FILE_MAX_BYTES, &text, err)) {
		if (err->sys_errno != ENOENT)
			return -1;
		err_clear(err);
		*ret = j;
		return 0;
	}
	if (parse((char *)text.at, &j)) {
		buf_free(&text);
		verst_journal_free(&j);
		return err_set(err, ERR_DOUBT,
			       "%s cannot be read; what became of VE %u has to be found out by hand", path,
			       id);
	}
	buf_free(&text);
	*ret = j;
	return 0;
}

/* A commit that is still in the id's journal becomes a remembered outcome: another migration of the VE
 * begins. */
static int settle_unlocked(const struct ve_node *node, unsigned id, const char *migration, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX], dir[PATH_MAX];
	_fd_ int dir_fd = -1;

	if (outcome_path(node, migration, to, err))
		return -1;
	path_of(node, id, from);
	dir_of(node, dir);
	strcat(dir, "/committed");
	if (io_mkdir_p(dir, 0700, err))
		return -1;
	if (rename(from, to))
		return err_sys(err, "%s", to);
	/* the new name first: at no time is it in neither directory */
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || fsync(dir_fd))
		return err_sys(err, "%s", dir);
	return 0;
}

static int write_unlocked(const struct ve_node *node, const struct verst_journal *j, struct err *err)
{
	struct buf text = {0};
	char path[PATH_MAX];
	int ret;

	path_of(node, j->id, path);
	print(j, &text);
	ret = io_replace_file(AT_FDCWD, path, text.at, text.len_bytes, 0600, err);
	buf_free(&text);
	return ret;
}

int ve_journal_write(const struct ve_node *node, const struct verst_journal *j, struct err *err)
{
	struct verst_journal old;
	_fd_ int held = -1;
	int ret = 0;

	if (lock(node, &held, err) || ve_journal_read(node, j->id, &old, err))
		return -1;
	if (old.state != VERST_JOURNAL_NONE && strcmp(old.migration, j->migration))
		ret = old.state == VERST_JOURNAL_COMMITTED
			      ? settle_unlocked(node, j->id, old.migration, err)
			      : err_set(err, ERR_LOCKED, "another migration of VE %u goes on, or was left",
					j->id);
	verst_journal_free(&old);
	return ret ? -1 : write_unlocked(node, j, err);
}

int ve_journal_remove(const struct ve_node *node, unsigned id, const char *migration, struct err *err)
{
	char path[PATH_MAX];
	struct verst_journal j;
	_fd_ int held = -1, dir = -1;
	bool ours;

	if (lock(node, &held, err) || ve_journal_read(node, id, &j, err))
		return -1;
	ours = j.state != VERST_JOURNAL_NONE && !strcmp(j.migration, migration);
	verst_journal_free(&j);
	if (!ours)
		return 0;
	path_of(node, id, path);
	if (unlink(path) && errno != ENOENT)
		return err_sys(err, "%s", path);
	dir_of(node, path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		fsync(dir);
	return 0;
}

size_t ve_journal_list(const struct ve_node *node, unsigned *ret_ids, size_t max)
{
	char path[PATH_MAX];
	_dir_ DIR *d = NULL;
	struct dirent *e;
	size_t nr = 0;

	dir_of(node, path);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char *end;
		unsigned long id = strtoul(e->d_name, &end, 10);

		if (!isdigit((unsigned char)*e->d_name) || *end || id > VE_ID_MAX)
			continue;
		if (nr < max)
			ret_ids[nr] = (unsigned)id;
		nr++;
	}
	return nr;
}

/* --- transitions --- */

static int step_unlocked(const struct ve_node *node, unsigned id, const char *migration,
			 enum verst_journal_state from, enum verst_journal_state to, struct err *err)
{
	struct verst_journal j;
	int ret;

	if (ve_journal_read(node, id, &j, err))
		return -1;
	if (j.state != from || strcmp(j.migration, migration)) {
		err_set(err, ERR_PROTOCOL, "VE %u: its migration is %s, not %s", id,
			strcmp(j.migration, migration) ? "another one" : state_names[j.state],
			state_names[from]);
		verst_journal_free(&j);
		return -1;
	}
	j.state = to;
	ret = write_unlocked(node, &j, err);
	verst_journal_free(&j);
	return ret;
}

int ve_journal_step(const struct ve_node *node, unsigned id, const char *migration,
		    enum verst_journal_state from, enum verst_journal_state to, struct err *err)
{
	_fd_ int held = -1;

	return lock(node, &held, err) ? -1 : step_unlocked(node, id, migration, from, to, err);
}

int ve_journal_settle(const struct ve_node *node, unsigned id, struct err *err)
{
	struct verst_journal j;
	_fd_ int held = -1;
	int ret;

	if (lock(node, &held, err) || ve_journal_read(node, id, &j, err))
		return -1;
	if (j.state == VERST_JOURNAL_COMMITTED)
		ret = settle_unlocked(node, id, j.migration, err);
	else
		ret = err_set(err, ERR_PROTOCOL, "VE %u: its migration is not committed", id);
	verst_journal_free(&j);
	return ret;
}

int ve_journal_resolve(const struct ve_node *node, unsigned id, const char *migration,
		       enum verst_journal_state *ret, struct err *err)
{
	char path[PATH_MAX];
	struct verst_journal j;
	_fd_ int held = -1;
	bool ours;

	if (outcome_path(node, migration, path, err) || lock(node, &held, err))
		return -1;
	if (!access(path, F_OK)) {
		*ret = VERST_JOURNAL_COMMITTED;
		return 0;
	}
	if (errno != ENOENT)
		return err_sys(err, "%s", path);
	if (ve_journal_read(node, id, &j, err))
		return -1;
	ours = j.state != VERST_JOURNAL_NONE && !strcmp(j.migration, migration);
	if (ours && j.state == VERST_JOURNAL_COMMITTED) {
		*ret = VERST_JOURNAL_COMMITTED;
	} else if (ours && step_unlocked(node, id, migration, j.state, VERST_JOURNAL_ABORTED, err)) {
		verst_journal_free(&j);
		return -1;
	} else {
		*ret = VERST_JOURNAL_ABORTED;
	}
	verst_journal_free(&j);
	return 0;
}

int ve_journal_forget(const struct ve_node *node, const char *migration, struct err *err)
{
	char path[PATH_MAX];

	if (outcome_path(node, migration, path, err))
		return -1;
	if (unlink(path) && errno != ENOENT)
		return err_sys(err, "%s", path);
	return 0;
}

/* --- for the VE's life --- */

int ve_journal_may_boot(const struct ve_node *node, unsigned id, bool incoming, struct err *err)
{
	struct verst_journal j;
	int ret = 0;

	if (ve_journal_read(node, id, &j, err))
		return -1;
	switch (j.state) {
	case VERST_JOURNAL_DOUBT:
		ret = err_set(err, ERR_DOUBT, "VE %u may have moved to %s: verst recover %u asks that node",
			      id, j.host, id);
		break;
	case VERST_JOURNAL_MOVED:
		ret = err_set(err, ERR_DOUBT,
			      "VE %u has moved to %s: verst recover %u removes what is left here", id, j.host,
			      id);
		break;
	case VERST_JOURNAL_RECEIVING:
		if (!incoming)
			ret = err_set(err, ERR_DOUBT,
				      "VE %u is only half here: a migration to this node did not end", id);
		break;
	case VERST_JOURNAL_ABORTED:
		ret = err_set(err, ERR_DOUBT,
			      "VE %u is only half here: its migration to this node was given up", id);
		break;
	case VERST_JOURNAL_COMMITTED:
	case VERST_JOURNAL_NONE:
		break;
	}
	verst_journal_free(&j);
	return ret;
}

bool ve_journal_committed(const struct ve_node *node, unsigned id)
{
	struct verst_journal j;
	struct err ignored = ERR_INIT;
	bool ret;

	if (ve_journal_read(node, id, &j, &ignored))
		return false;
	ret = j.state == VERST_JOURNAL_COMMITTED;
	verst_journal_free(&j);
	return ret;
}
