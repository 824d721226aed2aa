// SPDX-License-Identifier: GPL-2.0-only
/* The VE's names, set by its own init. */
#include <sys/syscall.h>

#include "rst/rst.h"

int rst_uts_restore(struct rst *r, struct err *err)
{
	const struct ve_obj *ve = &r->m.ve.at[0];
	struct remote_batch *b = remote_batch_new();
	size_t host = strlen(ve->hostname), domain = strlen(ve->domainname);
	int ret;

	remote_call(b, "sethostname", 0, SYS_sethostname,
		    ra_data(remote_batch_data(b, ve->hostname, host + 1)), ra_num(host));
	remote_call(b, "setdomainname", 0, SYS_setdomainname,
		    ra_data(remote_batch_data(b, ve->domainname, domain + 1)), ra_num(domain));
	ret = remote_batch_run(r->tasks.at[0].r, b, err);
	remote_batch_free(b);
	return ret;
}
