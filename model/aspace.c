// SPDX-License-Identifier: GPL-2.0-only
#include "model/aspace.h"

#include "lib/cleanup.h"

bool vma_same_backing(const struct vma_obj *old, const struct vma_obj *now)
{
	const uint32_t lasting = VMA_ADV_HUGEPAGE | VMA_ADV_NOHUGEPAGE; /* no advice brings back "neither" */

	/* what cannot be changed on a mapping that is there */
	if (old->kind != now->kind || old->growsdown != now->growsdown || old->noreserve != now->noreserve ||
	    vma_is_vdso(old) || (old->advice & lasting) != (now->advice & lasting))
		return false;
	if (old->accounted && !now->accounted && vma_is_private(old))
		return false;
	if (old->kind == VMA_ANON)
		return true;
	return old->shm == now->shm && old->reg == now->reg && old->file_writable == now->file_writable &&
	       old->offset - old->start == now->offset - now->start;
}

/* What of the old mappings stays under the new ones. */
static void kept(const struct aspace *as, const struct mm_obj *mm, struct ranges *ret)
{
	size_t first = 0;

	vec_each(v, &mm->vmas) {
		while (first < as->vmas.nr && as->vmas.at[first].end <= v->start)
			first++;
		for (size_t i = first; i < as->vmas.nr && as->vmas.at[i].start < v->end; i++)
			if (vma_same_backing(&as->vmas.at[i], v))
				ranges_append(ret, MAX(as->vmas.at[i].start, v->start),
					      MIN(as->vmas.at[i].end, v->end));
	}
}

static void map_rest(const struct vma_obj *v, const struct ranges *keep, vma_vec *ret)
{
	struct ranges rest = {0};

	ranges_append(&rest, v->start, v->end);
	ranges_subtract(&rest, keep);
	vec_each(r, &rest.list) {
		struct vma_obj part = *v;

		part.start = r->start;
		part.end = r->end;
		part.offset = v->offset + (r->start - v->start);
		part.anon_name = NULL;
		vec_push(ret, part);
	}
	ranges_free(&rest);
}

static void take_over(struct aspace *as, const struct mm_obj *mm)
{
	as->vmas.nr = 0;
	vec_each(v, &mm->vmas) {
		if (vma_is_vdso(v))
			continue;
		vec_push(&as->vmas, *v);
		as->vmas.at[as->vmas.nr - 1].anon_name = NULL;
	}
}

void aspace_apply(struct aspace *as, const struct mm_obj *mm, struct ranges *ret_unmap, vma_vec *ret_map)
{
	struct ranges keep = {0}, unmap = {0};

	kept(as, mm, &keep);
	vec_each(v, &as->vmas)
		ranges_append(&unmap, v->start, v->end);
	ranges_subtract(&unmap, &keep);
	ranges_subtract(&as->held, &unmap);
	if (ret_unmap)
		ranges_unite(ret_unmap, &unmap);
	if (ret_map)
		vec_each(v, &mm->vmas)
			if (!vma_is_vdso(v))
				map_rest(v, &keep, ret_map);
	take_over(as, mm);
	ranges_free(&keep);
	ranges_free(&unmap);
}

void aspace_private(const struct aspace *as, struct ranges *ret)
{
	vec_each(v, &as->vmas)
		if (vma_is_private(v))
			ranges_append(ret, v->start, v->end);
}

void aspace_copy(struct aspace *as, const struct aspace *from)
{
	struct aspace copy = {0};

	vec_each(v, &from->vmas)
		vec_push(&copy.vmas, *v);
	ranges_copy(&copy.held, &from->held);
	aspace_free(as);
	*as = copy;
}

void aspace_free(struct aspace *as)
{
	vec_free(&as->vmas);
	ranges_free(&as->held);
}
