/* SPDX-License-Identifier: GPL-2.0-only */
/* All of lib/ that most files need. */
#ifndef VERST_LIB_LIB_H
#define VERST_LIB_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "lib/err.h"
#include "lib/fault.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/undo.h"
#include "lib/vec.h"

#endif
