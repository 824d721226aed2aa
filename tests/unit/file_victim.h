/* SPDX-License-Identifier: GPL-2.0-only */
/* A process with files open, looked at as if it were a VE of one task whose root is the machine's. */
#ifndef VERST_TESTS_UNIT_FILE_VICTIM_H
#define VERST_TESTS_UNIT_FILE_VICTIM_H

#include "cpt/cpt.h"
#include "rst/rst.h"

struct victim {
	pid_t pid;
};

/* Forks; the child runs fn with only 0, 1 and 2 open, on /dev/null, and stops. It fails by _exit. */
struct victim victim_start(void (*fn)(void *arg), void *arg);
void victim_end(struct victim *v);

void victim_wait(void);		  /* in the child: stops until victim_go() */
void victim_go(struct victim *v); /* returns when it has stopped again */

/* A dump's inside with that one task (or several), frozen or not. */
void victim_cpt(struct cpt *c, const pid_t *pids, size_t nr, bool frozen);
void victim_cpt_free(struct cpt *c);
/* Collects, and fails the test on an error. */
void victim_collect(struct cpt *c);
/* The error text of a collect that must fail. */
const char *victim_collect_fails(struct cpt *c);
/* Runs the check; all findings as "where: what" lines. */
char *victim_check(struct cpt *c);

/* The file object of the first task's descriptor. */
const struct file_obj *victim_file(const struct cpt *c, int fd);

/* A restore's inside with the model of the dump (which stays the dump's). */
void victim_rst(struct rst *r, const struct cpt *c);
void victim_rst_free(struct rst *r);
/* Opens all files: the restore's descriptor of what was `fd` in the victim. */
void victim_open_all(struct rst *r);
int victim_opened(const struct rst *r, const struct cpt *c, int fd);

/*
 * The whole way: `before` opens files in a process, which is dumped and killed; its files are restored into
 * another process (its own session's leader), where `after` looks at them and returns 0 or the number of what
 * is wrong. `between` may look at the model and change it.
 */
struct victim_trip {
	void (*before)(void *arg);
	void (*between)(struct cpt *c);
	int (*after)(void);
	void (*again)(void); /* cleans up for the second time; may be NULL */
};
void victim_round_trip(const struct victim_trip *trip);

/* For `after`: the line is its number. */
#define want(expr)                                                                                           \
	do {                                                                                                 \
		if (!(expr))                                                                                 \
			return __LINE__;                                                                     \
	} while (0)

#endif
