/* SPDX-License-Identifier: GPL-2.0-only */
/* The VE itself, and the shape of its process tree as it is known before all else. */
#ifndef VERST_MODEL_VE_H
#define VERST_MODEL_VE_H

#include "model/base.h"

struct ve_obj {
	uint32_t id;
	char *conf; /* text of ID.conf */
	char *template_name;
	char *template_digest; /* of the template's manifest, "" if it has none */
	char *hostname, *domainname;
	char *kernel_release; /* of the node that dumped, for people */
	uint32_t page_bytes;
	int64_t monotonic_ns; /* the VE's clocks when it was stopped (in the first record: when the dump
				 began) */
	int64_t boottime_ns;
};

/* A session's members get its terminal when they are forked from its leader, so the leader must have it
 * early. */
#define TREE_TTY_NONE	 0u
#define TREE_TTY_CONSOLE 1u
#define TREE_TTY_PTS	 2u /* and the index in /dev/pts added to it */
#define TREE_TTY_MAX	 (TREE_TTY_PTS + 0xfffffu)

/* One task of the tree, before anything else is known of it: enough to create it and to give it its memory.
 */
struct tree_task {
	uint32_t pid, ppid, pgid, sid; /* of the VE's pid namespace; ppid 0 for its init */
	mm_id mm;		       /* 0: a zombie has none */
	uint32_t mm_from; /* pid of the task whose pages it inherits where PAGES says so; the one it is forked
			     from */
	uint32_t tty;	  /* controlling terminal, of a session's leader only: TREE_TTY_... */
	bool fresh; /* nothing of an earlier round stands for this task: what was built for it is dropped */
};

struct tree_obj {
	uint32_t round;		     /* from 1 */
	bool frozen;		     /* the VE stands still: this is the true tree */
	VEC(struct tree_task) tasks; /* parents before children */
};

#endif
