// SPDX-License-Identifier: GPL-2.0-only
#include "facts/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define TEXT_MAX (256u << 20) /* vm.max_map_count can be raised a lot */

static const struct {
	char name[3];
	uint32_t flag;
} flag_names[] = {
	{"mw", MAP_FLAG_MAYWRITE},  {"gd", MAP_FLAG_GROWSDOWN},	   {"pf", MAP_FLAG_PFNMAP},
	{"lo", MAP_FLAG_LOCKED},    {"io", MAP_FLAG_IO},	   {"sr", MAP_FLAG_SEQUENTIAL},
	{"rr", MAP_FLAG_RANDOM},    {"dc", MAP_FLAG_DONTFORK},	   {"lf", MAP_FLAG_LOCKED_ONFAULT},
	{"nr", MAP_FLAG_NORESERVE}, {"ht", MAP_FLAG_HUGETLB},	   {"wf", MAP_FLAG_WIPEONFORK},
	{"dd", MAP_FLAG_DONTDUMP},  {"hg", MAP_FLAG_HUGEPAGE},	   {"nh", MAP_FLAG_NOHUGEPAGE},
	{"mg", MAP_FLAG_MERGEABLE}, {"um", MAP_FLAG_UFFD},	   {"uw", MAP_FLAG_UFFD},
	{"ui", MAP_FLAG_UFFD},	    {"ss", MAP_FLAG_SHADOW_STACK}, {"sl", MAP_FLAG_SEALED},
	{"dp", MAP_FLAG_DROPPABLE}, {"mm", MAP_FLAG_MIXED},	   {"ac", MAP_FLAG_ACCOUNT},
};

/* A number up to the character `end`, which is skipped. */
static bool number(char **at, unsigned base, char end, uint64_t *ret)
{
	uint64_t v = 0;
	char *p = *at;

	for (;; p++) {
		unsigned digit;

		if (*p >= '0' && *p <= '9')
			digit = (unsigned)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			digit = (unsigned)(*p - 'a') + 10;
		else
			break;
		if (digit >= base)
			return false;
		v = v * base + digit;
	}
	if (p == *at || *p != end)
		return false;
	*at = p + 1;
	*ret = v;
	return true;
}

/* "7f00-7f01 rw-p 0000 08:01 123   /path"; p is NUL-terminated */
static bool parse_map(char *p, struct map *ret)
{
	uint64_t major, minor, ino;
	char *perms;

	if (!number(&p, 16, '-', &ret->start) || !number(&p, 16, ' ', &ret->end))
		return false;
	perms = p;
	if (strnlen(p, 5) < 5 || p[4] != ' ')
		return false;
	p += 5;
	if (!number(&p, 16, ' ', &ret->offset) || !number(&p, 16, ':', &major) ||
	    !number(&p, 16, ' ', &minor))
		return false;
	for (ino = 0; *p >= '0' && *p <= '9'; p++)
		ino = ino * 10 + (uint64_t)(*p - '0');
	p += strspn(p, " ");
	ret->prot = (uint32_t)((perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
			       (perms[2] == 'x' ? PROT_EXEC : 0));
	ret->shared = perms[3] == 's';
	ret->dev = makedev((unsigned)major, (unsigned)minor);
	ret->ino = (ino_t)ino;
	ret->path = p;
	return ret->start < ret->end;
}

/* While the process runs, its list may change between two pages of the text, and then lines may overlap. */
static bool add_map(struct maps *m, struct map *map)
{
	uint64_t end = m->list.nr ? m->list.at[m->list.nr - 1].end : 0;

	if (map->start < end) {
		if (map->end <= end)
			return false;
		map->offset += map->ino ? end - map->start : 0;
		map->start = end;
	}
	vec_push(&m->list, *map);
	return true;
}

static uint32_t parse_flags(const char *p)
{
	uint32_t flags = 0;

	for (p += strspn(p, " "); p[0] && p[1]; p += 2, p += strspn(p, " "))
		for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
			if (p[0] == flag_names[i].name[0] && p[1] == flag_names[i].name[1])
				flags |= flag_names[i].flag;
	return flags;
}

int maps_parse(struct buf *text, struct maps *ret, struct err *err)
{
	struct maps m = {.text = *text};
	char *line = (char *)m.text.at, *next;
	bool added = false; /* the last mapping */

	*text = (struct buf){0};
	for (; line && *line; line = next) {
		char *end = strchr(line, '\n');
		struct map map = {0};

		if (end)
			*end = 0;
		next = end ? end + 1 : NULL;
		if (*line >= 'A' && *line <= 'Z') { /* a line of smaps below its mapping */
			if (added && !strncmp(line, "VmFlags:", 8))
				m.list.at[m.list.nr - 1].flags = parse_flags(line + 8);
			continue;
		}
		if (!parse_map(line, &map)) {
			err_set(err, ERR_SYSTEM, "maps: unexpected line '%.80s'", line);
			maps_free(&m);
			return -1;
		}
		added = add_map(&m, &map);
	}
	maps_free(ret);
	*ret = m;
	return 0;
}

/* As few reads as can be: each gives a page of text at most, but at least whole lines (fs/seq_file.c). */
static int read_text(int proc_fd, const char *name, struct buf *ret, struct err *err)
{
	_fd_ int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
	struct buf b = {0};

	if (fd < 0)
		return err_sys(err, "%s", name);
	for (;;) {
		char *room = buf_reserve(&b, 8192);
		ssize_t n = read(fd, room, 8191);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || b.len_bytes > TEXT_MAX) {
			err_sys(err, "%s", name);
			buf_free(&b);
			return -1;
		}
		if (n == 0)
			break;
		b.len_bytes += (size_t)n;
	}
	b.at[b.len_bytes] = 0;
	*ret = b;
	return 0;
}

int maps_read(int proc_fd, struct maps *ret, struct err *err)
{
	struct buf text = {0};

	if (read_text(proc_fd, "maps", &text, err))
		return -1;
	return maps_parse(&text, ret, err);
}

int maps_read_flags(int proc_fd, struct maps *ret, struct err *err)
{
	struct buf text = {0};

	if (read_text(proc_fd, "smaps", &text, err))
		return -1;
	return maps_parse(&text, ret, err);
}

void maps_free(struct maps *m)
{
	vec_free(&m->list);
	buf_free(&m->text);
}

bool maps_same(const struct maps *a, const struct maps *b)
{
	if (a->list.nr != b->list.nr)
		return false;
	for (size_t i = 0; i < a->list.nr; i++) {
		const struct map *x = &a->list.at[i], *y = &b->list.at[i];

		if (x->start != y->start || x->end != y->end || x->offset != y->offset ||
		    x->prot != y->prot || x->shared != y->shared || x->dev != y->dev || x->ino != y->ino ||
		    strcmp(x->path, y->path))
			return false;
	}
	return true;
}
