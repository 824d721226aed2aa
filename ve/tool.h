/* SPDX-License-Identifier: GPL-2.0-only */
/* Running a program of the host. */
#ifndef VERST_VE_TOOL_H
#define VERST_VE_TOOL_H

#include "lib/lib.h"

/*
 * Runs argv[0], found in PATH, to its end. Its output goes to log_fd, or with -1 nowhere; with ret_out its
 * standard output is returned instead (NUL-terminated, at most 1 MiB). A failure says what it last printed.
 */
int tool_run(const char *const *argv, int log_fd, struct buf *ret_out, struct err *err);

#endif
