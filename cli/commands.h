/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VERST_CLI_COMMANDS_H
#define VERST_CLI_COMMANDS_H

#include "cli/cli.h"

/* cli/life.c */
extern const struct cli_command cli_create, cli_destroy, cli_start, cli_stop, cli_restart, cli_set;
/* cli/show.c */
extern const struct cli_command cli_status, cli_list;
/* cli/exec.c */
extern const struct cli_command cli_exec, cli_enter, cli_console;
/* cli/template.c */
extern const struct cli_command cli_template_build, cli_template_list, cli_template_remove;
/* cli/image.c */
extern const struct cli_command cli_image_show, cli_image_verify;
/* cli/migrate.c, cli/agent.c, cli/recover.c */
extern const struct cli_command cli_migrate, cli_agent, cli_rsh, cli_recover;
/* cli/checkpoint.c, cli/restore.c */
extern const struct cli_command cli_checkpoint, cli_check, cli_restore;
/* cli/faults.c */
extern const struct cli_command cli_fault_points;

#endif
