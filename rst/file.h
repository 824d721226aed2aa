/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files' end of the restore shares among its kinds. */
#ifndef VERST_RST_FILE_H
#define VERST_RST_FILE_H

#include "rst/rst.h"

struct rst_ghost {
	ghost_id id;
	int fd; /* readable and writable while its content arrives, then O_PATH */
};

/* A pipe's two ends, held until all that is open of it is open. */
struct rst_pipe {
	pipe_id id;
	int end[2];    /* 0 reads, 1 writes; a FIFO: both the same file */
	bool given[2]; /* the very file of that end is already an open file of the VE */
};

struct rst_tty {
	tty_id id;
	int master, slave;
	bool master_given; /* it is an open file of the VE */
};

/* A terminal that a session took while the tree was built. */
struct rst_tty_early {
	uint32_t index;
	int master;
};

/* Of a process that is gone: made together with the others of it, while it was there. */
struct rst_pidfd {
	file_id file;
	int fd;
};

/* A copy of ours, for the time when watches begin. */
struct rst_inotify {
	uint32_t id;
	int fd;
};

struct rst_file_state {
	VEC(struct rst_ghost) ghosts;
	VEC(struct rst_pipe) pipes;
	VEC(struct rst_tty) ttys;
	VEC(struct rst_tty_early) early;
	VEC(struct rst_pidfd) pidfds;
	VEC(struct rst_inotify) inotifys;
};

struct rst_file_state *rst_file_state(struct rst *r); /* made on first use */

/* "task 42 fd 7": where the open file is first found, for errors. */
const char *rst_file_where(const struct rst *r, file_id id, char ret[static 64]);
/* A task that has the file, and its number there; NULL: none has. */
struct rst_task *rst_file_holder(struct rst *r, file_id id, uint32_t *ret_fd);

/* What lies at the path in the VE's root, as a place (O_PATH); it must be of the type (S_IFREG, ...). */
int rst_reg_place(struct rst *r, const char *path, uint32_t type, int *ret_fd, struct err *err);
/* The same file once more, as a new open file with flags of its own. */
int rst_reg_again(int fd, int flags, int *ret_fd, struct err *err);

/* rst/ghost.c: a descriptor that is the state's. */
int rst_ghost_fd(struct rst *r, ghost_id id, int *ret_fd, struct err *err);
/* All content is there: times are set, and nothing is open for writing any more. */
int rst_ghost_finish(struct rst *r, struct err *err);

/* rst/move.c: descriptors that arrived in a task under any number go where they belong. */
struct rst_move {
	enum { RST_MOVE_DUP, RST_MOVE_ASIDE, RST_MOVE_CLOSE } what;
	int from;     /* a number, or -1 - n: what the nth move (an ASIDE) gave */
	uint32_t to;  /* DUP */
	bool cloexec; /* DUP */
};
typedef VEC(struct rst_move) rst_moves;

struct rst_move_want {
	uint32_t to;
	int from; /* where it is now; several may want the same */
	bool cloexec;
};
/* wants in ascending order of `to`; after the moves exactly these numbers are open of all that `have` and
 * `wants` name. */
void rst_move_plan(const struct rst_move_want *wants, size_t nr_wants, const int *have, size_t nr_have,
		   rst_moves *ret);

/* rst/lock.c: when all descriptors are in place. */
int rst_lock_take_all(struct rst *r, struct err *err);

/* rst/pipe.c, rst/tty.c: what was held for opening is let go. */
void rst_pipe_let_go(struct rst *r);
void rst_tty_let_go(struct rst *r);

#endif
