// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/mm.pb-c.h"

#define T struct vma_obj
static const struct img_field vma_fields[] = {
	HEX(start),	HEX(end),	HEX(prot),	    RANGE(kind, VMA_ANON, VMA_VVAR),
	NUM(growsdown), NUM(noreserve), HEX(advice),	    HEX(offset),
	NUM(shm),	NUM(reg),	NUM(file_writable), TEXT_OR_NULL(anon_name, 255),
	NUM(accounted),
};
static const struct img_table vma_table = IMG_TABLE(vma, vma_fields);
#undef T

#define T struct mm_obj
static const struct img_field fields[] = {
	NUM(id),	  LIST(vmas, vma_table, IMG_MAX_COUNT),
	HEX(start_code),  HEX(end_code),
	HEX(start_data),  HEX(end_data),
	HEX(start_brk),	  HEX(brk),
	HEX(start_stack), HEX(arg_start),
	HEX(arg_end),	  HEX(env_start),
	HEX(env_end),	  BYTES(auxv, 4096),
	NUM(exe),	  NUM(thp_disable),
	HEX(vdso_digest),
};
static const struct img_table table = IMG_TABLE(mm, fields);
#undef T

/* An address space is built as it arrives. */
static int check(const void *obj, struct err *err)
{
	return model_validate_mm(obj, err);
}

const struct img_kind img_mm_kind = {.table = &table, .order = IMG_REPLACED, .check = check};
