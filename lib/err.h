/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Errors as values. A function that can fail returns 0 or -1 (or NULL) and fills the caller's `struct err`,
 *which must not be NULL. The text is set where the failure happens and gains context on the way up:
 *
 *	fd 7 of task 42: eventfd: fdinfo has no eventfd-count
 *
 * It is printed once, by cli/. `code` is what the command will exit with (see verst(1), EXIT STATUS).
 */
#ifndef VERST_LIB_ERR_H
#define VERST_LIB_ERR_H

#include <stdarg.h>

/* Exit codes. OpenVZ's numbers where OpenVZ has the case; 200 and up are Verst's own. */
enum err_code {
	ERR_OK = 0,
	ERR_SYSTEM = 3,	      /* a system call failed */
	ERR_KERNEL = 5,	      /* the kernel lacks what is needed */
	ERR_RESOURCES = 6,    /* out of memory, descriptors, ids */
	ERR_BOOT = 7,	      /* the VE's environment could not be set up */
	ERR_LOCKED = 9,	      /* another command works on this VE */
	ERR_PERMISSION = 12,  /* not root */
	ERR_NO_CONFIG = 14,   /* no such VE */
	ERR_CHECKPOINT = 16,  /* dump failed; the VE runs on */
	ERR_RESTORE = 17,     /* restore failed; nothing is left of it */
	ERR_USAGE = 20,	      /* bad syntax */
	ERR_VALUE = 21,	      /* bad value of an option or a config key */
	ERR_NO_TEMPLATE = 29, /* template named nowhere */
	ERR_NOT_RUNNING = 31,
	ERR_RUNNING = 32,
	ERR_STOP = 33, /* VE could not be stopped */
	ERR_ADD_IP = 34,
	ERR_EXISTS = 44, /* private area or config exists already */
	ERR_NO_SPACE = 46,
	ERR_TEMPLATE = 47, /* template is damaged, or building it failed */
	ERR_MOUNT = 50,
	ERR_UMOUNT = 51,
	ERR_BAD_IP = 71,
	ERR_IP_IN_USE = 78,
	ERR_NAME = 131,	     /* bad or taken name */
	ERR_OBSTACLES = 200, /* refused before anything was done: see the list */
	ERR_IMAGE = 201,     /* truncated, corrupt, newer or foreign image */
	ERR_CONNECT = 202,   /* cannot reach the node, host key, authentication */
	ERR_PROTOCOL = 203,  /* the far side answers nonsense or another version */
	ERR_REMOTE = 204,    /* the far side refused or failed */
	ERR_DOUBT = 205,     /* outcome of the commit unknown: VE stays frozen, see verst-recover(8) */
	ERR_FAULT = 206,     /* an injected fault (tests) */
};

struct err {
	enum err_code code;
	int sys_errno; /* errno of the failed call, or 0 */
	char msg[1024];
};

#define ERR_INIT ((struct err){0})

/* Sets code and text, returns -1. Overwrites what was there. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Like err_set with ERR_SYSTEM and ": strerror(errno)" appended; ENOSPC, ENOMEM and EPERM get their own
 * codes. */
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "fmt: " in front of the text, keeps the code. Returns -1. */
int err_ctx(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Replaces the code (an outer layer knows better what the command failed at). Returns -1. */
int err_code(struct err *err, enum err_code code);

static inline void err_clear(struct err *err)
{
	*err = ERR_INIT;
}

#endif
