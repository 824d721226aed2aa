/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects to protobuf messages and back, by tables. images/NAME.c lists the fields of its structs in the
 * order of the fields of its messages (the Nth row belongs to the Nth field of the message, by tag; a unit
 * test compares the names); encoding, decoding and showing all go by that one list.
 *
 * Decoding trusts nothing: lengths, ranges, counts, text without NUL, paths that are absolute and do not
 * climb. A field that this version does not know is refused, because an image is state and state is not to be
 * dropped in silence.
 */
#ifndef VERST_IMAGES_CODEC_H
#define VERST_IMAGES_CODEC_H

#include <protobuf-c/protobuf-c.h>

#include "lib/buf.h"
#include "lib/lib.h"
#include "model/model.h"

enum img_form {
	IMG_NUM,     /* integer, bool or enum */
	IMG_TEXT,    /* char * */
	IMG_BYTES,   /* struct bytes */
	IMG_NUMS,    /* VEC of integers */
	IMG_LIST,    /* VEC of structs */
	IMG_ARRAY,   /* struct[max] */
	IMG_STRUCT,  /* embedded struct */
	IMG_GENERAL, /* u64[max] and then a u32 that counts them */
};

enum img_text { IMG_TEXT_ANY, IMG_TEXT_PATH, IMG_TEXT_RELATIVE };

enum img_look { IMG_DEC, IMG_HEX, IMG_OCT }; /* how people see it */

struct img_table;

struct img_field {
	const char *name;
	enum img_form form;
	enum img_look look;
	enum img_text text;
	bool is_signed, nullable, bounded;
	size_t offset, item_bytes;
	size_t max;	 /* IMG_TEXT, IMG_BYTES: length; the others: count */
	uint64_t lo, hi; /* with bounded */
	const struct img_table *sub;
};

struct img_table {
	const ProtobufCMessageDescriptor *message;
	const struct img_field *fields;
	size_t nr, obj_bytes;
};

/* Rows. `T` is defined as the struct's type around each table. */
/* clang-format off */
#define IMG_AT_(f)     (((T *)0)->f)
#define IMG_SIGNED_(f) _Generic(IMG_AT_(f), int32_t: true, int64_t: true, default: false)
#define IMG_NUM_(f, ...) \
	{.name = #f, .form = IMG_NUM, .offset = offsetof(T, f), .item_bytes = sizeof(IMG_AT_(f)), \
	 .is_signed = IMG_SIGNED_(f), ##__VA_ARGS__}
#define NUM(f)		   IMG_NUM_(f)
#define HEX(f)		   IMG_NUM_(f, .look = IMG_HEX)
#define OCT(f)		   IMG_NUM_(f, .look = IMG_OCT)
#define RANGE(f, lo_, hi_) IMG_NUM_(f, .bounded = true, .lo = (lo_), .hi = (hi_))
#define IMG_TEXT_(f, max_, ...) \
	{.name = #f, .form = IMG_TEXT, .offset = offsetof(T, f), .max = (max_), ##__VA_ARGS__}
#define TEXT(f, max_)	   IMG_TEXT_(f, max_)
#define TEXT_OR_NULL(f, max_) IMG_TEXT_(f, max_, .nullable = true)
#define PATH(f)		   IMG_TEXT_(f, IMG_MAX_PATH, .text = IMG_TEXT_PATH)
#define PATH_OR_NULL(f)	   IMG_TEXT_(f, IMG_MAX_PATH, .text = IMG_TEXT_PATH, .nullable = true)
#define RELATIVE(f)	   IMG_TEXT_(f, IMG_MAX_PATH, .text = IMG_TEXT_RELATIVE)
#define RELATIVE_OR_NULL(f) IMG_TEXT_(f, IMG_MAX_PATH, .text = IMG_TEXT_RELATIVE, .nullable = true)
#define BYTES(f, max_)	   {.name = #f, .form = IMG_BYTES, .offset = offsetof(T, f), .max = (max_)}
#define NUMS(f, max_) \
	{.name = #f, .form = IMG_NUMS, .offset = offsetof(T, f), .item_bytes = sizeof(*IMG_AT_(f).at), \
	 .max = (max_)}
#define LIST(f, table, max_) \
	{.name = #f, .form = IMG_LIST, .offset = offsetof(T, f), .item_bytes = sizeof(*IMG_AT_(f).at), \
	 .max = (max_), .sub = &(table)}
#define ARRAY(f, table) \
	{.name = #f, .form = IMG_ARRAY, .offset = offsetof(T, f), .item_bytes = sizeof(IMG_AT_(f)[0]), \
	 .max = ARRAY_LEN(IMG_AT_(f)), .sub = &(table)}
#define STRUCT(f, table) \
	{.name = #f, .form = IMG_STRUCT, .offset = offsetof(T, f), .item_bytes = sizeof(IMG_AT_(f)), \
	 .sub = &(table)}
#define GENERAL(f, count) \
	{.name = #f, .form = IMG_GENERAL, .offset = offsetof(T, f), .item_bytes = sizeof(IMG_AT_(f)[0]), \
	 .max = ARRAY_LEN(IMG_AT_(f))}

/* The table of struct T: IMG_TABLE(pipe_chunk, fields). */
#define IMG_TABLE(message_, fields_) \
	{.message = &verst__##message_##__descriptor, .fields = (fields_), .nr = ARRAY_LEN(fields_), \
	 .obj_bytes = sizeof(T)}
/* clang-format on */

#define IMG_MAX_PATH  4095u
#define IMG_MAX_DATA  (64u << 20) /* queues, contents */
#define IMG_MAX_COUNT (1u << 20)  /* of small things in one object */

enum img_order {
	IMG_BY_ID,    /* u32 id first in the struct, ascending */
	IMG_REPLACED, /* the same, and one with an id that is there replaces it */
	IMG_ONE,      /* at most one; another replaces it */
	IMG_APPENDED, /* any number, in the order of the stream */
};

/* What images/NAME.c says of its kind. */
struct img_kind {
	const struct img_table *table;
	enum img_order order;
	/* Of one object alone, for those that are used before the whole is validated; may be NULL. */
	int (*check)(const void *obj, struct err *err);
};

/* The registry: objects.def with all that belongs to a line of it. */
struct img_codec {
	const char *name;
	uint16_t type;
	size_t member_offset, obj_bytes;
	const struct img_kind *kind;
	void (*free)(void *obj); /* what it owns */
};

#define OBJECT(name, type, struct_, member) extern const struct img_kind img_##name##_kind;
#include "model/objects.def"
#undef OBJECT

#define OBJECT(name, type, struct_, member) IMG_CODEC_##name,
enum {
#include "model/objects.def"
	IMG_CODECS
};
#undef OBJECT

extern const struct img_codec img_codecs[IMG_CODECS];	  /* in the order of objects.def */
const struct img_codec *img_codec_of_type(uint16_t type); /* NULL */

/* Tables that several kinds share. */
extern const struct img_table img_sock_option_table, img_sock_packet_table, img_regs_table, img_ipc_owner_table;

/* Memory that is given back as a whole. */
struct img_arena_piece;
struct img_arena {
	struct img_arena_piece *pieces;
	size_t used_bytes, limit_bytes; /* of all; 0: no limit */
};
void *img_arena_get(struct img_arena *a, size_t len_bytes); /* zeroed; NULL beyond the limit */
void img_arena_reset(struct img_arena *a, size_t limit_bytes);
void img_arena_free(struct img_arena *a);

/* An integer of 1, 2, 4 or 8 bytes in a struct, sign-extended if it has a sign. */
uint64_t img_load(const void *p, size_t len_bytes, bool is_signed);

/* Appends the message to out. */
int img_encode(const struct img_codec *codec, const void *obj, struct img_arena *arena, struct buf *out,
	       struct err *err);
/* Fills *ret (zeroed before). On failure it holds a part: free it with codec->free all the same. */
int img_decode(const struct img_codec *codec, const void *body, size_t len_bytes, struct img_arena *arena,
	       void *ret, struct err *err);

#endif
