/* SPDX-License-Identifier: GPL-2.0-only */
/* The last of what a VE wrote on its console, for one who attaches later. */
#ifndef VERST_VE_CONSOLE_H
#define VERST_VE_CONSOLE_H

#include "lib/lib.h"

#define CONSOLE_KEEP_BYTES 65536

struct console {
	size_t total_bytes; /* ever written */
	uint8_t ring[CONSOLE_KEEP_BYTES];
};

void console_put(struct console *c, const uint8_t *p, size_t len_bytes);
/* Appends what is kept, oldest first. */
void console_get(const struct console *c, struct buf *ret);

#endif
