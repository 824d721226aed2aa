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

static uint64_t hash_of(const struct cpt_fd *f)
{
	return idx_hash_u64(idx_hash_u64(f->st.st_dev ^ f->flags, f->st.st_ino), f->st.st_ino >> 32);
}

static struct cpt_file_group *group_of(struct cpt_file_state *s, const struct cpt_fd *f)
{
	uint64_t hash = hash_of(f);
	struct cpt_file_group *g;

	for (uint32_t i = idx_first(&s->group_idx, hash); i != IDX_END; i = idx_next(&s->group_idx, i)) {
		g = &s->groups.at[i];
		if (g->dev == f->st.st_dev && g->ino == f->st.st_ino && g->flags == f->flags)
			return g;
	}
	idx_add(&s->group_idx, hash);
	g = vec_add(&s->groups);
	g->dev = f->st.st_dev;
	g->ino = f->st.st_ino;
	g->flags = f->flags;
	return g;
}

int cpt_fdid_find(struct cpt *c, pid_t pid, int fd, const struct cpt_fd *facts, file_id *ret, bool *ret_new,
		  struct err *err)
{
	struct cpt_file_state *s = cpt_file_state(c);
	struct cpt_file_group *g = group_of(s, facts);
	struct cpt_file_at new = {.pid = pid, .fd = fd, .id = (file_id)s->first.nr + 1};
	size_t low = 0, high = g->members.nr;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct cpt_file_at *m = &g->members.at[mid];
		int order =
			cpt_fdid_kcmp(pid, m->pid, KCMP_FILE, (unsigned long)fd, (unsigned long)m->fd, err);

		if (order < 0)
			return -1;
		if (order == 0) {
			*ret = m->id;
			*ret_new = false;
			return 0;
		}
		if (order == 1)
			high = mid;
		else
			low = mid + 1;
	}
	vec_add(&g->members);
	memmove(&g->members.at[low + 1], &g->members.at[low],
		(g->members.nr - 1 - low) * sizeof(*g->members.at));
	g->members.at[low] = new;
	vec_push(&s->first, new);
	vec_push(&s->first_st, facts->st);
	*ret = new.id;
	*ret_new = true;
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
