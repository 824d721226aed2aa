// SPDX-License-Identifier: GPL-2.0-only
#include "lib/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

int fault_point(const char *name, struct err *err)
{
	const char *at = getenv("VERST_FAULT");
	size_t len = strlen(name);

	for (; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		if (strncmp(at, name, len) || (at[len] && at[len] != '=' && at[len] != ','))
			continue;
		if (!strncmp(at + len, "=kill", 5))
			raise(SIGKILL);
		else if (!strncmp(at + len, "=stop", 5))
			raise(SIGSTOP);
		else
			return err_set(err, ERR_FAULT, "injected fault at %s", name);
	}
	return 0;
}
