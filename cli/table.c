// SPDX-License-Identifier: GPL-2.0-only
/* All commands, in the order of `verst --help`. */
#include "cli/commands.h"

const struct cli_command *const cli_table[] = {
	/* a VE's life */
	&cli_create,
	&cli_destroy,
	&cli_start,
	&cli_stop,
	&cli_restart,
	&cli_status,
	&cli_list,
	&cli_exec,
	&cli_enter,
	&cli_console,
	&cli_set,
	/* images */
	&cli_checkpoint,
	&cli_restore,
	&cli_check,
	&cli_image_show,
	&cli_image_verify,
	/* other nodes */
	&cli_migrate,
	&cli_recover,
	&cli_agent,
	&cli_rsh,
	/* templates */
	&cli_template_build,
	&cli_template_list,
	&cli_template_remove,
	/* tests */
	&cli_fault_points,
	NULL,
};
