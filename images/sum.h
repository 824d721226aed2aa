/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checksums: XXH3 with 64 bits (libxxhash). It runs at memory bandwidth, CRC-32C does so only
 * with instructions that not every architecture has, and finds no more of what a damaged file or link does to
 * a record at these sizes. None of the two stops a forger; the reader validates what it reads for that.
 */
#ifndef VERST_IMAGES_SUM_H
#define VERST_IMAGES_SUM_H

#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* the same functions, with what the CPU has: AVX2, AVX-512 */
#endif

#include "lib/buf.h"

/* Of a record: its number, the first 8 bytes of its header, then its body in any pieces. */
void img_sum_begin(XXH3_state_t *state, uint64_t number, const uint8_t *header);
void img_sum_more(XXH3_state_t *state, const void *p, size_t len_bytes);
uint64_t img_sum_end(const XXH3_state_t *state);
uint64_t img_sum_header(const uint8_t *header);

#endif
