// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread's registers as an image holds them.
 *
 * general[]: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi rip rflags rsp fs_base gs_base ds es
 * fs gs, and how an interrupted system call goes on (enum arch_restart; rip is at the instruction then, rax
 * the call's number). sets[0], NT_X86_XSTATE: the XSAVE area in standard format, up to the last component
 * that is in use. sets[1], NT_X86_XSAVE_LAYOUT: where these components lie, since that differs between CPUs;
 * for each four u32 (little-endian): feature, length, offset, 0.
 */
#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "arch/x86/x86.h"
#include "lib/buf.h"
#include "model/regs.h"

#ifndef NT_X86_XSAVE_LAYOUT
#define NT_X86_XSAVE_LAYOUT 0x205
#endif

#define NR_GENERAL	25
#define GENERAL_RESTART 24

static void general_list(struct user_regs_struct *u, unsigned long long *ret_list[NR_GENERAL - 1])
{
	unsigned long long *list[] = {
		&u->r15,    &u->r14, &u->r13,	  &u->r12,     &u->rbp, &u->rbx, &u->r11, &u->r10,
		&u->r9,	    &u->r8,  &u->rax,	  &u->rcx,     &u->rdx, &u->rsi, &u->rdi, &u->rip,
		&u->eflags, &u->rsp, &u->fs_base, &u->gs_base, &u->ds,	&u->es,	 &u->fs,  &u->gs,
	};

	memcpy(ret_list, list, sizeof(list));
}

static uint64_t features_of(const uint8_t *area)
{
	uint64_t features;

	memcpy(&features, area + XSAVE_HEADER, sizeof(features));
	return features;
}

static void add_set(struct regs_obj *regs, uint32_t note, const void *p, size_t len_bytes)
{
	vec_push(&regs->sets, ((struct regset_obj){note, bytes_dup(p, len_bytes)}));
}

static int collect_extended(pid_t tid, struct regs_obj *ret, struct err *err)
{
	uint8_t area[XSAVE_MAX_BYTES];
	struct buf layout = {0};
	uint64_t features;
	size_t len_bytes;

	if (x86_xsave_get(tid, area, &len_bytes, err) < 0)
		return -1;
	features = features_of(area);
	for (unsigned i = 2; i < 63; i++) {
		struct x86_component c = x86_component(i);

		if (!(features >> i & 1))
			continue;
		buf_put_u32(&layout, i);
		buf_put_u32(&layout, c.len_bytes);
		buf_put_u32(&layout, c.offset);
		buf_put_u32(&layout, 0);
	}
	add_set(ret, NT_X86_XSTATE, area, MIN(len_bytes, x86_xsave_bytes(features)));
	add_set(ret, NT_X86_XSAVE_LAYOUT, layout.at, layout.len_bytes);
	buf_free(&layout);
	return 0;
}

int arch_thread_describe(pid_t tid, const struct arch_regs *regs, struct regs_obj *ret, struct err *err)
{
	struct user_regs_struct u = regs->u;
	unsigned long long *list[NR_GENERAL - 1];
	struct regs_obj found = {.nr_general = NR_GENERAL};

	found.general[GENERAL_RESTART] = x86_settle(tid, &u);
	general_list(&u, list);
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		found.general[i] = *list[i];
	if (collect_extended(tid, &found, err) < 0)
		return -1;
	*ret = found;
	return 0;
}

int arch_thread_collect(pid_t tid, struct regs_obj *ret, struct err *err)
{
	struct arch_regs regs;

	if (arch_regs_get(tid, &regs, err) < 0)
		return -1;
	arch_regs_leave_rseq(tid, &regs);
	return arch_thread_describe(tid, &regs, ret, err);
}

static const struct bytes *find_set(const struct regs_obj *regs, uint32_t note)
{
	vec_each(set, &regs->sets)
		if (set->note == note)
			return &set->content;
	return NULL;
}

/*
 * Goes through the saved components: puts them into `area` (may be NULL) where this CPU has them. False, with
 * the feature, if there is one that this CPU does not know in that size, or that makes no sense; *ret_bad 0
 * is the latter.
 */
static bool place_components(const struct regs_obj *regs, uint8_t *area, size_t area_bytes, unsigned *ret_bad)
{
	const struct bytes *saved = find_set(regs, NT_X86_XSTATE),
			   *layout = find_set(regs, NT_X86_XSAVE_LAYOUT);
	struct cur cur;
	uint64_t seen = XFEATURE_LEGACY, features;

	*ret_bad = 0;
	if (!saved || saved->len_bytes < XSAVE_MIN_BYTES || saved->len_bytes > XSAVE_MAX_BYTES || !layout)
		return false;
	features = features_of(saved->at);
	cur = cur_of(layout->at, layout->len_bytes);
	while (cur.left_bytes && !cur.bad) {
		uint32_t feature = cur_u32(&cur), len_bytes = cur_u32(&cur), offset = cur_u32(&cur);
		struct x86_component here = x86_component(feature);

		cur_u32(&cur);
		if (feature > 62 || offset > saved->len_bytes || len_bytes > saved->len_bytes - offset)
			return false;
		if (here.len_bytes != len_bytes || (area && here.offset + len_bytes > area_bytes)) {
			*ret_bad = feature;
			return false;
		}
		seen |= 1ULL << feature;
		if (area)
			memcpy(area + here.offset, saved->at + offset, len_bytes);
	}
	return !cur.bad && !(features & ~seen);
}

static int restore_extended(pid_t tid, const struct regs_obj *regs, struct err *err)
{
	const struct bytes *saved = find_set(regs, NT_X86_XSTATE);
	uint8_t area[XSAVE_MAX_BYTES] = {0};
	struct iovec iov = {area, 0};
	size_t len_bytes;
	unsigned bad;

	/* the kernel takes an area of exactly its own length, so ask for it (xstateregs_set of regset.c) */
	if (x86_xsave_get(tid, area, &len_bytes, err) < 0)
		return -1;
	memset(area, 0, len_bytes);
	if (!place_components(regs, area, len_bytes, &bad))
		return err_set(err, ERR_RESTORE, "extended registers of task %d: component %u", tid, bad);
	memcpy(area, saved->at, XSAVE_SW_OFFSET);
	memcpy(area + XSAVE_HEADER, saved->at + XSAVE_HEADER, sizeof(uint64_t));
	iov.iov_len = len_bytes;
	if (ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return err_sys(err, "extended registers of task %d", tid);
	return 0;
}

int arch_thread_restore(pid_t tid, const struct regs_obj *regs, struct err *err)
{
	struct arch_regs now;
	unsigned long long *list[NR_GENERAL - 1];
	uint64_t restart = regs->general[GENERAL_RESTART];

	if (regs->nr_general != NR_GENERAL || restart > ARCH_RESTART_NO_HANDLER)
		return err_set(err, ERR_IMAGE, "registers of task %d: not those of %s", tid, arch_name());
	if (restore_extended(tid, regs, err) < 0 || arch_regs_get(tid, &now, err) < 0)
		return -1;
	general_list(&now.u, list);
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		*list[i] = regs->general[i];
	now.u.orig_rax = -1;
	x86_interrupt_again(&now.u, restart);
	return arch_regs_set(tid, &now, err);
}

char *arch_thread_obstacle(const struct regs_obj *regs)
{
	static const char *const name[] = {[2] = "AVX",
					   [3] = "MPX",
					   [4] = "MPX",
					   [5] = "AVX-512",
					   [6] = "AVX-512",
					   [7] = "AVX-512",
					   [9] = "protection key",
					   [17] = "AMX",
					   [18] = "AMX"};
	const struct bytes *saved = find_set(regs, NT_X86_XSTATE);
	unsigned bad;

	if (regs->nr_general != NR_GENERAL)
		return mem_printf("registers that are not those of %s", arch_name());
	if (!place_components(regs, NULL, 0, &bad)) {
		if (bad < ARRAY_LEN(name) && name[bad])
			return mem_printf("%s state", name[bad]);
		return bad ? mem_printf("XSAVE component %u", bad)
			   : mem_strdup("malformed extended registers");
	}
	if (features_of(saved->at) >> XFEATURE_TILE_DATA & 1)
		return mem_strdup("AMX tile state");
	return NULL;
}
