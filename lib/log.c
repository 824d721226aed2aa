// SPDX-License-Identifier: GPL-2.0-only
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static struct {
	log_sink_fn *fn;
	void *arg;
	enum log_level most;
} sink;

void log_set_sink(log_sink_fn *fn, void *arg, enum log_level most)
{
	sink.fn = fn;
	sink.arg = arg;
	sink.most = most;
}

int log_wants(enum log_level level)
{
	return sink.fn && level <= sink.most;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char text[2048];
	va_list ap;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sink.fn(level, text, sink.arg);
	errno = saved;
}
