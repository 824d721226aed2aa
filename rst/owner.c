// SPDX-License-Identifier: GPL-2.0-only
#include "rst/owner.h"

#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

int rst_owner_become(const struct rst *r, uint32_t uid, uint32_t gid, struct rst_owner *ret, struct err *err)
{
	int bits = prctl(PR_GET_SECUREBITS);

	if (uid > 65535 || gid > 65535)
		return err_set(err, ERR_IMAGE, "owner %u:%u", uid, gid);
	/* else the capabilities over files go with the change of the user */
	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP))
		return err_sys(err, "securebits");
	setfsgid(r->run.uid_base + gid);
	setfsuid(r->run.uid_base + uid);
	ret->securebits = bits;
	return 0;
}

void rst_owner_leave(struct rst_owner *owner)
{
	if (owner->securebits < 0)
		return;
	setfsuid(geteuid());
	setfsgid(getegid());
	prctl(PR_SET_SECUREBITS, owner->securebits);
	owner->securebits = -1;
}
