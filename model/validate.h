/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of model_validate share. Each checks its kinds of objects, and that what they name exists.
 */
#ifndef VERST_MODEL_VALIDATE_H
#define VERST_MODEL_VALIDATE_H

#include <stdarg.h>

#include "lib/lib.h"
#include "model/model.h"

/* ERR_IMAGE with the text; -1. */
int validate_bad(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sorts; false if a number is there twice, *ret_twice then. */
bool validate_unique(uint32_t *numbers, size_t nr, uint32_t *ret_twice);

int validate_tasks(const struct model *m,
		   struct err *err); /* model/validate_task.c: trees, tasks, signal handlers, fs */
int validate_memory(const struct model *m, struct err *err); /* model/validate_mm.c: mm, shm, reg, ghost */
int validate_files(const struct model *m,
		   struct err *err); /* model/validate_file.c: open files and what is open */
int validate_sockets(const struct model *m, struct err *err); /* model/validate_sock.c: unix, inet */
int validate_ns(const struct model *m,
		struct err *err); /* model/validate_ns.c: mounts, their files, network */

int validate_cgroups(const struct model *m,
		     struct err *err); /* model/validate_cgroup.c: cgroups, and that tasks are in one */

/* Sizes and offsets of files: loff_t. */
#define VALIDATE_MAX_SIZE ((uint64_t)INT64_MAX)

#endif
