/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of remote/ share. */
#ifndef VERST_REMOTE_INTERNAL_H
#define VERST_REMOTE_INTERNAL_H

#include "remote/blob/blob.h"
#include "remote/remote.h"

/* What we have mapped in one address space. Shared by the threads that live in it. */
struct remote_mm {
	unsigned nr_users;  /* struct remote that point here */
	unsigned nr_inside; /* of them, those that may still run our code */
	int mem_fd;	    /* /proc/PID/mem: writes where the task itself must not */
	struct {
		uint64_t start, end;
	} main; /* code first, then what the areas of threads and batches are cut from; 0: none yet */
	uint64_t next, limit;	      /* what is left to cut */
	VEC(struct remote_span) more; /* mapped when that was used up */
	bool writable;		      /* main: not so at first, since some tasks must not map writable code */
	uint64_t
		call_ip; /* a system call instruction: in the task's own code, or in the blob (REMOTE_BORN) */
	uint64_t bridge; /* room for a bridge in its vdso, 0: none */
};

struct remote_span {
	uint64_t start, end;
};

struct remote {
	pid_t tid;
	enum remote_kind kind;
	int group_stop;
	bool gone;
	bool left;	       /* finished or gone home: no more of mm's nr_inside */
	bool away;	       /* its registers are ours: it has run something, or is about to */
	bool in_loop;	       /* it waits in the blob for the next batch */
	struct arch_regs *own; /* as found */
	uint64_t sigmask;
	struct remote_mm *mm;
	uint64_t area, area_end; /* its data: struct blob_area, frame, stack */
	uint64_t room, room_end; /* where its batches lie */
	pid_t child;		 /* made by the batch that runs */
	struct remote_batch *single;
};

/* --- stop.c: resuming a thread and waiting for what it does --- */

enum stop_kind { STOP_GONE, STOP_CALL, STOP_EVENT, STOP_SIGNAL, STOP_CHILD };

struct stop {
	enum stop_kind kind;
	int sig;   /* STOP_SIGNAL; STOP_EVENT: of a group stop, or SIGTRAP */
	pid_t pid; /* STOP_CHILD */
};

/* 1 if there is one, else (with flags WNOHANG) 0. Takes a thread's death, but no other stop. */
int stop_look(pid_t tid, int flags, struct stop *ret);
/* Blocks. A death sets r->gone and is an error. */
int stop_wait(struct remote *r, struct stop *ret, struct err *err);
int stop_resume(struct remote *r, int request, int sig,
		struct err *err); /* request: PTRACE_CONT, PTRACE_SYSCALL */
/* After a failure: if it was because the task was killed, says so instead. Returns -1. */
int stop_explain(struct remote *r, struct err *err);
int stop_sigmask(struct remote *r, uint64_t mask, struct err *err);

/*
 * One system call at an instruction of the task's own code (through a bridge there for living tasks). In
 * steps so that many tasks can be under way at once; afterwards the thread is in a signal-type stop, from
 * where it can go anywhere.
 */
struct stop_way {
	int stop_signal;  /* 0: by stops around the call */
	uint64_t stop_ip; /* else where the thread gets it */
};
int stop_call_start(struct remote *r, long nr, const uint64_t arg[6], struct stop_way *ret_way,
		    struct err *err);
int stop_call_end(struct remote *r, const struct stop_way *way, int64_t *ret_result, struct err *err);
int stop_call(struct remote *r, long nr, const uint64_t arg[6], int64_t *ret_result, struct err *err);
/* From the stop at a batch's end to one in which nothing in the living task is changed but its registers. */
int stop_park(struct remote *r, struct err *err);
/* Own registers and signal mask back, while in an event stop. */
int stop_home(struct remote *r, struct err *err);

/* --- code.c: the task's own code --- */

/* Fills call_ip and bridge of r->mm. */
int code_find(struct remote *r, struct err *err);
/* Was the thread found in code of ours, on its way home from a tracer that was killed? */
bool code_is_ours(const struct remote *r);

/* --- area.c: our mappings in the task --- */

extern const uint8_t remote_blob[], remote_blob_end[];
#define AREA_BLOB_BYTES ((size_t)(remote_blob_end - remote_blob))
#define AREA_CODE_BYTES 4096

struct remote_mm *area_mm_new(void); /* with one user inside */
void area_mm_share(struct remote *r, struct remote_mm *mm);
void area_mm_put(struct remote_mm *mm);
/* The thread will run no more of our code. True if it was the last one of the address space. */
bool area_leave(struct remote *r);
/* Maps the blob if there is none in the address space (addr 0: anywhere). */
int area_map(struct remote *r, uint64_t addr, struct err *err);
/* Gives the thread its own area, and with it the way home. */
int area_make(struct remote *r, struct err *err);
/* Room for a batch of that length. */
int area_room(struct remote *r, size_t len_bytes, struct err *err);
int area_mem_fd(struct remote *r, struct err *err); /* -1 on failure; stays ours */

#endif
