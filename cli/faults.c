// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "cli/commands.h"

static const char *const names[] = {
#include "fault_names.h"
};

static int run_fault_points(struct cli *cli, int argc, char **argv, struct err *err)
{
	_texts_ struct cli_texts args = {0};
	int r = cli_parse(cli, argc, argv, NULL, 0, 0, 0, -1, &args, err);

	if (r)
		return r < 0 ? -1 : 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		puts(names[i]);
	return 0;
}

const struct cli_command cli_fault_points = {
	.name = "fault-points",
	.args = "",
	.summary = "List the places that VERST_FAULT can make fail (for tests)",
	.run = run_fault_points,
	.hidden = true,
};
