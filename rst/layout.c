// SPDX-License-Identifier: GPL-2.0-only
/* The frozen end of an address space: what comes after all mappings and pages are there. */
#include "rst/mm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "arch/arch.h"
#include "facts/maps.h"
#include "facts/vdso.h"

/* Newer than the headers of Debian 12. */
#ifndef PR_SET_VMA
#define PR_SET_VMA	     0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

/* --- vdso --- */

static bool is_vdso_map(const struct map *m, enum vma_kind *ret)
{
	*ret = strcmp(m->path, "[vdso]") ? VMA_VVAR : VMA_VDSO;
	return *ret == VMA_VDSO || !strncmp(m->path, "[vvar", 5);
}

/* This kernel's, as it lies in our own memory. */
static int own_vdso(struct rst_mm_state *state, struct err *err)
{
	_fd_ int proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct maps maps = {0};
	uint64_t start = 0;

	if (state->vdso.nr)
		return 0;
	if (proc_fd < 0)
		return err_sys(err, "/proc/self");
	if (maps_read(proc_fd, &maps, err))
		return -1;
	vec_each(m, &maps.list) {
		enum vma_kind kind;

		if (!is_vdso_map(m, &kind))
			continue;
		if (!state->vdso.nr)
			start = m->start;
		vec_push(&state->vdso, ((struct rst_vdso_part){m->start - start, m->end - m->start, kind}));
	}
	maps_free(&maps);
	return 0;
}

/* The parts of the image's, in the order of their addresses. */
static const struct vma_obj *next_part(const struct mm_obj *mm, size_t *at)
{
	while (*at < mm->vmas.nr) {
		const struct vma_obj *v = &mm->vmas.at[(*at)++];

		if (vma_is_vdso(v))
			return v;
	}
	return NULL;
}

int rst_vdso_check(struct rst *r, const struct mm_obj *mm, struct err *err)
{
	struct rst_mm_state *state;
	size_t at = 0, nr = 0;
	const struct vma_obj *v, *first = NULL;

	if (rst_mm_state(r, &state, err) || own_vdso(state, err))
		return -1;
	while ((v = next_part(mm, &at))) {
		const struct rst_vdso_part *own = nr < state->vdso.nr ? &state->vdso.at[nr] : NULL;

		if (!first)
			first = v;
		if (!own || own->kind != v->kind || own->offset != v->start - first->start ||
		    own->len_bytes != v->end - v->start)
			return err_set(err, ERR_KERNEL,
				       "the vdso of the image has another layout than this kernel's: "
				       "it was made on another kernel");
		nr++;
	}
	if (nr && mm->vdso_digest != vdso_digest())
		return err_set(err, ERR_KERNEL,
			       "the vdso of the image has its functions at other places than this kernel's");
	if (nr && nr != state->vdso.nr)
		return err_set(err, ERR_KERNEL, "the vdso of the image has %zu parts, this kernel's %zu", nr,
			       state->vdso.nr);
	return 0;
}

static void add_vdso(struct remote_batch *b, const struct mm_obj *mm)
{
	size_t at = 0;
	const struct vma_obj *first = next_part(mm, &at);
	uint64_t arg[6];
	long nr;

	if (!first)
		return;
	arch_vdso_call(first->start, &nr, arg);
	remote_call(b, "vdso", 0, nr, ra_num(arg[0]), ra_num(arg[1]), ra_num(arg[2]), ra_num(arg[3]),
		    ra_num(arg[4]), ra_num(arg[5]));
}

/* --- advice and names --- */

static const struct {
	uint32_t advice;
	int madvise;
	const char *what;
} advices[] = {
	{VMA_ADV_DONTFORK, MADV_DONTFORK, "madvise DONTFORK"},
	{VMA_ADV_WIPEONFORK, MADV_WIPEONFORK, "madvise WIPEONFORK"},
	{VMA_ADV_DONTDUMP, MADV_DONTDUMP, "madvise DONTDUMP"},
	{VMA_ADV_MERGEABLE, MADV_MERGEABLE, "madvise MERGEABLE"},
	{VMA_ADV_SEQUENTIAL, MADV_SEQUENTIAL, "madvise SEQUENTIAL"},
	{VMA_ADV_RANDOM, MADV_RANDOM, "madvise RANDOM"},
};

static void add_advice(struct remote_batch *b, const struct vma_obj *v)
{
	uint64_t len = v->end - v->start;

	for (size_t i = 0; i < ARRAY_LEN(advices); i++)
		if (v->advice &
		    advices[i].advice) /* KSM may be missing here, which changes nothing for the program */
			remote_call(b, advices[i].what,
				    advices[i].advice == VMA_ADV_MERGEABLE ? REMOTE_MAY_FAIL : 0, SYS_madvise,
				    ra_num(v->start), ra_num(len), ra_num(advices[i].madvise));
	if (v->anon_name) { /* CONFIG_ANON_VMA_NAME: names are for people */
		size_t name = remote_batch_data(b, v->anon_name, strlen(v->anon_name) + 1);

		remote_call(b, "name of memory", REMOTE_MAY_FAIL, SYS_prctl, ra_num(PR_SET_VMA),
			    ra_num(PR_SET_VMA_ANON_NAME), ra_num(v->start), ra_num(len), ra_data(name));
	}
	if (v->advice & (VMA_ADV_LOCKED | VMA_ADV_LOCKED_ONFAULT))
		remote_call(b, "mlock", 0, SYS_mlock2, ra_num(v->start), ra_num(len),
			    ra_num(v->advice & VMA_ADV_LOCKED_ONFAULT ? MLOCK_ONFAULT : 0));
}

static bool has_advice(const struct vma_obj *v)
{
	return v->anon_name || v->advice & ~(uint32_t)(VMA_ADV_HUGEPAGE | VMA_ADV_NOHUGEPAGE);
}

/* --- borders, auxv, exe --- */

static void add_layout(struct remote_batch *b, const struct mm_obj *mm, int exe_number)
{
	struct prctl_mm_map map = {
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.auxv_size = (uint32_t)mm->auxv.len_bytes,
		.exe_fd = (uint32_t)exe_number,
	};
	size_t at = remote_batch_data(b, &map, sizeof(map));

	if (mm->auxv.len_bytes)
		remote_batch_pointer(b, at + offsetof(struct prctl_mm_map, auxv),
				     remote_batch_data(b, mm->auxv.at, mm->auxv.len_bytes));
	remote_call(b, "PR_SET_MM_MAP", 0, SYS_prctl, ra_num(PR_SET_MM), ra_num(PR_SET_MM_MAP), ra_data(at),
		    ra_num(sizeof(map)), ra_num(0));
	if (mm->thp_disable)
		remote_call(b, "PR_SET_THP_DISABLE", 0, SYS_prctl, ra_num(PR_SET_THP_DISABLE), ra_num(1),
			    ra_num(0), ra_num(0), ra_num(0));
	remote_call(b, "close", 0, SYS_close, ra_num(exe_number));
}

static int finish_one(struct rst *r, struct rst_task *t, const struct mm_obj *mm, struct err *err)
{
	struct remote_batch *b;
	_fd_ int exe = -1;
	int number, ret;

	if (!t->mm || t->mm->id != mm->id)
		return err_set(err, ERR_IMAGE, "it has no record of memory %u", mm->id);
	if (rst_reg_open(r, mm->exe, O_RDONLY, &exe, err) || remote_send_fds(t->r, &exe, 1, &number, err))
		return -1;
	b = remote_batch_new();
	add_vdso(b, mm);
	add_layout(b, mm, number);
	vec_each(v, &mm->vmas)
		if (!vma_is_vdso(v) && has_advice(v))
			add_advice(b, v);
	ret = remote_batch_run(t->r, b, err);
	remote_batch_free(b);
	return ret;
}

int rst_mm_finish(struct rst *r, struct err *err)
{
	for (size_t i = 0; i < r->tasks.nr; i++) {
		struct rst_task *t = &r->tasks.at[i];
		const struct mm_obj *mm = t->t.mm ? model_mm(&r->m, t->t.mm) : NULL;

		if (!t->t.mm || !t->r || rst_tree_of_mm(r, t->t.mm) != t)
			continue;
		if (!mm)
			return err_set(err, ERR_IMAGE, "task %u: there is no memory %u", t->t.pid, t->t.mm);
		if (finish_one(r, t, mm, err))
			return err_ctx(err, "memory of task %u", t->t.pid);
	}
	return rst_shm_finish(r, err);
}
