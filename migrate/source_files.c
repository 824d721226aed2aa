// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "migrate/peer.h"
#include "migrate/source.h"

#define HEARTBEAT_NS 5000000000LL
#define ANOTHER_PASS_NS                                                                                      \
	3000000000LL /* a pass that took longer left enough time for changes to be worth a second one */
#define PASSES_MAX 4

static int tick(void *arg, uint64_t bytes, unsigned percent, uint64_t bytes_per_s, struct err *err)
{
	struct source *s = arg;

	if (s->progress)
		s->progress(s->progress_arg, &(struct verst_migrate_progress){.phase = VERST_MIGRATE_FILES,
									      .file_bytes = bytes,
									      .file_percent = percent,
									      .bytes_per_s = bytes_per_s});
	if (pump_broken(s->pump, err))
		return -1;
	if (io_now_ns() < s->heartbeat_at_ns)
		return 0;
	s->heartbeat_at_ns = io_now_ns() + HEARTBEAT_NS;
	return peer_heartbeat(s->pump, err);
}

static int emit(void *arg, const struct buf *body, struct err *err)
{
	struct source *s = arg;

	return pump_send(s->pump, FRAME_FILE, body->at, body->len_bytes, err);
}

static void exclude(void *arg, const char *path)
{
	rsync_exclude(arg, path);
}

int source_files_copy(struct source *s, struct err *err)
{
	struct buf excludes = {0};
	struct rsync_job job = {.from = s->ve.upper,
				.to = s->far_upper,
				.target = s->opts->target,
				.key_path = s->opts->key_path,
				.known_hosts = s->opts->known_hosts,
				.bytes_per_s = s->opts->bytes_per_s,
				.excludes = &excludes,
				.tick = tick,
				.arg = s};
	int ret = 0;

	source_enter(s, VERST_MIGRATE_FILES);
	if (fault_point("migrate-files", err))
		return -1;
	s->files.emit = emit;
	s->files.arg = s;
	for (int pass = 0; !ret && pass < PASSES_MAX; pass++) {
		int64_t begin_ns = io_now_ns();
		uint64_t bytes = 0;

		/* looked at first, copied then: what changes in between is found by the next comparison */
		filesend_end(&s->files);
		buf_clear(&excludes);
		ret = filesend_begin(&s->files, s->upper_fd, err);
		if (!ret)
			ret = filesend_indexed(&s->files, exclude, &excludes, err);
		if (!ret)
			ret = s->means->copy(s->means->arg, &job, &bytes, err);
		s->stats.file_bytes += bytes;
		if (io_now_ns() - begin_ns < ANOTHER_PASS_NS)
			break;
	}
	buf_free(&excludes);
	return ret;
}

int source_files_catch_up(struct source *s, struct err *err)
{
	int ret = filesend_changes(&s->files, err);

	s->stats.changed_files = s->files.stats.files + s->files.stats.removed;
	s->stats.changed_bytes = s->files.stats.bytes;
	return ret;
}

static void force(void *arg, const char *path)
{
	filesend_force(arg, path);
}

bool source_files_timeless(const struct source *s)
{
	struct statfs fs;

	return !fstatfs(s->upper_fd, &fs) && (uint64_t)fs.f_type == TMPFS_MAGIC;
}

int source_files_shared(struct source *s, struct err *err)
{
	return s->engine->shared_files(s->v, s->ve.id, force, &s->files, err);
}
