// SPDX-License-Identifier: GPL-2.0-only
/* Records that no dump writes: refused, and nothing else. */
#include <criterion/criterion.h>
#include <sys/mman.h>

#include "tests/unit/mm_world.h"

#define BASE 0x10000000ull

static struct world w;

/* A waiting init with one mapping of each kind. */
static void set_up(void)
{
	struct rst *r = &w.r;
	struct tree_obj tree = {.round = 1};
	struct vma_obj good[] = {
		{.start = BASE, .end = BASE + 0x4000, .prot = PROT_READ | PROT_WRITE, .kind = VMA_ANON},
		{.start = BASE + 0x8000, .end = BASE + 0xa000, .prot = PROT_READ, .kind = VMA_FILE, .reg = 1},
		{.start = BASE + 0x10000,
		 .end = BASE + 0x12000,
		 .prot = PROT_READ,
		 .kind = VMA_SHM,
		 .shm = 5},
	};

	world_start(&w, false);
	world_boot(&w);
	vec_push(&tree.tasks, ((struct tree_task){.pid = 1, .pgid = 1, .sid = 1, .mm = 1}));
	vec_push(&r->m.trees, tree);
	vec_push(&r->m.regs, ((struct reg_obj){.id = 1, .path = mem_strdup("/etc/passwd"), .mode = 0100755}));
	vec_push(&r->m.shms,
		 ((struct shm_obj){.id = 5, .kind = SHM_ANON, .size_bytes = 0x2000, .name = mem_strdup("")}));
	vec_push(&r->m.mms, ((struct mm_obj){.id = 1}));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		vec_push(&r->m.mms.at[0].vmas, good[i]);
	cr_assert_eq(rst_tree_apply(r, &r->m.trees.at[0], &w.err), 0, "%s", w.err.msg);
	cr_assert_eq(rst_mm_apply(r, &r->m.mms.at[0], &w.err), 0, "%s", w.err.msg);
}

static void tear_down(void)
{
	world_end(&w);
}

TestSuite(mm_hostile, .init = set_up, .fini = tear_down);

static void refuse_mm(struct vma_obj v, enum err_code code)
{
	struct mm_obj mm = {.id = 1};

	vec_push(&mm.vmas, v);
	err_clear(&w.err);
	cr_assert_eq(rst_mm_apply(&w.r, &mm, &w.err), -1, "%lx-%lx was taken", v.start, v.end);
	cr_assert_eq(w.err.code, code, "%s", w.err.msg);
	vec_free(&mm.vmas);
}

Test(mm_hostile, mappings)
{
	struct mm_obj stranger = {.id = 7};

	refuse_mm((struct vma_obj){.start = BASE + 1, .end = BASE + 0x1000, .kind = VMA_ANON}, ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1001, .kind = VMA_ANON}, ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = 1ull << 63, .kind = VMA_ANON}, ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE, .kind = VMA_ANON}, ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1000, .kind = VMA_ANON, .prot = 8},
		  ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1000, .kind = VMA_FILE, .reg = 2},
		  ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1000, .kind = VMA_FILE}, ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1000, .kind = VMA_SHM, .shm = 4},
		  ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1000, .kind = VMA_SHM}, ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1000, .kind = VMA_FILE, .reg = 1, .shm = 5},
		  ERR_IMAGE);
	refuse_mm(
		(struct vma_obj){
			.start = BASE, .end = BASE + 0x1000, .kind = VMA_FILE, .reg = 1, .offset = 3},
		ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE,
				   .end = BASE + 0x2000,
				   .kind = VMA_FILE,
				   .reg = 1,
				   .offset = -0x1000ull},
		  ERR_IMAGE);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1000, .kind = VMA_VDSO}, ERR_KERNEL);
	refuse_mm((struct vma_obj){.start = BASE, .end = BASE + 0x1000, .kind = 77}, ERR_IMAGE);
	err_clear(&w.err);
	cr_assert_eq(rst_mm_apply(&w.r, &stranger, &w.err), -1);
	cr_assert_eq(w.err.code, ERR_IMAGE);
}

static void refuse_pages(enum pages_target target, uint32_t id, struct pages_run run)
{
	static const uint8_t data[0x8000];
	struct img_pages p = {.target = target, .id = id, .runs = &run, .nr_runs = 1, .data = data};

	err_clear(&w.err);
	cr_assert_eq(rst_mm_pages(&w.r, &p, &w.err), -1, "%lx was taken", run.start);
	cr_assert_eq(w.err.code, ERR_IMAGE, "%s", w.err.msg);
}

Test(mm_hostile, pages)
{
	for (enum pages_kind kind = PAGES_DATA; kind <= PAGES_DROP; kind++) {
		refuse_pages(PAGES_MM, 2, (struct pages_run){BASE, 1, kind});
		refuse_pages(PAGES_MM, 1,
			     (struct pages_run){BASE + 0x3000, 2, kind}); /* over the end of the mapping */
		refuse_pages(PAGES_MM, 1, (struct pages_run){BASE + 0x4000, 1, kind});
		refuse_pages(PAGES_MM, 1, (struct pages_run){BASE + 0x10000, 1, kind}); /* shared */
		refuse_pages(PAGES_MM, 1, (struct pages_run){0x20000, 1, kind});	/* our own code */
		refuse_pages(PAGES_MM, 1, (struct pages_run){BASE, 1ull << 60, kind});
	}
	refuse_pages(PAGES_MM, 1, (struct pages_run){BASE, 1, 9});
	refuse_pages(PAGES_SHM, 4, (struct pages_run){0, 1, PAGES_DATA});
	refuse_pages(PAGES_SHM, 5, (struct pages_run){0x2000, 1, PAGES_DATA});
	refuse_pages(PAGES_SHM, 5, (struct pages_run){7, 1, PAGES_DATA});
	refuse_pages(PAGES_SHM, 5, (struct pages_run){0, 1, PAGES_INHERIT});
	refuse_pages(77, 1, (struct pages_run){BASE, 1, PAGES_DATA});
}

/* A program may have its memory just where our code waits: that gives way, as often as it must. */
Test(mm_hostile, mapping_over_our_code)
{
	struct mm_obj mm = {.id = 1};
	static const uint8_t data[0x1000] = {1, 2, 3};
	uint64_t start, end;

	for (int i = 0; i < 3; i++) {
		struct pages_run run = {.nr_pages = 1, .kind = PAGES_DATA};
		struct img_pages p = {.target = PAGES_MM, .id = 1, .runs = &run, .nr_runs = 1, .data = data};
		uint8_t back[0x1000];

		remote_blob_range(w.r.tasks.at[0].r, &start, &end);
		mm.vmas.nr = 0;
		vec_push(&mm.vmas, ((struct vma_obj){.start = start,
						     .end = end + 0x1000,
						     .prot = PROT_READ | PROT_WRITE,
						     .kind = VMA_ANON}));
		cr_assert_eq(rst_mm_apply(&w.r, &mm, &w.err), 0, "%s", w.err.msg);
		run.start = start;
		cr_assert_eq(rst_mm_pages(&w.r, &p, &w.err), 0, "%s", w.err.msg);
		cr_assert_eq(remote_read(w.r.tasks.at[0].r, start, back, sizeof(back), &w.err), 0);
		cr_assert(!memcmp(back, data, sizeof(back)));
	}
	vec_free(&mm.vmas);
}
