// SPDX-License-Identifier: GPL-2.0-only
/* Every kind of object through writer and reader; the tables against structs and messages. */
#include <criterion/criterion.h>
#include <sys/mman.h>

#include "images/images.h"
#include "tests/unit/image_random.h"

static const struct img_writer_opts opts = {.arch = "x86", .page_bytes = 4096, .created_unix = 1700000000};

static size_t field_bytes(const struct img_field *f)
{
	switch (f->form) {
	case IMG_NUM:
	case IMG_STRUCT:
		return f->item_bytes;
	case IMG_TEXT:
		return sizeof(char *);
	case IMG_BYTES:
		return sizeof(struct bytes);
	case IMG_ARRAY:
		return f->item_bytes * f->max;
	case IMG_GENERAL:
		return f->item_bytes * f->max + sizeof(uint32_t);
	default:
		return sizeof(VEC(int));
	}
}

/* No member of the struct is forgotten: gaps between the rows are padding, smaller than a pointer. */
static void check_table(const char *kind, const struct img_table *t)
{
	cr_assert_eq(t->nr, t->message->n_fields, "%s: %zu rows, %u fields", kind, t->nr,
		     t->message->n_fields);
	for (size_t i = 0; i < t->nr; i++) {
		const struct img_field *f = &t->fields[i];
		const ProtobufCFieldDescriptor *pf = &t->message->fields[i];
		bool repeated = f->form >= IMG_NUMS && f->form != IMG_STRUCT;

		cr_assert_str_eq(f->name, pf->name, "%s: row %zu", kind, i);
		cr_assert_eq(pf->id, i + 1, "%s: %s: tags count from 1", kind, f->name);
		cr_assert_eq(repeated, pf->label == PROTOBUF_C_LABEL_REPEATED, "%s: %s", kind, f->name);
		cr_assert_eq(f->form == IMG_TEXT || f->form == IMG_BYTES, pf->type == PROTOBUF_C_TYPE_BYTES,
			     "%s: %s", kind, f->name);
		cr_assert_eq(!!f->sub, pf->type == PROTOBUF_C_TYPE_MESSAGE, "%s: %s", kind, f->name);
		for (size_t k = 0; k < t->nr; k++) {
			if (&t->fields[k] != f && t->fields[k].offset >= f->offset)
				cr_assert_geq(t->fields[k].offset, f->offset + field_bytes(f), "%s: %s", kind,
					      f->name);
		}
		if (f->sub) {
			cr_assert_eq(f->item_bytes, f->sub->obj_bytes, "%s: %s", kind, f->name);
			cr_assert_eq(pf->descriptor, f->sub->message, "%s: %s", kind, f->name);
			check_table(f->name, f->sub);
		}
		if (f->form == IMG_NUM || f->form == IMG_NUMS) {
			bool wide = pf->type == PROTOBUF_C_TYPE_UINT64 || pf->type == PROTOBUF_C_TYPE_SINT64;
			bool is_signed =
				pf->type == PROTOBUF_C_TYPE_SINT32 || pf->type == PROTOBUF_C_TYPE_SINT64;

			cr_assert_eq(wide, f->item_bytes == 8, "%s: %s", kind, f->name);
			cr_assert_eq(is_signed, f->is_signed, "%s: %s", kind, f->name);
		}
	}
	/* every byte is of a row, or less than 8 away from the end of one */
	for (size_t at = 0; at < t->obj_bytes; at++) {
		size_t nearest = SIZE_MAX;

		for (size_t i = 0; i < t->nr; i++) {
			const struct img_field *f = &t->fields[i];
			size_t end = f->offset + field_bytes(f);

			if (at >= f->offset && at < end)
				nearest = 0;
			else if (at >= end)
				nearest = MIN(nearest, at - end + 1);
		}
		cr_assert_lt(nearest, 8, "%s: no row for the member at %zu", kind, at);
	}
}

Test(image_object, tables_fit)
{
	for (size_t i = 0; i < IMG_CODECS; i++)
		check_table(img_codecs[i].name, img_codecs[i].kind->table);
}

static int new_image(struct img_writer **ret_w)
{
	struct err err = ERR_INIT;
	int fd = memfd_create("image", MFD_CLOEXEC);

	cr_assert_eq(img_writer_open(fd, &opts, ret_w, &err), 0, "%s", err.msg);
	return fd;
}

static void round_trip(const struct img_codec *codec, uint64_t seed, size_t nr)
{
	struct random r = {seed};
	struct err err = ERR_INIT;
	struct model m = {0};
	struct img_writer *w;
	struct img_reader *in;
	struct img_record record;
	uint8_t *objs = mem_alloc(nr * codec->obj_bytes);
	VEC(uint8_t) *vec = (void *)((uint8_t *)&m + codec->member_offset);
	int fd = new_image(&w);

	for (size_t i = 0; i < nr; i++) {
		random_object(&r, codec, (uint32_t)i * 3 + 1, objs + i * codec->obj_bytes);
		cr_assert_eq(random_put(w, codec, objs + i * codec->obj_bytes, &err), 0, "%s", err.msg);
	}
	cr_assert_eq(img_writer_end(w, &err), 0, "%s", err.msg);
	cr_assert_eq(img_writer_bytes(w), (uint64_t)lseek(fd, 0, SEEK_CUR));
	img_writer_close(w);

	lseek(fd, 0, SEEK_SET);
	cr_assert_eq(img_reader_open(fd, &in, &err), 0, "%s", err.msg);
	for (size_t i = 0; i < nr; i++) {
		const char *what;

		cr_assert_eq(img_read(in, &m, &record, &err), 0, "%s seed %llu: %s", codec->name,
			     (unsigned long long)seed, err.msg);
		cr_assert_eq(record.item, IMG_OBJECT);
		cr_assert_eq(record.type, codec->type);
		cr_assert_eq(record.number, i);
		cr_assert_eq(record.index, codec->kind->order == IMG_ONE ? 0 : i);
		what = random_difference(codec->kind->table, vec->at + record.index * codec->obj_bytes,
					 objs + i * codec->obj_bytes);
		cr_assert_null(what, "%s seed %llu: %s differs", codec->name, (unsigned long long)seed, what);
	}
	cr_assert_eq(img_read(in, &m, &record, &err), 0, "%s", err.msg);
	cr_assert_eq(record.item, IMG_END);
	cr_assert_neq(img_read(in, &m, &record, &err), 0);
	img_reader_close(in);
	model_free(&m);
	for (size_t i = 0; i < nr; i++)
		codec->free(objs + i * codec->obj_bytes);
	free(objs);
	close(fd);
}

Test(image_object, every_kind_comes_back)
{
	for (size_t i = 0; i < IMG_CODECS; i++)
		for (uint64_t seed = 1; seed <= 50; seed++)
			round_trip(&img_codecs[i], seed * 1000 + i, 1 + seed % 20);
}
