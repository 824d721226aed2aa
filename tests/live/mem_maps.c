/* SPDX-License-Identifier: GPL-2.0-only */
/* The address space as /proc/self/smaps shows it: every mapping, its protection, file, offset and advice;
 * nothing more. */
#include <sys/prctl.h>

#include "tests/live/live.h"

#define PAGE   4096ul
#define TEXT   (256 << 10)
#define NR_MAX 256

struct area {
	unsigned long start, end, offset;
	char prot[5];
	char name[128];
	char flags[128];
};

struct areas {
	size_t nr;
	struct area at[NR_MAX];
};

static char text[TEXT];
static struct areas before, after;
static unsigned char *advised[8], *locked;

/* Left out is what nobody relies on: soft-dirty, userfaultfd's while somebody looks on, how commit charge is
 * counted. */
static void keep_flags(char *ret, size_t len_bytes, const char *line)
{
	char copy[160], *word, *rest = copy;

	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(line, "\n"), line);
	ret[0] = '\0';
	while ((word = strsep(&rest, " ")))
		if (*word && strcmp(word, "sd") && strcmp(word, "uw") && strcmp(word, "um") &&
		    strcmp(word, "ui") && strcmp(word, "ac"))
			snprintf(ret + strlen(ret), len_bytes - strlen(ret), "%s ", word);
}

static bool continues(const struct area *a, const struct area *b)
{
	return a->end == b->start && !strcmp(a->prot, b->prot) && !strcmp(a->name, b->name) &&
	       !strcmp(a->flags, b->flags) && (!b->offset || b->offset == a->offset + (a->end - a->start));
}

static void read_areas(struct areas *ret)
{
	struct area now = {0}, head;

	live_read_file("/proc/self/smaps", text, sizeof(text));
	ret->nr = 0;
	for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		int name_at = 0;

		if (!strncmp(line, "VmFlags: ", 9)) {
			keep_flags(now.flags, sizeof(now.flags), line + 9);
			/* where one mapping ends and its equal begins means nothing */
			if (ret->nr && continues(&ret->at[ret->nr - 1], &now))
				ret->at[ret->nr - 1].end = now.end;
			else if (ret->nr < NR_MAX)
				ret->at[ret->nr++] = now;
		} else if (sscanf(line, "%lx-%lx %4s %lx %*s %*s%n", &head.start, &head.end, head.prot,
				  &head.offset, &name_at) == 4) {
			now = head;
			line += name_at;
			line += strspn(line, " ");
			snprintf(now.name, sizeof(now.name), "%.*s", (int)strcspn(line, "\n"), line);
		}
	}
}

static void compare(void)
{
	for (size_t i = 0; i < before.nr && i < after.nr; i++) {
		struct area *was = &before.at[i], *is = &after.at[i];

		if (!strcmp(was->name, "[stack]")) /* it may have grown */
			was->start = is->start;
		if (was->start != is->start || was->end != is->end || was->offset != is->offset ||
		    strcmp(was->prot, is->prot) || strcmp(was->name, is->name) ||
		    strcmp(was->flags, is->flags)) {
			live_fail("%lx-%lx %s %lx %s (%s) became %lx-%lx %s %lx %s (%s)", was->start,
				  was->end, was->prot, was->offset, was->name, was->flags, is->start, is->end,
				  is->prot, is->offset, is->name, is->flags);
			return;
		}
	}
	CHECK_EQ(after.nr, before.nr);
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return munmap(advised[0], PAGE);
	case 2:
		return madvise(advised[1], PAGE, MADV_DODUMP);
	case 3:
		return mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
	case 4:
		return mprotect(advised[0], PAGE, PROT_READ);
	case 5:
		return munlock(locked, PAGE);
	case 6:
		return madvise(advised[2], PAGE, MADV_KEEPONFORK);
	}
	return -1;
}

int main(void)
{
	static const int advice[] = {MADV_DONTFORK, MADV_DONTDUMP,   MADV_WIPEONFORK, MADV_HUGEPAGE,
				     MADV_RANDOM,   MADV_SEQUENTIAL, MADV_NOHUGEPAGE, MADV_MERGEABLE};
	unsigned char *p;

	for (size_t i = 0; i < 8; i++) {
		advised[i] =
			DO(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		memset(advised[i], 7, 4 * PAGE);
		if (madvise(advised[i], 8 * PAGE, advice[i]) && errno != EINVAL)
			live_die("madvise: %s", strerror(errno));
		DO(mprotect(advised[i] + 7 * PAGE, PAGE, PROT_NONE)); /* so that the next does not join it */
	}
	locked = DO(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	DO(mlock(locked, PAGE));
	DO(mlock2(locked + PAGE, PAGE, MLOCK_ONFAULT));
	p = DO(mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1,
		    0));
	p[15 * PAGE] = 1;
	p = DO(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, "verst live");
	free(malloc(100 << 10)); /* the heap has the size it will have */
	read_areas(&before);
	read_areas(&before);

	live_wait(sabotage);

	read_areas(&after);
	compare();
	return live_end();
}
