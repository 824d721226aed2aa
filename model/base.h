/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all objects share. Ids are given by the dump, from 1, per kind; 0 means none. Model structs are plain
 * data: owned by struct model (model/model.h), no system calls, nothing that points outside of the model.
 */
#ifndef VERST_MODEL_BASE_H
#define VERST_MODEL_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/vec.h"

typedef uint32_t mm_id, shm_id, file_id, reg_id, ghost_id, files_id, fs_id, sighand_id, mount_id, pipe_id,
	tty_id;

struct bytes {
	uint8_t *at; /* owned; NULL when empty */
	size_t len_bytes;
};

static inline struct bytes bytes_dup(const void *p, size_t len_bytes)
{
	return (struct bytes){len_bytes ? mem_dup(p, len_bytes) : NULL, len_bytes};
}

#endif
