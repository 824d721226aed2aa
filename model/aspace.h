/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What has been built of one address space at the restoring side: mappings, and which private pages are in
 * them. The restore keeps this book for what it builds; the dump keeps the same one in its mirror, to know
 * what need not be sent. Both come to the same result because both use these functions on the same records
 * (docs/memory.md).
 */
#ifndef VERST_MODEL_ASPACE_H
#define VERST_MODEL_ASPACE_H

#include "lib/ranges.h"
#include "model/mm.h"

typedef VEC(struct vma_obj) vma_vec; /* of book-keeping: anon_name is NULL in all */

struct aspace {
	vma_vec vmas;	    /* by address; as the last MM record says, without vdso and vvar */
	struct ranges held; /* private pages that were sent, or came by fork */
};

static inline bool vma_is_private(const struct vma_obj *v)
{
	return v->kind == VMA_ANON || v->kind == VMA_FILE;
}

static inline bool vma_is_vdso(const struct vma_obj *v)
{
	return v->kind == VMA_VDSO || v->kind == VMA_VVAR;
}

/* Where an old and a new one overlap, can the old one with its pages become the new one? Protection may
 * differ. */
bool vma_same_backing(const struct vma_obj *old, const struct vma_obj *now);

/*
 * Takes over the mappings of an MM record. What is not the same as before is to be unmapped (ret_unmap,
 * appended) and then mapped anew (ret_map, appended: parts of the record's mappings, anon_name NULL); pages
 * there are no longer held. Both may be NULL. The record's mappings must be sorted and apart from each other
 * (model_validate_mm).
 */
void aspace_apply(struct aspace *as, const struct mm_obj *mm, struct ranges *ret_unmap, vma_vec *ret_map);

/* Private mappings, as addresses. */
void aspace_private(const struct aspace *as, struct ranges *ret);
void aspace_copy(struct aspace *as, const struct aspace *from); /* as is freed before */
void aspace_free(struct aspace *as);

#endif
