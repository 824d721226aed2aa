// SPDX-License-Identifier: GPL-2.0-only
#include <sys/mman.h>
#include <sys/stat.h>

#include "model/validate.h"

#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC | 0x10) /* 0x10: PROT_SAO of ppc64 */
#define ADV_ALL	 ((VMA_ADV_LOCKED_ONFAULT << 1) - 1)

static int in_vma(const struct vma_obj *v, struct err *err)
{
	return err_ctx(err, "mapping %llx-%llx", (unsigned long long)v->start, (unsigned long long)v->end);
}

/* What a mapping of this kind maps: nothing, shared memory, a file. */
static bool names_right(const struct vma_obj *v)
{
	switch (v->kind) {
	case VMA_SHM:
		return v->shm && !v->reg;
	case VMA_FILE:
		return !v->shm != !v->reg;
	case VMA_FILE_SHARED:
		return v->reg && !v->shm;
	default:
		return !v->shm && !v->reg;
	}
}

static int validate_vma(const struct vma_obj *v, struct err *err)
{
	uint64_t len = v->end - v->start;

	if ((v->start | v->end | v->offset) & 4095)
		return validate_bad(err, "not at page boundaries");
	if (v->kind < VMA_ANON || v->kind > VMA_VVAR || !names_right(v))
		return validate_bad(err, "kind %u does not go with what it maps", v->kind);
	if (v->prot & ~PROT_ALL || v->advice & ~ADV_ALL)
		return validate_bad(err, "unknown protection 0x%x or advice 0x%x", v->prot, v->advice);
	if (v->offset > VALIDATE_MAX_SIZE - MIN(len, VALIDATE_MAX_SIZE) || len > VALIDATE_MAX_SIZE)
		return validate_bad(err, "reaches beyond the largest file");
	return 0;
}

int model_validate_mm(const struct mm_obj *mm, struct err *err)
{
	uint64_t end = 0;
	unsigned vdsos = 0;

	vec_each(v, &mm->vmas) {
		if (v->start >= v->end || v->start < end) {
			validate_bad(err, "empty, or not behind the one before it");
			return in_vma(v, err);
		}
		if (validate_vma(v, err))
			return in_vma(v, err);
		end = v->end;
		vdsos += v->kind == VMA_VDSO;
	}
	return vdsos <= 1 ? 0 : validate_bad(err, "%u vdsos", vdsos);
}

/* Zeros, in all but the record of the frozen part, pass as well. */
static int validate_layout(const struct mm_obj *mm, struct err *err)
{
	if (mm->start_code > mm->end_code || mm->start_data > mm->end_data || mm->start_brk > mm->brk ||
	    mm->arg_start > mm->arg_end || mm->env_start > mm->env_end)
		return validate_bad(err, "a part of it ends before its beginning");
	if (mm->auxv.len_bytes % 16)
		return validate_bad(err, "auxv of %zu bytes", mm->auxv.len_bytes);
	return 0;
}

bool model_segment_fits(const struct shm_obj *shm, const struct vma_obj *v, uint64_t page_bytes)
{
	uint64_t whole = (shm->size_bytes + page_bytes - 1) / page_bytes * page_bytes,
		 len = v->end - v->start;

	if (shm->kind != SHM_SYSV)
		return true;
	return v->kind == VMA_SHM && !shm->gone && len <= whole && v->offset <= whole - len;
}

static int validate_mm_in(const struct model *m, const struct mm_obj *mm, struct err *err)
{
	uint64_t page_mask = m->ve.at[0].page_bytes - 1;

	if (model_validate_mm(mm, err) || validate_layout(mm, err))
		return -1;
	if (mm->exe && !model_reg(m, mm->exe))
		return validate_bad(err, "its program, reg %u, does not exist", mm->exe);
	vec_each(v, &mm->vmas) {
		if ((v->start | v->end | v->offset) & page_mask)
			validate_bad(err, "not at page boundaries");
		else if (v->shm && !model_shm(m, v->shm))
			validate_bad(err, "shm %u does not exist", v->shm);
		else if (v->shm && !model_segment_fits(model_shm(m, v->shm), v, m->ve.at[0].page_bytes))
			validate_bad(err, "not within System V segment %u", v->shm);
		else if (v->reg && !model_reg(m, v->reg))
			validate_bad(err, "reg %u does not exist", v->reg);
		else
			continue;
		return in_vma(v, err);
	}
	return 0;
}

static int validate_reg(const struct model *m, const struct reg_obj *reg, struct err *err)
{
	if (reg->size_bytes > VALIDATE_MAX_SIZE)
		return validate_bad(err, "impossible size");
	if (!reg->ghost)
		return 0;
	if (!model_ghost(m, reg->ghost))
		return validate_bad(err, "ghost %u does not exist", reg->ghost);
	return S_ISREG(reg->mode) || S_ISDIR(reg->mode)
		       ? 0
		       : validate_bad(err, "is a ghost, but no regular file or directory");
}

static int validate_shm(const struct shm_obj *shm, struct err *err)
{
	if (shm->size_bytes > VALIDATE_MAX_SIZE)
		return validate_bad(err, "impossible size");
	if (shm->seals && shm->kind != SHM_MEMFD)
		return validate_bad(err, "sealed, but no memfd");
	if (shm->kind != SHM_SYSV)
		return shm->gone ? validate_bad(err, "gone, but no System V segment") : 0;
	if (!shm->size_bytes || shm->ipc_id > INT32_MAX || shm->mode > 0777)
		return validate_bad(err, "impossible System V segment");
	return 0;
}

/* No two segments with one id, or one key. */
static int validate_segments(const struct model *m, struct err *err)
{
	VEC(uint32_t) ids = {0}, keys = {0};
	uint32_t twice = 0;
	int ret = 0;

	vec_each(shm, &m->shms) {
		if (shm->kind != SHM_SYSV || shm->gone)
			continue;
		vec_push(&ids, shm->ipc_id);
		if (shm->key && !shm->dest)
			vec_push(&keys, shm->key);
	}
	if (!validate_unique(ids.at, ids.nr, &twice))
		ret = validate_bad(err, "System V segment %u is there twice", twice);
	else if (!validate_unique(keys.at, keys.nr, &twice))
		ret = validate_bad(err, "two System V segments with key 0x%x", twice);
	vec_free(&ids);
	vec_free(&keys);
	return ret;
}

int validate_memory(const struct model *m, struct err *err)
{
	vec_each(ghost, &m->ghosts) {
		if ((!S_ISREG(ghost->mode) && !S_ISDIR(ghost->mode)) || ghost->size_bytes > VALIDATE_MAX_SIZE)
			return validate_bad(err,
					    "ghost %u: no regular file or directory, or of impossible size",
					    ghost->id);
	}
	vec_each(reg, &m->regs) {
		if (validate_reg(m, reg, err))
			return err_ctx(err, "reg %u (%s)", reg->id, reg->path);
	}
	vec_each(shm, &m->shms) {
		if (validate_shm(shm, err))
			return err_ctx(err, "shm %u", shm->id);
	}
	if (validate_segments(m, err))
		return -1;
	vec_each(mm, &m->mms) {
		if (validate_mm_in(m, mm, err))
			return err_ctx(err, "mm %u", mm->id);
	}
	return 0;
}
