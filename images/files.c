// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/files.pb-c.h"

#define T struct fd_entry
static const struct img_field fd_fields[] = {NUM(fd), NUM(file), NUM(cloexec)};
static const struct img_table fd_table = IMG_TABLE(fd_entry, fd_fields);
#undef T

#define T struct files_obj
static const struct img_field fields[] = {NUM(id), LIST(fds, fd_table, IMG_MAX_COUNT)};
static const struct img_table table = IMG_TABLE(files, fields);
#undef T

const struct img_kind img_files_kind = {.table = &table, .order = IMG_BY_ID};
