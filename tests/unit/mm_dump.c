// SPDX-License-Identifier: GPL-2.0-only
/* Memory from victims into an image and back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/findings.h"
#include "tests/unit/mm_world.h"

#define PAGES(n) ((uint64_t)(n)*4096)
#define AT	 ((char *)0x200000000000) /* where victims put their memory */

static char *map_at(uint64_t offset, uint64_t len)
{
	return mmap(AT + offset, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Every page gets bytes of its own. */
static void fill(char *p, uint64_t len, unsigned salt)
{
	for (uint64_t i = 0; i < len; i += 4096)
		*(uint64_t *)(p + i) = (uint64_t)(p + i) * 2654435761u + salt,
				  *(uint64_t *)(p + i + 4088) = salt;
}

static uint64_t map_64(uint64_t salt)
{
	fill(map_at(0, PAGES(64)), PAGES(64), (unsigned)salt);
	return 0;
}

static uint64_t write_page(uint64_t page)
{
	AT[PAGES(page)]++;
	return 0;
}

static uint64_t read_page(uint64_t page)
{
	return *(volatile uint64_t *)(AT + PAGES(page));
}

Test(mm_dump, all_at_once)
{
	struct world w;

	world_start(&w, false);
	world_do(&w, 0, map_64, 1);
	world_check(&w, 0);
	world_end(&w);
}

Test(mm_dump, rounds_find_what_was_written)
{
	struct world w;

	world_start(&w, false);
	world_do(&w, 0, map_64, 1);
	world_round(&w);
	cr_assert_geq(w.last.sent_pages, 64);
	world_round(&w);
	cr_assert_leq(w.last.sent_pages, 8, "%lu pages", w.last.sent_pages); /* the victim's stack */
	world_do(&w, 0, write_page, 7);
	world_do(&w, 0, write_page, 9);
	world_round(&w);
	cr_assert_geq(w.last.sent_pages, 2);
	cr_assert_leq(w.last.sent_pages, 10, "%lu pages", w.last.sent_pages);
	world_do(&w, 0, write_page, 9);
	world_check(&w, 0);
	cr_assert_leq(w.last.sent_pages, 10, "%lu pages", w.last.sent_pages);
	world_end(&w);
}

static uint64_t open_direct(uint64_t arg)
{
	return (uint64_t)open("/bin/sh", O_RDONLY | O_DIRECT);
}

/* With a file open for direct I/O the task is stopped for each arming. */
Test(mm_dump, rounds_beside_direct_io)
{
	struct world w;

	world_start(&w, false);
	world_do(&w, 0, map_64, 1);
	world_round(&w);
	cr_assert_geq((int64_t)world_do(&w, 0, open_direct, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		world_do(&w, 0, write_page, i * 3);
		world_round(&w);
	}
	cr_assert_leq(w.last.sent_pages, 10, "%lu pages", w.last.sent_pages);
	world_do(&w, 0, write_page, 20);
	world_check(&w, 0);
	world_end(&w);
}

/* --- pages that go, mappings that change under the same addresses --- */

static uint64_t drop_some(uint64_t arg)
{
	madvise(AT + PAGES(8), PAGES(16), MADV_DONTNEED);
	read_page(9); /* the zero page is there now */
	return 0;
}

static uint64_t map_again(uint64_t arg)
{
	munmap(AT, PAGES(64));
	map_at(0, PAGES(64));
	AT[PAGES(3)] = 'x';
	return 0;
}

static uint64_t move_away(uint64_t arg)
{
	mremap(AT, PAGES(32), PAGES(32), MREMAP_MAYMOVE | MREMAP_FIXED, AT + PAGES(128));
	return 0;
}

static uint64_t move_onto(uint64_t arg)
{
	mremap(AT, PAGES(16), PAGES(16), MREMAP_MAYMOVE | MREMAP_FIXED, AT + PAGES(32));
	map_at(0, PAGES(16));
	return 0;
}

static uint64_t move_leaving_it(uint64_t arg)
{
	/* MREMAP_DONTUNMAP */
	mremap(AT, PAGES(16), PAGES(16), MREMAP_MAYMOVE | MREMAP_FIXED | 4, AT + PAGES(128));
	return 0;
}

static uint64_t shrink_and_grow(uint64_t arg)
{
	munmap(AT + PAGES(40), PAGES(24));
	mremap(AT, PAGES(40), PAGES(80), MREMAP_MAYMOVE | MREMAP_FIXED, AT + PAGES(1000));
	fill(AT + PAGES(1040), PAGES(40), 5);
	return 0;
}

static uint64_t protect_some(uint64_t arg)
{
	mprotect(AT + PAGES(4), PAGES(4), PROT_NONE);
	mprotect(AT + PAGES(20), PAGES(4), PROT_READ);
	mprotect(AT + PAGES(30), PAGES(4), PROT_READ | PROT_EXEC);
	return 0;
}

static uint64_t zero_some(uint64_t arg)
{
	memset(AT + PAGES(5), 0, PAGES(5));
	return 0;
}

static void change_between(world_fn *change, unsigned rounds_after)
{
	struct world w;

	world_start(&w, false);
	world_do(&w, 0, map_64, 1);
	world_round(&w);
	world_round(&w);
	world_do(&w, 0, change, 0);
	world_check(&w, rounds_after);
	world_end(&w);
}

#define CHANGE(name, fn)                                                                                     \
	Test(mm_dump, name)                                                                                  \
	{                                                                                                    \
		for (unsigned i = 0; i < 3; i++)                                                             \
			change_between(fn, i);                                                               \
	}

CHANGE(dontneed, drop_some)
CHANGE(unmapped_and_mapped_again, map_again)
CHANGE(moved, move_away)
CHANGE(moved_onto_another, move_onto)
CHANGE(moved_leaving_it, move_leaving_it)
CHANGE(shrunk_and_grown, shrink_and_grow)
CHANGE(protected, protect_some)
CHANGE(zeroed, zero_some)

/* --- kinds of mappings --- */

static uint64_t map_kinds(uint64_t arg)
{
	int fd = open("/bin/sh", O_RDONLY);
	char *p = mmap(AT, PAGES(16), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);

	p[PAGES(3)] = 'x';
	memset(p + PAGES(5), 0, PAGES(1)); /* a page of zeros that hides the file's */
	mprotect(p, PAGES(4), PROT_READ);
	close(fd);
	p = mmap(AT + PAGES(32), PAGES(16), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	p[PAGES(15)] = 1;
	p = map_at(PAGES(64), PAGES(1024));
	p = (char *)(((uint64_t)p + (2 << 20) - 1) & ~((2ull << 20) - 1));
	madvise(p, 2 << 20, MADV_HUGEPAGE);
	fill(p, 2 << 20, 9);
	madvise(p + (2 << 20) - PAGES(8), PAGES(8), MADV_DONTFORK);
	p = map_at(PAGES(2048), PAGES(16));
	madvise(p, PAGES(2), MADV_DONTDUMP);
	madvise(p + PAGES(2), PAGES(2), MADV_WIPEONFORK);
	madvise(p + PAGES(4), PAGES(2), MADV_RANDOM);
	mlock2(p + PAGES(6), PAGES(2), 0);
	mlock2(p + PAGES(8), PAGES(2), 1);
	fill(p, PAGES(6), 3);
	mmap(AT + PAGES(4096), 1ull << 36, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(AT + PAGES(4096) + (1ull << 37), 1ull << 36, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	AT[PAGES(4096) + (1ull << 37) + (1ull << 35)] = 1;
	return 0;
}

Test(mm_dump, kinds)
{
	for (unsigned i = 0; i < 2; i++) {
		struct world w;

		world_start(&w, false);
		world_do(&w, 0, map_kinds, 0);
		world_check(&w, i * 2);
		world_end(&w);
	}
}

static uint64_t drop_file_page(uint64_t arg)
{
	madvise(AT + PAGES(5), PAGES(1), MADV_DONTNEED);
	if (arg)
		return (uint64_t)AT[PAGES(5)];
	return 0;
}

/* A written page of a file that is given up is the file's again. */
Test(mm_dump, file_page_given_up)
{
	for (unsigned i = 0; i < 4; i++) {
		struct world w;

		world_start(&w, false);
		world_do(&w, 0, map_kinds, 0);
		world_round(&w);
		world_do(&w, 0, drop_file_page, i & 1);
		world_check(&w, i / 2);
		world_end(&w);
	}
}

/* --- fork --- */

static void fork_world(unsigned rounds_before, unsigned rounds_after)
{
	struct world w;

	world_start(&w, false);
	world_do(&w, 0, map_64, 1);
	if (rounds_before)
		world_round(&w);
	world_fork(&w, 0, 1);
	world_fork(&w, 1, 2);
	world_do(&w, 1, write_page, 3);
	world_do(&w, 0, write_page, 4);
	world_do(&w, 2, drop_some, 0);
	for (unsigned i = 0; i < rounds_after; i++) {
		world_round(&w);
		world_do(&w, 1, write_page, 5 + i);
		world_do(&w, 0, write_page, 30 + i);
	}
	world_check(&w, 0);
	world_end(&w);
}

Test(mm_dump, forks)
{
	for (unsigned before = 0; before < 2; before++)
		for (unsigned after = 0; after < 3; after++)
			fork_world(before, after);
}

/* Pages shared copy-on-write travel once. */
Test(mm_dump, inheritance)
{
	struct world w;
	uint64_t one;

	world_start(&w, false);
	world_do(&w, 0, map_64, 1);
	world_freeze(&w);
	one = w.last.sent_pages;
	world_end(&w);
	world_start(&w, false);
	world_do(&w, 0, map_64, 1);
	world_fork(&w, 0, 1);
	world_fork(&w, 0, 2);
	world_do(&w, 2, write_page, 3);
	world_check(&w, 0);
	cr_assert_lt(w.last.sent_pages, one * 2, "%lu pages, one task has %lu", w.last.sent_pages, one);
	world_end(&w);
}

static uint64_t exit_now(uint64_t arg)
{
	_exit((int)arg);
}

/* Tasks come, go and become others between the rounds. */
Test(mm_dump, tasks_change)
{
	struct world w;
	struct order_ {
		world_fn *fn;
		uint64_t arg;
	} order = {exit_now, 3};

	world_start(&w, false);
	world_do(&w, 0, map_64, 1);
	world_fork(&w, 0, 1);
	world_fork(&w, 1, 2);
	world_round(&w);
	world_fork(&w, 0, 3);
	world_do(&w, 3, write_page, 1);
	world_round(&w);
	world_exec(&w, 1); /* 2 stays its child */
	world_do(&w, 2, write_page, 9);
	world_round(&w);
	world_exec(&w, 0);						       /* even init */
	cr_assert_eq(write(w.to[3][1], &order, sizeof(order)), sizeof(order)); /* a zombie */
	usleep(20000);
	world_check(&w, 1);
	world_end(&w);
}

/* --- shared memory --- */

static int shm_fd;

static uint64_t make_shm(uint64_t arg)
{
	char *p = mmap(AT, PAGES(64), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	fill(p, PAGES(16), 1);
	shm_fd = memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(shm_fd, (off_t)PAGES(32) - 100))
		return 1;
	p = mmap(AT + PAGES(64), PAGES(32), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, shm_fd, 0);
	fill(p, PAGES(8), 2);
	p = mmap(AT + PAGES(128), PAGES(16), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, shm_fd,
		 (off_t)PAGES(2));
	p[0] = 1;
	return 0;
}

static uint64_t shm_write_elsewhere(uint64_t arg)
{
	AT[PAGES(1)]++; /* through the mapping */
	pwrite(shm_fd, "hello", 5, (off_t)PAGES(4) + 7);
	return 0;
}

static uint64_t shm_punch(uint64_t arg)
{
	madvise(AT + PAGES(2), PAGES(2), MADV_REMOVE);
	read_page(2);
	fallocate(shm_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)PAGES(2));
	if (ftruncate(shm_fd, (off_t)PAGES(6)))
		return 1;
	return 0;
}

static uint64_t shm_seal(uint64_t arg)
{
	char *p;

	munmap(AT + PAGES(64), PAGES(32));
	fcntl(shm_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK);
	p = mmap(AT + PAGES(64), PAGES(32), PROT_READ, MAP_SHARED | MAP_FIXED, shm_fd, 0);
	return p == MAP_FAILED;
}

Test(mm_dump, shared_memory)
{
	for (unsigned i = 0; i < 6; i++) {
		struct world w;

		world_start(&w, i & 1);
		world_do(&w, 0, make_shm, 0);
		world_fork(&w, 0, 1);
		if (i > 1)
			world_round(&w);
		world_do(&w, 1, shm_write_elsewhere, 0);
		if (i > 3)
			world_round(&w);
		world_do(&w, 1, shm_punch, 0);
		if (i > 4)
			world_do(&w, 0, shm_seal, 0);
		world_check(&w, i > 3);
		world_end(&w);
	}
}

/* A child that writes to shared memory and is gone before anybody looks. */
static uint64_t write_by_passing_child(uint64_t arg)
{
	pid_t pid = fork();

	if (!pid) {
		AT[PAGES(5)] = 77;
		_exit(0);
	}
	syscall(SYS_wait4, pid, NULL, 0, NULL);
	return 0;
}

Test(mm_dump, shared_memory_of_a_passing_child)
{
	struct world w;

	world_start(&w, false);
	world_do(&w, 0, make_shm, 0);
	world_round(&w);
	world_do(&w, 0, write_by_passing_child, 0);
	world_check(&w, 0);
	world_end(&w);
}

/* Random changes over many rounds. */
static uint64_t random_change(uint64_t seed)
{
	unsigned s = (unsigned)seed;
	uint64_t page = (uint64_t)rand_r(&s) % 60, nr = (uint64_t)rand_r(&s) % 4 + 1;
	static unsigned salt;

	switch (rand_r(&s) % 8) {
	case 0:
		munmap(AT + PAGES(page), PAGES(nr));
		break;
	case 1:
		map_at(PAGES(page), PAGES(nr));
		break;
	case 2:
		map_at(PAGES(page), PAGES(nr));
		fill(AT + PAGES(page), PAGES(nr), ++salt);
		break;
	case 3:
		madvise(AT + PAGES(page), PAGES(nr), MADV_DONTNEED);
		break;
	case 4:
		mprotect(AT + PAGES(page), PAGES(nr), PROT_READ);
		break;
	case 5:
		mremap(AT + PAGES(page), PAGES(nr), PAGES(nr), MREMAP_MAYMOVE | MREMAP_FIXED,
		       AT + PAGES((uint64_t)rand_r(&s) % 60 + 64));
		break;
	case 6:
		mremap(AT + PAGES(page + 64), PAGES(nr), PAGES(nr), MREMAP_MAYMOVE | MREMAP_FIXED,
		       AT + PAGES((uint64_t)rand_r(&s) % 60));
		break;
	case 7:
		if (!mprotect(AT + PAGES(page), PAGES(nr), PROT_READ | PROT_WRITE))
			fill(AT + PAGES(page), PAGES(nr), ++salt);
		break;
	}
	return 0;
}

static void random_world(unsigned seed)
{
	struct world w;
	unsigned nr = 1;

	world_start(&w, seed & 1);
	world_do(&w, 0, map_64, 1);
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < 12; i++)
			world_do(&w, (unsigned)rand_r(&seed) % nr, random_change, (uint64_t)rand_r(&seed));
		if (nr < WORLD_VICTIMS && rand_r(&seed) % 2) {
			world_fork(&w, (unsigned)rand_r(&seed) % nr, nr);
			nr++;
		}
		if (rand_r(&seed) % 3)
			world_round(&w);
	}
	world_check(&w, 0);
	world_end(&w);
}

Test(mm_dump, random_changes)
{
	for (unsigned seed = 1; seed < 40; seed++)
		random_world(seed * 7919);
}

/* --- while everything moves --- */

static void be_busy(unsigned seed, bool fork_too)
{
	for (unsigned i = 0;; i++) {
		random_change((uint64_t)rand_r(&seed));
		if (!fork_too || rand_r(&seed) % 50)
			continue;
		if (!fork()) { /* lives for a while, and may be seen or not */
			unsigned nr = (unsigned)rand_r(&seed) % 3000;

			for (unsigned k = 0; k < nr; k++)
				random_change((uint64_t)rand_r(&seed));
			_exit(0);
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static uint64_t start_busy(uint64_t seed)
{
	if (!fork())
		be_busy((unsigned)seed, seed & 1);
	return 0;
}

/* Mappings and pages change all the time, processes come and go, while the rounds look at them. */
Test(mm_dump, rounds_of_a_busy_tree)
{
	for (unsigned i = 0; i < 4; i++) {
		struct world w;

		world_start(&w, false);
		world_do(&w, 0, map_64, 1);
		for (unsigned k = 0; k < 4; k++)
			world_do(&w, 0, start_busy, 2 * i + 100 * k + k % 2);
		for (unsigned k = 0; k < 1 + i % 4; k++)
			world_round(&w);
		world_check(&w, 0);
		world_end(&w);
	}
}

/* A kernel without PAGEMAP_SCAN: no rounds of memory, but the same end. */
Test(mm_dump, without_scan)
{
	struct findings findings = {0};
	struct world w;

	world_start(&w, false);
	w.c.findings = &findings;
	cr_assert_eq(cpt_mm_check(&w.c, &w.err), 0, "%s", w.err.msg);
	w.c.mm->can_scan = false;
	world_do(&w, 0, map_kinds, 0);
	world_fork(&w, 0, 1);
	world_do(&w, 1, write_page, 40);
	world_check(&w, 1);
	world_end(&w);
	findings_free(&findings);
}
