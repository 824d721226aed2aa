/* SPDX-License-Identifier: GPL-2.0-only */
/* Between our own standard streams and somebody else's. */
#ifndef VERST_CLI_RELAY_H
#define VERST_CLI_RELAY_H

#include "lib/lib.h"

struct relay {
	int to;		  /* our standard input goes here; -1: nowhere */
	int from, errors; /* to our standard output and error; errors may be -1 */
	int done_fd;	  /* readable: all is said, only what is there already is still passed on; or -1 */
	bool terminal;	  /* to is a terminal: set ours to raw, pass on changes of its size */
	char escape;	  /* this character, then a dot, ends it; 0: none */
	void (*close_to)(void *arg); /* our input ended */
	void *arg;
};

/* Until done_fd says so or `from` ends. Our terminal is as it was afterwards. */
int relay_run(struct relay *relay, struct err *err);

#endif
