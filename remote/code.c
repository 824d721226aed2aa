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

static bool in_vdso(struct remote *r)
{
	struct vdso own = own_vdso();
	uint64_t addr = own.image ? vdso_of(r->tid) : 0;
	uint8_t theirs[own.elf_bytes ? own.elf_bytes : 1];
	size_t free_at = (own.elf_bytes + 15) & ~15UL;
	struct iovec here = {theirs, own.elf_bytes}, there = {(void *)addr, own.elf_bytes};
	ssize_t at;

	if (!addr || process_vm_readv(r->tid, &here, 1, &there, 1, 0) != (ssize_t)own.elf_bytes ||
	    memcmp(theirs, own.image, own.elf_bytes))
		return false;
	at = arch_find_syscall(own.image, own.elf_bytes);
	if (at < 0)
		return false;
	r->mm->call_ip = addr + at;
	if (free_at / PAGE_BYTES == (free_at + ARCH_BRIDGE_MAX_BYTES - 1) / PAGE_BYTES)
		r->mm->bridge = addr + free_at;
	return true;
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

	r->mm->call_ip = r->mm->bridge = 0;
	if (in_vdso(r))
		return 0;
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
