/* SPDX-License-Identifier: GPL-2.0-only */
/* clang-format off */
/*
 * The bytes that are not protobuf (docs/image-format.md). All integers little-endian.
 *
 *	header, 64 bytes
 *	 0        8        12          16        32          40         48        56          64
 *	| magic  | u32     | u32      | char[16] | u64       | i64      | zeros   | u64       |
 *	|        | version | page     | arch     | features  | created  |         | checksum  |
 *
 *	record
 *	 0        2        4          8            16
 *	| u16    | u16     | u32      | u64        | body ...
 *	| type   | flags   | length   | checksum   |
 *
 *	body of PAGES
 *	 0        4     8         12       16            20            24      32
 *	| u32    | u32 | u32     | u32    | u32         | u32         | u8[8] |
 *	| target | id  | nr_runs | coding | data_offset | data_length | zeros | runs ... zeros data
 *	run: u64 start, u32 nr_pages, u32 kind
 *
 *	body of ROUND_END: u32 round
 *
 *	body of END
 *	 0          8         16        24       32       40        48         52      56
 *	| u64      | u64     | u64     | u64    | u64    | u64     | u32      | zeros | kinds ...
 *	| records  | bytes   | data    | zero   | inherit| digest  | nr_kinds |
 *	|          |         | pages   | pages  | pages  |         |          |
 *	kind: u16 type, u16 zero, u32 zero, u64 records, u64 bytes
 */
/* clang-format on */
#ifndef VERST_IMAGES_FORMAT_H
#define VERST_IMAGES_FORMAT_H

#include <stdint.h>

#define IMG_MAGIC   "\x89VERST\r\n"
#define IMG_VERSION 1u

#define IMG_FEATURES_KNOWN UINT64_C(0) /* must-understand bits of the header */

enum {
	IMG_HEADER_BYTES = 64,
	IMG_HEADER_SUMMED_BYTES = 56,
	IMG_RECORD_BYTES = 16,
	IMG_RECORD_SUMMED_BYTES = 8,
	IMG_PAGES_BYTES = 32,
	IMG_RUN_BYTES = 16,
	IMG_END_BYTES = 56,
	IMG_END_KIND_BYTES = 24,
};

enum img_record_type {
	IMG_REC_PAGES = 1,
	IMG_REC_ROUND_END = 2,
	IMG_REC_END = 3,
	/* 16 and up: objects.def */
};

#define IMG_FLAG_OPTIONAL 1u /* who does not know the type may skip it */

enum img_coding { IMG_RAW = 0, IMG_LZ4 = 1 };

#define IMG_MAX_RUNS	  65536u /* of one batch */
#define IMG_ALIGNED_PAGES 64u	 /* a batch of so many has its data at a page boundary of the stream */

#endif
