/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VERST_CLI_FINDINGS_H
#define VERST_CLI_FINDINGS_H

#include <stdio.h>

#include "cli/cli.h"

/* As a list for people, or as a JSON array of objects with where, what and hint. */
void findings_print(const struct cli *cli, FILE *to, const struct verst_findings *f);

#endif
