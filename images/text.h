/* SPDX-License-Identifier: GPL-2.0-only */
/* Objects as text, by their tables. */
#ifndef VERST_IMAGES_TEXT_H
#define VERST_IMAGES_TEXT_H

#include "images/codec.h"

void img_text_put(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string. Bytes that are no UTF-8 become lone surrogates (\udc80 to \udcff), as Python's
 * surrogateescape has it. */
void img_text_json_string(struct buf *out, const void *p, size_t len_bytes);
/* All fields. Of bytes: their number and the first ones in hexadecimal. */
void img_text_json(struct buf *out, const struct img_table *t, const void *obj);
/* For people: what is not zero, "name value, name value"; long lists and texts are cut. */
void img_text_line(struct buf *out, const struct img_table *t, const void *obj);

#endif
