/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one global: where messages for the admin go. cli/ sets the sink; without one nothing is written. Code
 * below cli/ never prints.
 */
#ifndef VERST_LIB_LOG_H
#define VERST_LIB_LOG_H

enum log_level { LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };

typedef void log_sink_fn(enum log_level level, const char *text, void *arg);

void log_set_sink(log_sink_fn *fn, void *arg, enum log_level most);
int log_wants(enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_warn(...)  log_write(LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LEVEL_DEBUG, __VA_ARGS__)

#endif
