// SPDX-License-Identifier: GPL-2.0-only
/* The task's own code: where a system call instruction is, and where nothing is. */
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "remote/internal.h"

#define PAGE_BYTES     4096
#define PAGES(bytes)   (((bytes) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES)
#define VDSO_MAX_BYTES (8 * PAGE_BYTES)
#define AUXV_MAX_BYTES 4096
#define SCAN_MAX_BYTES (4 << 20) /* of a mapping, for a system call instruction */

/* All tasks have the vdso of this kernel, and so have we. */
struct vdso {
	const uint8_t *image;
	size_t elf_bytes; /* what the file in it has; nothing is behind that */
};

static struct vdso own_vdso(void)
{
	const uint8_t *image = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *elf = (const void *)image;
	const Elf64_Phdr *segment;
	size_t end;

	if (!image)
		return (struct vdso){NULL, 0};
	end = elf->e_shoff + (size_t)elf->e_shnum * elf->e_shentsize;
	segment = (const void *)(image + elf->e_phoff);
	for (int i = 0; i < elf->e_phnum; i++)
		end = MAX(end, segment[i].p_offset + segment[i].p_filesz);
	return (struct vdso){image, end};
}

static uint64_t vdso_of(pid_t tid)
{
	_free_ char *path = mem_printf("/proc/%d/auxv", tid);
	uint64_t auxv[AUXV_MAX_BYTES / sizeof(uint64_t)];
	_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, auxv, sizeof(auxv));

	for (ssize_t i = 0; i + 1 < got / (ssize_t)sizeof(*auxv); i += 2)
		if (auxv[i] == AT_SYSINFO_EHDR)
			return auxv[i + 1];
	return 0;
}

/*
 * The end of the last page, behind the file, is free for bridges. It has several places, used in turn: one
 * that a tracer left behind when it was killed may still be on a thread's way home, under a signal handler
 * for instance. The one behind that which is taken is always empty, to tell whose turn it is next.
 */
static uint64_t next_bridge(const uint8_t *theirs, size_t from, size_t to)
{
	static const uint8_t zeroes[ARCH_BRIDGE_MAX_BYTES];
	size_t at = from;

	if (from + ARCH_BRIDGE_MAX_BYTES > to)
		return 0;
	while (at + 2 * ARCH_BRIDGE_MAX_BYTES <= to && memcmp(theirs + at, zeroes, sizeof(zeroes)))
		at += ARCH_BRIDGE_MAX_BYTES;
	return at;
}

static int clear_next_bridge(struct remote *r, uint64_t addr, size_t from, size_t to, struct err *err)
{
	static const uint8_t zeroes[ARCH_BRIDGE_MAX_BYTES];
	uint64_t next = r->mm->bridge + ARCH_BRIDGE_MAX_BYTES;

	if (next + ARCH_BRIDGE_MAX_BYTES > addr + to)
		next = addr + from;
	if (area_mem_fd(r, err) < 0)
		return -1;
	if (pwrite(r->mm->mem_fd, zeroes, sizeof(zeroes), next) != sizeof(zeroes))
		return err_sys(err, "writing to the vdso of task %d", r->tid);
	return 0;
}

/* 1: found, 0: it has none, or another one. */
static int in_vdso(struct remote *r, struct err *err)
{
	struct vdso own = own_vdso();
	uint64_t addr = own.image ? vdso_of(r->tid) : 0;
	size_t whole_bytes = PAGES(own.elf_bytes);
	uint8_t theirs[VDSO_MAX_BYTES];
	struct iovec here = {theirs, whole_bytes}, there = {(void *)addr, whole_bytes};
	uint64_t bridge;
	ssize_t at;

	if (!addr || whole_bytes > sizeof(theirs) ||
	    process_vm_readv(r->tid, &here, 1, &there, 1, 0) != (ssize_t)whole_bytes ||
	    memcmp(theirs, own.image, own.elf_bytes))
		return 0;
	at = arch_find_syscall(own.image, own.elf_bytes);
	if (at < 0)
		return 0;
	r->mm->call_ip = addr + at;
	bridge = next_bridge(theirs, own.elf_bytes, whole_bytes);
	if (!bridge || r->kind != REMOTE_LIVING)
		return 1;
	r->mm->bridge = addr + bridge;
	return clear_next_bridge(r, addr, own.elf_bytes, whole_bytes, err) < 0 ? -1 : 1;
}

static bool same_bytes(pid_t tid, uint64_t addr, const void *p, size_t len_bytes)
{
	uint8_t theirs[64];
	struct iovec here = {theirs, len_bytes}, there = {(void *)addr, len_bytes};

	return process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)len_bytes &&
	       !memcmp(theirs, p, len_bytes);
}

/* Only if the place within the page fits, memory has to be read. */
bool code_is_ours(const struct remote *r)
{
	struct vdso own = own_vdso();
	uint64_t ip = arch_regs_ip(r->own), in_page = ip % PAGE_BYTES, page = ip - in_page;
	size_t tail = own.elf_bytes % PAGE_BYTES;

	if (in_page < AREA_BLOB_BYTES && same_bytes(r->tid, page, remote_blob, 64))
		return true;
	return own.image && in_page >= tail && tail >= 64 &&
	       same_bytes(r->tid, page + tail - 64, own.image + own.elf_bytes - 64, 64);
}

static bool in_mapping(struct remote *r, uint64_t start, uint64_t end)
{
	size_t len_bytes = MIN(end - start, (uint64_t)SCAN_MAX_BYTES);
	_free_ void *code = mem_alloc(len_bytes);
	struct iovec here = {code, len_bytes}, there = {(void *)start, len_bytes};
	ssize_t got = process_vm_readv(r->tid, &here, 1, &there, 1, 0), at;

	at = got > 0 ? arch_find_syscall(code, got) : -1;
	if (at < 0)
		return false;
	r->mm->call_ip = start + at;
	return true;
}

int code_find(struct remote *r, struct err *err)
{
	_free_ char *path = mem_printf("/proc/%d/maps", r->tid);
	_file_ FILE *maps = NULL;
	char line[512], flags[8];
	uint64_t start, end;
	int found;

	r->mm->call_ip = r->mm->bridge = 0;
	found = in_vdso(r, err);
	if (found)
		return found < 0 ? -1 : 0;
	maps = fopen(path, "re");
	if (!maps)
		return err_sys(err, "%s", path);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, flags) != 3 || flags[2] != 'x')
			continue;
		if (r->mm->main.start && start < r->mm->main.end && end > r->mm->main.start)
			continue; /* our own */
		if (in_mapping(r, start, end))
			return 0;
	}
	return err_set(err, ERR_SYSTEM, "task %d has no system call instruction in its code", r->tid);
}
