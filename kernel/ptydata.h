/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is on its way through a pseudo-terminal. A terminal has no peek: data is taken out and put in again,
 * while nobody else uses either end. Settings are changed for the time and are as before when the functions
 * return.
 *
 * Where the slave is in canonical mode, its input is taken line by line, so that a line that is still being
 * edited stays one: the end-of-file character stands in the bytes where it had been typed.
 */
#ifndef VERST_KERNEL_PTYDATA_H
#define VERST_KERNEL_PTYDATA_H

#include "lib/buf.h"
#include "lib/lib.h"

/*
 * Both directions, appended to the buffers, which hold what was taken in any case. ret_stopped: output is
 * stopped, by the stop character or TCOOFF.
 */
int ptydata_take(int master, int slave, struct buf *ret_to_slave, struct buf *ret_to_master,
		 bool *ret_stopped, struct err *err);

/* The reverse: both directions must be empty. */
int ptydata_put(int master, int slave, const struct buf *to_slave, const struct buf *to_master,
		struct err *err);

/* Stops the output, in the way that the terminal's settings let it be started again. */
int ptydata_stop(int master, int slave, struct err *err);

#endif
