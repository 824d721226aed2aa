/* SPDX-License-Identifier: GPL-2.0-only */
/* Which settings of a network namespace are carried: names below /proc/sys/net/. */
#ifndef VERST_MODEL_NETNS_H
#define VERST_MODEL_NETNS_H

#include <stddef.h>

extern const char *const netns_sysctls[];
extern const size_t netns_sysctls_nr;

#endif
