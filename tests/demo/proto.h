/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the demo's service and client say to each other over one connection. Numbers are little-endian (both
 * ends are built for one machine). Bytes of a body are a function of the request's number, so that either
 * side knows what the other must have sent.
 */
#ifndef VERST_TESTS_DEMO_PROTO_H
#define VERST_TESTS_DEMO_PROTO_H

#include <stdint.h>
#include <stddef.h>
#include <string.h>

#define PROTO_MAGIC    0x74737276u
#define PROTO_BODY_MAX 4096u

enum proto_kind {
	PROTO_DATA = 1,	  /* a body that is hashed and answered by a body */
	PROTO_VERIFY = 2, /* no body: the service looks at all of its memory and at itself */
};

struct proto_request {
	uint32_t magic;
	uint32_t kind;
	uint64_t number; /* 0, 1, 2, ... */
	uint64_t len_bytes;
};

struct proto_answer {
	uint32_t magic;
	uint32_t kind;
	uint64_t number;
	uint64_t len_bytes;	/* of the body that follows */
	uint64_t received_hash; /* over every body byte of this connection */
	uint64_t checksum;	/* of this request's body */
	uint64_t updates;	/* pages changed so far: never less than before */
	uint64_t monotonic_ns;	/* never less than before */
	uint32_t pid, workers;
	/* of PROTO_VERIFY */
	uint64_t pages, bad_pages; /* looked at; content, number or checksum wrong */
	uint32_t processes, threads;
	uint32_t strange; /* bits of proto_strange: what is not as it was at the start */
	uint32_t stale;	  /* shares of the table in which a page fell back to an older version */
};

enum proto_strange {
	STRANGE_PIDS = 1,    /* other pids, tids, parents or sessions */
	STRANGE_CLOCK = 2,   /* the monotonic clock went backwards */
	STRANGE_WORKERS = 4, /* a worker is gone or a thread stands still */
};

/* FNV-1a over 8 bytes at a time: each byte and its place count. */
static inline uint64_t proto_hash(uint64_t hash, const void *p, size_t len_bytes)
{
	const unsigned char *at = p;

	for (; len_bytes >= 8; at += 8, len_bytes -= 8) {
		uint64_t word;

		memcpy(&word, at, 8);
		hash = (hash ^ word) * 0x100000001b3ull;
		hash ^= hash >> 29;
	}
	while (len_bytes--)
		hash = (hash ^ *at++) * 0x100000001b3ull;
	return hash;
}

#define PROTO_HASH_START 0xcbf29ce484222325ull

static inline uint64_t proto_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* The body of a request (side 0) or an answer (side 1): its length and its bytes. */
static inline size_t proto_body(uint64_t number, unsigned side, unsigned char *ret)
{
	uint64_t state = proto_mix(number * 2 + side);
	size_t len = state % PROTO_BODY_MAX + 1;

	for (size_t at = 0; at < len; at += 8) {
		uint64_t word = state = proto_mix(state);

		memcpy(ret + at, &word, len - at < 8 ? len - at : 8);
	}
	return len;
}

#endif
