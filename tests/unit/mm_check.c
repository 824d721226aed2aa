// SPDX-License-Identifier: GPL-2.0-only
/* Memory that cannot be carried is found before anything is stopped. */
#include <criterion/criterion.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/findings.h"
#include "tests/unit/mm_world.h"

static uint64_t map_plain(uint64_t arg)
{
	return (uint64_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static uint64_t map_obstacles(uint64_t arg)
{
	uint64_t ctx = 0;

	syscall(SYS_io_setup, 4, &ctx);
	return ctx;
}

static bool found(const struct findings *f, const char *what)
{
	vec_each(x, &f->list)
		if (strstr(x->what, what))
			return true;
	return false;
}

Test(mm_check, obstacles)
{
	struct findings findings = {0};
	struct world w;

	world_start(&w, false);
	w.c.findings = &findings;
	world_do(&w, 0, map_plain, 0);
	cr_assert_eq(cpt_task_list(&w.c, &w.err), 0);
	cr_assert_eq(cpt_mm_check(&w.c, &w.err), 0, "%s", w.err.msg);
	cr_assert_eq(findings.list.nr, 0, "%s", findings.list.nr ? findings.list.at[0].what : "");
	if (world_do(&w, 0, map_obstacles, 0)) {
		cr_assert_eq(cpt_mm_check(&w.c, &w.err), 0, "%s", w.err.msg);
		cr_assert(found(&findings, "io_setup"));
	}
	world_end(&w);
	findings_free(&findings);
}
