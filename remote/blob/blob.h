/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tracer and the code inside of the task share. All words are of the machine's own byte order and of
 * 64 bits where they hold an address.
 */
#ifndef VERST_REMOTE_BLOB_BLOB_H
#define VERST_REMOTE_BLOB_BLOB_H

#include <stdint.h>

/* Where the code can be entered, see arch/NAME/blob/. */
#define BLOB_FIRST 0
#define BLOB_ENTER 16

struct blob_call {
	uint64_t nr;
	uint64_t arg[6];
	uint32_t from_result; /* bit i: argument i is the index of an earlier call, whose result it is */
	uint32_t may_fail;
};

/* The beginning of a thread's own data. */
struct blob_area {
	uint64_t frame_sp; /* first: arch/NAME/blob/ reads it. With this stack pointer rt_sigreturn leads home
			    */
	uint64_t calls;	   /* address of struct blob_call[nr_calls] */
	uint64_t results;  /* address of struct blob_results */
	uint32_t nr_calls;
	uint32_t again;	  /* written last: there is a batch to run */
	uint32_t living;  /* the task must get along without a tracer */
	uint32_t restart; /* enum arch_restart: is an interrupted call repeated? */
	uint64_t sigmask; /* the thread's own */
	struct {
		uint64_t addr, value;
	} eintr[2]; /* words to write so that it is not */
};

enum blob_end {
	BLOB_RUNS,
	BLOB_ENDED,
	BLOB_ENDED_IGNORING, /* the action of the signal it stops with is not the task's own; the next system
				call puts it back */
};

struct blob_results {
	uint32_t nr_done; /* calls that ran; if less than all, the last of them failed */
	uint32_t ended;	  /* the batch is over: enum blob_end */
	int64_t result[];
};

#endif
