// SPDX-License-Identifier: GPL-2.0-only
#include "ve/console.h"

#include <string.h>

void console_put(struct console *c, const uint8_t *p, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		c->ring[c->total_bytes++ % CONSOLE_KEEP_BYTES] = p[i];
}

void console_get(const struct console *c, struct buf *ret)
{
	size_t at = c->total_bytes % CONSOLE_KEEP_BYTES;

	if (c->total_bytes > CONSOLE_KEEP_BYTES)
		buf_put(ret, c->ring + at, CONSOLE_KEEP_BYTES - at);
	buf_put(ret, c->ring, at);
}
