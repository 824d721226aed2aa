// SPDX-License-Identifier: GPL-2.0-only
#include "facts/vdso.h"

#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <xxhash.h>

struct vdso {
	const char *base;
	uintptr_t shift; /* from addresses in it to memory */
	const ElfW(Sym) * symbols;
	const char *names;
	uint32_t nr_symbols;
};

static const ElfW(Dyn) * find_dynamic(struct vdso *v)
{
	const ElfW(Ehdr) *head = (const void *)v->base;
	const ElfW(Phdr) *ph = (const void *)(v->base + head->e_phoff);
	const ElfW(Dyn) *dynamic = NULL;

	for (int i = 0; i < head->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD)
			v->shift = (uintptr_t)v->base + ph[i].p_offset - ph[i].p_vaddr;
		else if (ph[i].p_type == PT_DYNAMIC)
			dynamic = (const void *)(v->base + ph[i].p_offset);
	}
	return dynamic;
}

/* The number of symbols is in the old hash table alone; the new one tells it by its longest chain. */
static uint32_t count_gnu_hash(const uint32_t *table)
{
	uint32_t nr_buckets = table[0], first = table[1], bloom_words = table[2], last = 0;
	const uint32_t *buckets = table + 4 + bloom_words * (sizeof(ElfW(Addr)) / 4);
	const uint32_t *chain = buckets + nr_buckets;

	for (uint32_t i = 0; i < nr_buckets; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < first)
		return first;
	while (!(chain[last - first] & 1))
		last++;
	return last + 1;
}

static void read_dynamic(struct vdso *v, const ElfW(Dyn) * d)
{
	for (; d->d_tag != DT_NULL; d++) {
		const void *at = (const void *)(v->shift + d->d_un.d_ptr);

		if (d->d_tag == DT_SYMTAB)
			v->symbols = at;
		else if (d->d_tag == DT_STRTAB)
			v->names = at;
		else if (d->d_tag == DT_HASH)
			v->nr_symbols = ((const uint32_t *)at)[1];
		else if (d->d_tag == DT_GNU_HASH && !v->nr_symbols)
			v->nr_symbols = count_gnu_hash(at);
	}
}

uint64_t vdso_digest(void)
{
	struct vdso v = {.base = (const char *)getauxval(AT_SYSINFO_EHDR)};
	const ElfW(Dyn) *dynamic = v.base ? find_dynamic(&v) : NULL;
	uint64_t digest = 1;

	if (!dynamic)
		return 0;
	read_dynamic(&v, dynamic);
	if (!v.symbols || !v.names)
		return 0;
	for (uint32_t i = 0; i < v.nr_symbols; i++) {
		const char *name = v.names + v.symbols[i].st_name;
		uint64_t value = v.symbols[i].st_value;

		digest = XXH3_64bits_withSeed(name, strlen(name), digest);
		digest = XXH3_64bits_withSeed(&value, sizeof(value), digest);
	}
	return digest;
}
