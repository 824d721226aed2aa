/* SPDX-License-Identifier: GPL-2.0-only */
/* Objects with random contents (of a seed), and their comparison, by the tables of images/. */
#ifndef VERST_TESTS_UNIT_IMAGE_RANDOM_H
#define VERST_TESTS_UNIT_IMAGE_RANDOM_H

#include "images/codec.h"
#include "images/images.h"

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t n);

/* Fills *obj (zeroed) with what the kind's decoder accepts; id for kinds that have one. */
void random_object(struct random *r, const struct img_codec *codec, uint32_t id, void *obj);
/* NULL if equal, else the name of a field that is not. */
const char *random_difference(const struct img_table *t, const void *a, const void *b);

/* Writes one object of codec's kind by its img_put_ function. */
int random_put(struct img_writer *w, const struct img_codec *codec, const void *obj, struct err *err);

#endif
