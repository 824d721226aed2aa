// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/image_random.h"

#include <sys/stat.h>

typedef VEC(uint8_t) any_vec;

uint64_t random_next(struct random *r) /* splitmix64 */
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t random_below(struct random *r, uint64_t n)
{
	return n ? random_next(r) % n : 0;
}

/* Often zero, small or all ones, as real values are. */
static uint64_t some_number(struct random *r, size_t len_bytes)
{
	uint64_t all = len_bytes == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len_bytes)) - 1;

	switch (random_below(r, 5)) {
	case 0:
		return 0;
	case 1:
		return random_below(r, 100);
	case 2:
		return all;
	default:
		return random_next(r) & all;
	}
}

static void fill_num(struct random *r, const struct img_field *f, const ProtobufCFieldDescriptor *pf,
		     uint8_t *at)
{
	uint64_t v = some_number(r, f->item_bytes);

	if (f->bounded)
		v = f->lo + random_below(r, f->hi - f->lo + 1);
	if (pf->type == PROTOBUF_C_TYPE_BOOL)
		v &= 1;
	memcpy(at, &v, f->item_bytes);
}

static char *some_text(struct random *r, const struct img_field *f)
{
	size_t len = random_below(r, MIN(f->max, (size_t)40)), at = 0;
	char *s = mem_alloc(len + 2);

	if (f->nullable && !random_below(r, 3)) {
		free(s);
		return NULL;
	}
	if (f->text == IMG_TEXT_PATH)
		s[at++] = '/';
	while (at < len)
		s[at++] =
			(char)(f->text == IMG_TEXT_ANY ? 1 + random_below(r, 255) : 97 + random_below(r, 26));
	if (f->nullable && !at)
		s[at] = 'x';
	return s;
}

static void fill(struct random *r, const struct img_table *t, uint8_t *obj);

static void fill_items(struct random *r, const struct img_field *f, const ProtobufCFieldDescriptor *pf,
		       uint8_t *items, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (f->sub)
			fill(r, f->sub, items + i * f->item_bytes);
		else
			fill_num(r, f, pf, items + i * f->item_bytes);
	}
}

static void fill_field(struct random *r, const struct img_field *f, const ProtobufCFieldDescriptor *pf,
		       uint8_t *obj)
{
	uint8_t *at = obj + f->offset;
	struct bytes *bytes = (struct bytes *)at;
	any_vec *vec = (any_vec *)at;

	switch (f->form) {
	case IMG_NUM:
		fill_num(r, f, pf, at);
		break;
	case IMG_TEXT:
		*(char **)at = some_text(r, f);
		break;
	case IMG_BYTES:
		bytes->len_bytes = random_below(r, MIN(f->max, (size_t)300) + 1);
		bytes->at = bytes->len_bytes ? mem_alloc(bytes->len_bytes) : NULL;
		for (size_t i = 0; i < bytes->len_bytes; i++)
			bytes->at[i] = (uint8_t)random_next(r);
		break;
	case IMG_STRUCT:
		fill(r, f->sub, at);
		break;
	case IMG_ARRAY:
		fill_items(r, f, pf, at, f->max);
		break;
	case IMG_GENERAL:
		*(uint32_t *)(at + f->max * f->item_bytes) = (uint32_t)random_below(r, f->max + 1);
		fill_items(r, f, pf, at, *(uint32_t *)(at + f->max * f->item_bytes));
		break;
	case IMG_NUMS:
	case IMG_LIST:
		vec->nr = vec->cap = random_below(r, MIN(f->max, (size_t)5) + 1);
		vec->at = vec->nr ? mem_alloc(vec->nr * f->item_bytes) : NULL;
		fill_items(r, f, pf, vec->at, vec->nr);
		break;
	}
}

static void fill(struct random *r, const struct img_table *t, uint8_t *obj)
{
	for (size_t i = 0; i < t->nr; i++)
		fill_field(r, &t->fields[i], &t->message->fields[i], obj);
}

/* Trees and address spaces are checked as they are read. */
static void make_tree_sane(struct random *r, struct tree_obj *tree)
{
	uint32_t i = 0;

	tree->round |= 1;
	if (!tree->tasks.nr)
		vec_add(&tree->tasks);
	vec_each(t, &tree->tasks) {
		t->pid = i + 1;
		t->ppid = (uint32_t)random_below(r, i) + (i != 0);
		t->mm_from = t->ppid;
		t->pgid = t->sid = 1;
		t->mm = ++i;
		t->tty = t->sid == t->pid ? t->tty % TREE_TTY_MAX : 0;
	}
}

static void make_mm_sane(struct random *r, struct mm_obj *mm)
{
	uint64_t at = 0;

	vec_each(v, &mm->vmas) {
		v->start = at + random_below(r, 100) * 4096;
		at = v->end = v->start + 4096 * (1 + random_below(r, 100));
		v->prot &= 7;
		v->offset &= UINT64_MAX >> 2 & ~UINT64_C(65535);
		v->advice &= 1023;
		v->kind = v->kind == VMA_VDSO ? VMA_ANON : v->kind;
		v->shm = v->kind == VMA_SHM;
		v->reg = v->kind == VMA_FILE || v->kind == VMA_FILE_SHARED;
	}
}

static void make_fsent_sane(struct random *r, struct fsent_obj *f)
{
	f->mode = (f->mode & 07777) | S_IFREG;
	f->offset >>= 2;
	f->size_bytes = f->offset + f->content.len_bytes + random_below(r, 100);
	free(f->symlink);
	f->symlink = NULL;
	if (!f->content.len_bytes && random_below(r, 2)) {
		f->mode = (f->mode & 07777) | S_IFLNK;
		f->symlink = mem_strdup("to/somewhere");
	}
	if (!*f->path)
		strcpy(f->path, "x");
}

void random_object(struct random *r, const struct img_codec *codec, uint32_t id, void *obj)
{
	fill(r, codec->kind->table, obj);
	if (codec->kind->order == IMG_BY_ID || codec->kind->order == IMG_REPLACED)
		*(uint32_t *)obj = id;
	if (codec->type == OBJ_tree)
		make_tree_sane(r, obj);
	if (codec->type == OBJ_fsent)
		make_fsent_sane(r, obj);
	if (codec->type == OBJ_mm)
		make_mm_sane(r, obj);
}

/* --- comparison --- */

static const char *differing_items(const struct img_field *f, const uint8_t *a, const uint8_t *b, size_t nr)
{
	const char *what = NULL;

	for (size_t i = 0; i < nr && !what; i++) {
		if (f->sub)
			what = random_difference(f->sub, a + i * f->item_bytes, b + i * f->item_bytes);
		else
			what = memcmp(a + i * f->item_bytes, b + i * f->item_bytes, f->item_bytes) ? f->name
												   : NULL;
	}
	return what;
}

static const char *differing_field(const struct img_field *f, const uint8_t *a, const uint8_t *b)
{
	const struct bytes *x = (const void *)a, *y = (const void *)b;
	const any_vec *v = (const void *)a, *u = (const void *)b;
	const char *s, *t;
	size_t count_at = f->max * f->item_bytes;

	switch (f->form) {
	case IMG_NUM:
		return memcmp(a, b, f->item_bytes) ? f->name : NULL;
	case IMG_TEXT:
		s = *(char *const *)a;
		t = *(char *const *)b;
		return !s != !t || (s && strcmp(s, t)) ? f->name : NULL;
	case IMG_BYTES:
		return x->len_bytes != y->len_bytes || (x->len_bytes && memcmp(x->at, y->at, x->len_bytes))
			       ? f->name
			       : NULL;
	case IMG_STRUCT:
		return random_difference(f->sub, a, b);
	case IMG_ARRAY:
		return differing_items(f, a, b, f->max);
	case IMG_GENERAL:
		return memcmp(a, b, count_at + 4) ? f->name : NULL;
	default:
		return v->nr != u->nr ? f->name : differing_items(f, v->at, u->at, v->nr);
	}
}

const char *random_difference(const struct img_table *t, const void *a, const void *b)
{
	for (size_t i = 0; i < t->nr; i++) {
		const struct img_field *f = &t->fields[i];
		const char *what =
			differing_field(f, (const uint8_t *)a + f->offset, (const uint8_t *)b + f->offset);

		if (what)
			return what;
	}
	return NULL;
}

int random_put(struct img_writer *w, const struct img_codec *codec, const void *obj, struct err *err)
{
	switch (codec->type) {
#define OBJECT(name, type, struct_, member)                                                                  \
	case type:                                                                                           \
		return img_put_##name(w, obj, err);
#include "model/objects.def"
#undef OBJECT
	}
	abort();
}
