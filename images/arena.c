// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"

#define PIECE_BYTES 65536

struct img_arena_piece {
	struct img_arena_piece *next;
	size_t used_bytes, cap_bytes;
	_Alignas(16) uint8_t bytes[];
};

void *img_arena_get(struct img_arena *a, size_t len_bytes)
{
	struct img_arena_piece *piece = a->pieces;
	size_t len = (len_bytes + 15) & ~(size_t)15;
	void *p;

	if (len < len_bytes || (a->limit_bytes && len > a->limit_bytes - a->used_bytes))
		return NULL;
	if (!piece || piece->cap_bytes - piece->used_bytes < len) {
		size_t cap = MAX(len, (size_t)PIECE_BYTES);

		piece = mem_alloc(sizeof(*piece) + cap);
		piece->cap_bytes = cap;
		piece->next = a->pieces;
		a->pieces = piece;
	}
	p = piece->bytes + piece->used_bytes;
	piece->used_bytes += len;
	a->used_bytes += len;
	return p;
}

void img_arena_reset(struct img_arena *a, size_t limit_bytes)
{
	struct img_arena_piece *piece = a->pieces;

	/* One ordinary piece is kept, and given out zeroed again. */
	if (piece && !piece->next && piece->cap_bytes == PIECE_BYTES) {
		memset(piece->bytes, 0, piece->used_bytes);
		piece->used_bytes = 0;
		a->used_bytes = 0;
	} else {
		img_arena_free(a);
	}
	a->limit_bytes = limit_bytes;
}

void img_arena_free(struct img_arena *a)
{
	for (struct img_arena_piece *piece = a->pieces, *next; piece; piece = next) {
		next = piece->next;
		free(piece);
	}
	*a = (struct img_arena){0};
}
