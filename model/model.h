/* SPDX-License-Identifier: GPL-2.0-only */
/* A VE as data: every object of it, in one vector a kind, in the order of objects.def. */
#ifndef VERST_MODEL_MODEL_H
#define VERST_MODEL_MODEL_H

#include "lib/err.h"
#include "model/base.h"
#include "model/cgroup.h"
#include "model/file.h"
#include "model/ipc.h"
#include "model/mm.h"
#include "model/ns.h"
#include "model/sock.h"
#include "model/task.h"
#include "model/ve.h"

struct model {
#define OBJECT(name, type, struct_, member) VEC(struct_) member;
#include "model/objects.def"
#undef OBJECT
};

enum object_type {
#define OBJECT(name, type, struct_, member) OBJ_##name = type,
#include "model/objects.def"
#undef OBJECT
};

void model_free(struct model *m);

/* What one object owns; it is all zeros then. */
#define OBJECT(name, type, struct_, member) void model_free_##name(struct_ *obj);
#include "model/objects.def"
#undef OBJECT

/*
 * By id; NULL if there is none. Ids are given in ascending order by the dump and the reader refuses others,
 * so these are binary searches.
 */
struct mm_obj *model_mm(const struct model *m, mm_id id);
struct shm_obj *model_shm(const struct model *m, shm_id id);
struct reg_obj *model_reg(const struct model *m, reg_id id);
struct ghost_obj *model_ghost(const struct model *m, ghost_id id);
struct file_obj *model_file(const struct model *m, file_id id);
struct files_obj *model_files(const struct model *m, files_id id);
struct fs_obj *model_fs(const struct model *m, fs_id id);
struct sighand_obj *model_sighand(const struct model *m, sighand_id id);
struct pipe_obj *model_pipe(const struct model *m, pipe_id id);
struct tty_obj *model_tty(const struct model *m, tty_id id);
struct unix_obj *model_unix(const struct model *m, uint32_t id);
struct inet_obj *model_inet(const struct model *m, uint32_t id);
struct eventfd_obj *model_eventfd(const struct model *m, uint32_t id);
struct timerfd_obj *model_timerfd(const struct model *m, uint32_t id);
struct signalfd_obj *model_signalfd(const struct model *m, uint32_t id);
struct epoll_obj *model_epoll(const struct model *m, uint32_t id);
struct inotify_obj *model_inotify(const struct model *m, uint32_t id);
struct pidfd_obj *model_pidfd(const struct model *m, uint32_t id);
struct chardev_obj *model_chardev(const struct model *m, uint32_t id);
struct mount_obj *model_mount(const struct model *m, mount_id id);
struct cgroup_obj *model_cgroup(const struct model *m, uint32_t id);
struct cgroup_obj *model_cgroup_at(const struct model *m, const char *path); /* they are in order by it */
struct task_obj *model_task(const struct model *m,
			    uint32_t pid); /* tasks are in the order of the tree, not by pid */

/*
 * Does it hold together: every id that is named exists, no cycles, one init, tree order, ranges sane and
 * apart from each other, counts within bounds. Pure; the restore calls it before it builds anything from the
 * frozen part.
 */
int model_validate(const struct model *m, struct err *err);

/* Of one alone, for what is built as it arrives: parents before children, ranges in order and apart. The
 * reader calls them. */
int model_validate_tree(const struct tree_obj *tree, struct err *err);
int model_validate_mm(const struct mm_obj *mm, struct err *err);
/* May v map shm? Of a System V segment there are only shared mappings, within it, while it is there. */
bool model_segment_fits(const struct shm_obj *shm, const struct vma_obj *v, uint64_t page_bytes);
int model_validate_fsent(const struct fsent_obj *f, struct err *err);

#endif
