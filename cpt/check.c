// SPDX-License-Identifier: GPL-2.0-only
/* `verst check`: this node's kernel, as far as Verst is concerned. */
#include <stdio.h>
#include <sys/utsname.h>

#include "cpt/cpt.h"
#include "facts/kernel.h"
#include "lib/findings.h"

int verst_check_node(struct verst *v, struct verst_findings *ret, struct err *err)
{
	struct findings list = {0};
	unsigned missing = 0;

	for (size_t i = 0; i < kernel_features_nr; i++) {
		const struct kernel_feature *f = &kernel_features[i];
		int e = f->probe();

		if (!e) {
			findings_add(&list, f->name, NULL, "works: %s", f->use);
			continue;
		}
		missing += f->need == NEED_MUST;
		findings_add(&list, f->name, NULL, "missing (%s), so %s", strerror(e), f->without);
	}
	_Static_assert(sizeof(struct finding) == sizeof(struct verst_finding),
		       "same fields in the same order");
	ret->at = (struct verst_finding *)list.list.at;
	ret->nr = list.list.nr;
	if (missing)
		return err_set(err, ERR_KERNEL, "this node lacks %u feature%s that Verst needs", missing,
			       missing == 1 ? "" : "s");
	return 0;
}
