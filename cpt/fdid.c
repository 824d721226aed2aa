// SPDX-License-Identifier: GPL-2.0-only
/* Which descriptors are the same open file: first by what is cheap to compare, then by kcmp(2). */
#include <linux/kcmp.h>
#include <sys/syscall.h>

#include "cpt/file.h"

int cpt_fdid_kcmp(pid_t a, pid_t b, int type, unsigned long x, unsigned long y, struct err *err)
{
	long r = syscall(SYS_kcmp, a, b, type, x, y);

	if (r < 0)
		return err_sys(err, "kcmp of processes %d and %d", a, b);
	if (r > 2) /* 3: unlike, but the kernel gives no order */
		return err_set(err, ERR_KERNEL, "kcmp gives no order on this kernel");
	return (int)r;
}

static uint64_t hash_of(const struct stat *st, uint32_t flags)
{
	return idx_hash_u64(idx_hash_u64(st->st_dev ^ flags, st->st_ino), st->st_ino >> 32);
}

static struct cpt_file_group *group_of(struct cpt_file_state *s, const struct stat *st, uint32_t flags)
{
	uint64_t hash = hash_of(st, flags);
	struct cpt_file_group *g;

	for (uint32_t i = idx_first(&s->group_idx, hash); i != IDX_END; i = idx_next(&s->group_idx, i)) {
		g = &s->groups.at[i];
		if (g->dev == st->st_dev && g->ino == st->st_ino && g->flags == flags)
			return g;
	}
	idx_add(&s->group_idx, hash);
	g = vec_add(&s->groups);
	g->dev = st->st_dev;
	g->ino = st->st_ino;
	g->flags = flags;
	return g;
}

/* The member that is the same file; or NULL, and where in the order it belongs. -1. */
static int find_member(const struct cpt_file_group *g, pid_t pid, int fd, size_t *ret_at,
		       const struct cpt_file_at **ret, struct err *err)
{
	size_t low = 0, high = g->members.nr;

	*ret = NULL;
	while (low < high && !*ret) {
		size_t mid = (low + high) / 2;
		const struct cpt_file_at *m = &g->members.at[mid];
		int order =
			cpt_fdid_kcmp(pid, m->pid, KCMP_FILE, (unsigned long)fd, (unsigned long)m->fd, err);

		if (order < 0)
			return -1;
		if (order == 0)
			*ret = m;
		else if (order == 1)
			high = mid;
		else
			low = mid + 1;
	}
	*ret_at = low;
	return 0;
}

static void put_member(struct cpt_file_group *g, size_t at, const struct cpt_file_at *new)
{
	vec_add(&g->members);
	memmove(&g->members.at[at + 1], &g->members.at[at],
		(g->members.nr - 1 - at) * sizeof(*g->members.at));
	g->members.at[at] = *new;
}

/* Files that a walk told apart are known by their pointers only, until somebody comes who has none. */
static int group_all(struct cpt_file_state *s, struct err *err)
{
	for (; s->nr_grouped < s->first.nr; s->nr_grouped++) {
		const struct cpt_file_at *f = &s->first.at[s->nr_grouped], *same;
		struct cpt_file_group *g = group_of(s, &s->first_st.at[s->nr_grouped], f->flags);
		size_t at;

		if (find_member(g, f->pid, f->fd, &at, &same, err))
			return -1;
		if (!same)
			put_member(g, at, f);
	}
	return 0;
}

static struct cpt_file_at add_first(struct cpt_file_state *s, pid_t pid, int fd, const struct cpt_fd *facts)
{
	struct cpt_file_at new = {
		.pid = pid, .fd = fd, .flags = facts->flags, .id = (file_id)s->first.nr + 1};

	vec_push(&s->first, new);
	vec_push(&s->first_st, facts->st);
	return new;
}

int cpt_fdid_find(struct cpt *c, pid_t pid, int fd, const struct cpt_fd *facts, file_id *ret, bool *ret_new,
		  struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	const struct cpt_file_at *same;
	struct cpt_file_group *g;
	struct cpt_file_at new;
	size_t at;

	if (group_all(s, err))
		return -1;
	g = group_of(s, &facts->st, facts->flags);
	if (find_member(g, pid, fd, &at, &same, err))
		return -1;
	*ret_new = !same;
	if (same) {
		*ret = same->id;
		return 0;
	}
	new = add_first(s, pid, fd, facts);
	put_member(g, at, &new);
	s->nr_grouped++;
	*ret = new.id;
	return 0;
}

file_id cpt_fdid_walked(const struct cpt *c, uint64_t file)
{
	const struct cpt_file_state *s = c->file;
	uint64_t hash = idx_hash_u64(0, file);

	for (uint32_t i = idx_first(&s->pointer_idx, hash); i != IDX_END; i = idx_next(&s->pointer_idx, i))
		if (s->pointers.at[i].file == file)
			return s->pointers.at[i].id;
	return 0;
}

int cpt_fdid_learn(struct cpt *c, uint64_t file, pid_t pid, int fd, const struct cpt_fd *facts, file_id *ret,
		   bool *ret_new, struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);

	*ret_new = true;
	if (!s->in_flight.nr)
		*ret = add_first(s, pid, fd, facts).id;
	else if (cpt_fdid_find(c, pid, fd, facts, ret, ret_new,
			       err)) /* it may have been met in flight, without a pointer */
		return -1;
	idx_add(&s->pointer_idx, idx_hash_u64(0, file));
	vec_push(&s->pointers, ((struct cpt_file_pointer){file, *ret}));
	return 0;
}

int cpt_fdid_task(struct cpt_task_set *set, struct cpt_task *t, struct cpt_task **ret_same, struct err *err)
{
	size_t low = 0, high = set->tasks.nr;

	while (low < high) {
		size_t mid = (low + high) / 2;
		struct cpt_task *m = set->tasks.at[mid];
		int order = cpt_fdid_kcmp(t->pid, m->pid, set->type, 0, 0, err);

		if (order < 0)
			return -1;
		if (order == 0) {
			*ret_same = m;
			return 0;
		}
		if (order == 1)
			high = mid;
		else
			low = mid + 1;
	}
	vec_add(&set->tasks);
	memmove(&set->tasks.at[low + 1], &set->tasks.at[low],
		(set->tasks.nr - 1 - low) * sizeof(*set->tasks.at));
	set->tasks.at[low] = t;
	*ret_same = NULL;
	return 0;
}
