// SPDX-License-Identifier: GPL-2.0-only
#include "facts/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "lib/buf.h"

#define PROC_TEXT_MAX (256u << 10)

/* A file of /proc is read into a caller's buffer: no allocation while a VE stands still. */
static ssize_t read_text(int proc_fd, const char *name, char *ret, size_t ret_bytes, struct err *err)
{
	_fd_ int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return err_sys(err, "%s", name);
	while (len < ret_bytes - 1) {
		ssize_t n = read(fd, ret + len, ret_bytes - 1 - len);

		if (n < 0)
			return err_sys(err, "%s", name);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	ret[len] = 0;
	return (ssize_t)len;
}

int proc_stat_read(int proc_fd, struct proc_stat *ret, struct err *err)
{
	char text[2048], *open, *close, *at;
	uint64_t field[53] = {0}; /* [n]: field n of proc(5), from 4 on */
	struct proc_stat s = {0};
	size_t len;

	if (read_text(proc_fd, "stat", text, sizeof(text), err) < 0)
		return -1;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return err_set(err, ERR_SYSTEM, "stat: unexpected text '%.40s'", text);
	len = MIN((size_t)(close - open - 1), sizeof(s.comm) - 1);
	memcpy(s.comm, open + 1, len);
	s.state = close[2];
	at = close + 3;
	for (int n = 4; n <= 52; n++) {
		char *end;

		field[n] = strtoull(at, &end, 10); /* negative ones wrap, and are cast back below */
		if (end == at)
			return err_set(err, ERR_SYSTEM, "stat: field %d is missing", n);
		at = end;
	}
	s.ppid = (uint32_t)field[4];
	s.pgrp = (uint32_t)field[5];
	s.session = (uint32_t)field[6];
	s.tty_nr = (uint32_t)field[7];
	s.tpgid = (uint32_t)field[8];
	s.nice = (int64_t)field[19];
	s.start_ticks = field[22];
	s.start_code = field[26];
	s.end_code = field[27];
	s.start_stack = field[28];
	s.exit_signal = (uint32_t)field[38];
	s.start_data = field[45];
	s.end_data = field[46];
	s.start_brk = field[47];
	s.arg_start = field[48];
	s.arg_end = field[49];
	s.env_start = field[50];
	s.env_end = field[51];
	s.exit_code = (uint32_t)field[52];
	*ret = s;
	return 0;
}

/* The last number of a line like "NSpid:\t1234\t12": the innermost namespace's. */
static uint32_t last_number(const char *p, uint32_t *ret_count)
{
	uint32_t last = 0, count = 0;

	for (;;) {
		char *end;
		unsigned long v = strtoul(p, &end, 10);

		if (end == p)
			break;
		last = (uint32_t)v;
		count++;
		p = end;
		if (*p == '\n')
			break;
	}
	if (ret_count)
		*ret_count = count;
	return last;
}

static void four_numbers(const char *p, uint32_t ret[4])
{
	for (int i = 0; i < 4; i++) {
		char *end;

		ret[i] = (uint32_t)strtoul(p, &end, 10);
		p = end;
	}
}

static void parse_groups(struct proc_status *s, const char *p)
{
	while (*p && *p != '\n') {
		char *end;
		unsigned long v = strtoul(p, &end, 10);

		if (end == p)
			break;
		vec_push(&s->groups, (uint32_t)v);
		p = end;
		while (*p == ' ')
			p++;
	}
}

static void parse_status_line(struct proc_status *s, const char *key, size_t key_bytes, const char *value)
{
#define IS(name) (key_bytes == sizeof(name) - 1 && !memcmp(key, name, key_bytes))
	if (IS("Umask"))
		s->umask = (uint32_t)strtoul(value, NULL, 8);
	else if (IS("State"))
		s->state = value[0];
	else if (IS("Tgid"))
		s->tgid = (uint32_t)strtoul(value, NULL, 10);
	else if (IS("TracerPid"))
		s->tracer_pid = (uint32_t)strtoul(value, NULL, 10);
	else if (IS("Uid"))
		four_numbers(value, s->uid);
	else if (IS("Gid"))
		four_numbers(value, s->gid);
	else if (IS("Groups"))
		parse_groups(s, value);
	else if (IS("NStgid"))
		s->ns_tgid = last_number(value, NULL);
	else if (IS("NSpid"))
		s->ns_pid = last_number(value, &s->nr_ns);
	else if (IS("NSpgid"))
		s->ns_pgid = last_number(value, NULL);
	else if (IS("NSsid"))
		s->ns_sid = last_number(value, NULL);
	else if (IS("Threads"))
		s->threads = (uint32_t)strtoul(value, NULL, 10);
	else if (IS("SigPnd"))
		s->sig_pending = strtoull(value, NULL, 16);
	else if (IS("ShdPnd"))
		s->shared_pending = strtoull(value, NULL, 16);
	else if (IS("SigBlk"))
		s->sig_blocked = strtoull(value, NULL, 16);
	else if (IS("SigIgn"))
		s->sig_ignored = strtoull(value, NULL, 16);
	else if (IS("SigCgt"))
		s->sig_caught = strtoull(value, NULL, 16);
	else if (IS("CapInh"))
		s->cap_inh = strtoull(value, NULL, 16);
	else if (IS("CapPrm"))
		s->cap_prm = strtoull(value, NULL, 16);
	else if (IS("CapEff"))
		s->cap_eff = strtoull(value, NULL, 16);
	else if (IS("CapBnd"))
		s->cap_bnd = strtoull(value, NULL, 16);
	else if (IS("CapAmb"))
		s->cap_amb = strtoull(value, NULL, 16);
	else if (IS("NoNewPrivs"))
		s->no_new_privs = value[0] == '1';
	else if (IS("Seccomp"))
		s->seccomp = (uint32_t)strtoul(value, NULL, 10);
	else if (IS("Seccomp_filters"))
		s->seccomp_filters = (uint32_t)strtoul(value, NULL, 10);
#undef IS
}

int proc_status_read(int proc_fd, struct proc_status *ret, struct err *err)
{
	struct proc_status s = {0};
	char small[8192];
	_free_ char *large = NULL;
	char *text = small;
	ssize_t len = read_text(proc_fd, "status", small, sizeof(small), err);

	if (len < 0)
		return -1;
	if ((size_t)len == sizeof(small) - 1) { /* thousands of groups */
		text = large = mem_alloc(PROC_TEXT_MAX);
		if (read_text(proc_fd, "status", large, PROC_TEXT_MAX, err) < 0)
			return -1;
	}
	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n'), *colon = memchr(line, ':', (size_t)(end - line));

		if (colon) {
			const char *value = colon + 1;

			while (*value == '\t' || *value == ' ')
				value++;
			parse_status_line(&s, line, (size_t)(colon - line), value);
		}
		line = *end ? end + 1 : end;
	}
	if (!s.tgid || !s.ns_pid) {
		proc_status_free(&s);
		err_set(err, ERR_SYSTEM, "status: no Tgid or NSpid line");
		err->sys_errno =
			ESRCH; /* fs/proc/array.c, task_state: a task that was just reaped has neither */
		return -1;
	}
	*ret = s;
	return 0;
}

void proc_status_free(struct proc_status *s)
{
	vec_free(&s->groups);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int proc_numbers_read(int proc_fd, const char *dir, proc_numbers *ret, struct err *err)
{
	int fd = openat(proc_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	proc_numbers numbers = {0};
	struct dirent *e;
	_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return err_sys(err, "%s", dir);
	while ((e = readdir(d)))
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
			vec_push(&numbers, (uint32_t)strtoul(e->d_name, NULL, 10));
	vec_sort(&numbers, by_number);
	*ret = numbers;
	return 0;
}

int proc_link_read(int proc_fd, const char *path, char *ret, size_t ret_bytes, struct err *err)
{
	ssize_t n = readlinkat(proc_fd, path, ret, ret_bytes - 1);

	if (n < 0)
		return err_sys(err, "%s", path);
	ret[n] = 0;
	return 0;
}
