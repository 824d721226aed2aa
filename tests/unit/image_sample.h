/* SPDX-License-Identifier: GPL-2.0-only */
/* A small whole image: two tasks, every kind of object once, pages of every kind in two rounds. */
#ifndef VERST_TESTS_UNIT_IMAGE_SAMPLE_H
#define VERST_TESTS_UNIT_IMAGE_SAMPLE_H

#include "images/images.h"

/* A model that model_validate accepts. Free with model_free. */
void sample_model(struct model *m);
/*
 * Writes it: trees, pages, objects, END. nr_pages in the batch that has data: above 4, one of them zero; from
 * 65 on the data is aligned. Aborts when that fails.
 */
void sample_write(int fd, bool compress, size_t nr_pages);
/* The whole of it in memory. The caller frees. */
uint8_t *sample_image(bool compress, size_t nr_pages, size_t *ret_len_bytes);

#endif
