// SPDX-License-Identifier: GPL-2.0-only
#include "facts/sysvipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static const char *const paths[] = {
	[SYSVIPC_SHM] = "/proc/sysvipc/shm",
	[SYSVIPC_SEM] = "/proc/sysvipc/sem",
	[SYSVIPC_MSG] = "/proc/sysvipc/msg",
};

/* sysvipc_shm_proc_show, sysvipc_sem_proc_show, sysvipc_msg_proc_show of the kernel's ipc/ */
static bool parse(enum sysvipc_kind kind, const char *line, struct sysvipc_entry *ret)
{
	unsigned long size = 0, nr = 0;
	struct sysvipc_entry e = {0};
	int key, got = 0;

	switch (kind) {
	case SYSVIPC_SHM:
		got = sscanf(line, "%d %u %o %lu %*d %*d %lu %u %u %u %u", &key, &e.id, &e.perms, &size, &nr,
			     &e.uid, &e.gid, &e.cuid, &e.cgid);
		break;
	case SYSVIPC_SEM:
		got = 1 + sscanf(line, "%d %u %o %lu %u %u %u %u", &key, &e.id, &e.perms, &nr, &e.uid, &e.gid,
				 &e.cuid, &e.cgid);
		break;
	case SYSVIPC_MSG:
		got = sscanf(line, "%d %u %o %lu %lu %*d %*d %u %u %u %u", &key, &e.id, &e.perms, &size, &nr,
			     &e.uid, &e.gid, &e.cuid, &e.cgid);
		break;
	}
	e.key = (uint32_t)key;
	e.size_bytes = size;
	e.nr = nr;
	*ret = e;
	return got == 9;
}

int sysvipc_read(enum sysvipc_kind kind, sysvipc_entries *ret, struct err *err)
{
	struct buf text;
	int result = 0;

	if (io_read_file(AT_FDCWD, paths[kind], 16u << 20, &text, err))
		return err->sys_errno == ENOENT ? 0 : -1;
	/* the first line is the heading */
	for (char *line = strchr((char *)text.at, '\n'); line && line[1] && !result;
	     line = strchr(line + 1, '\n')) {
		struct sysvipc_entry e;

		if (parse(kind, line + 1, &e))
			vec_push(ret, e);
		else
			result = err_set(err, ERR_SYSTEM, "%s: a line of another form", paths[kind]);
	}
	buf_free(&text);
	return result;
}
