// SPDX-License-Identifier: GPL-2.0-only
/* What needs no process: texts of fdinfo, the order of moves, the hash index. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "facts/fdinfo.h"
#include "lib/idx.h"
#include "rst/file.h"

TestSuite(file_pure, .timeout = 60);

Test(file_pure, fdinfo)
{
	struct err err;
	struct fdinfo_common common;
	struct fdinfo_eventfd e;
	struct fdinfo_timerfd t;
	fdinfo_epoll_targets targets;
	fdinfo_locks locks;
	uint64_t mask;
	int32_t pid;
	fdinfo_inotify_watches watches;

	cr_assert_eq(fdinfo_common_parse("pos:\t7\nflags:\t02100002\nmnt_id:\t27\nlock:\t1: FLOCK  ADVISORY  "
					 "WRITE 22 fe:00:9 0 EOF\n",
					 &common, &err),
		     0);
	cr_assert_eq(common.pos, 7);
	cr_assert_eq(common.flags, 02100002);
	cr_assert_eq(common.locks, 1);
	cr_assert_eq(fdinfo_common_parse("pos:\t7\n", &common, &err), -1);
	cr_assert_str_eq(err.msg, "fdinfo has no line \"flags:\"");
	cr_assert_eq(
		fdinfo_eventfd_parse("eventfd-count:               ff\neventfd-id: 1\neventfd-semaphore: 1\n",
				     &e, &err),
		0);
	cr_assert(e.count == 255 && e.semaphore && e.semaphore_known);
	cr_assert_eq(fdinfo_eventfd_parse("eventfd-count: 0\neventfd-id: 1\n", &e, &err), 0, "Linux 6.1");
	cr_assert(!e.semaphore_known);
	cr_assert_eq(fdinfo_eventfd_parse("eventfd-count: xyz\n", &e, &err), -1);
	cr_assert_eq(fdinfo_timerfd_parse("clockid: 1\nticks: 3\nsettime flags: 03\nit_value: (1, "
					  "5)\nit_interval: (9223372036, 999999999)\n",
					  &t, &err),
		     0);
	cr_assert(t.clock == 1 && t.ticks == 3 && t.settime_flags == 3 && t.left_ns == 1000000005 &&
		  t.interval_ns == INT64_MAX);
	cr_assert_eq(
		fdinfo_timerfd_parse(
			"clockid: 1\nticks: 3\nsettime flags: 03\nit_value: (1, -5)\nit_interval: (0, 0)\n",
			&t, &err),
		-1);
	cr_assert_eq(fdinfo_signalfd_parse("pos:\t0\nsigmask:\t0000008000000200\n", &mask, &err), 0);
	cr_assert_eq(mask, 0x8000000200);
	cr_assert_eq(fdinfo_pidfd_parse("pos:\t0\nPid:\t42\nNSpid:\t42\t7\n", &pid, &err), 0);
	cr_assert_eq(pid, 42);
	cr_assert_eq(fdinfo_pidfd_parse("pos:\t0\nPid:\t-1\nNSpid:\t-1\n", &pid, &err), 0);
	cr_assert_eq(pid, -1);
	cr_assert_eq(fdinfo_pidfd_parse("pos:\t0\nNSpid:\t1\n", &pid, &err), -1);
	cr_assert_eq(
		fdinfo_inotify_parse("pos:\t0\ninotify wd:1a ino:719667 sdev:15 mask:20 ignored_mask:0 \n"
				     "inotify wd:2 ino:3c51a sdev:fe00001 mask:84000fff ignored_mask:0 "
				     "fhandle-bytes:8 fhandle-type:81 f_handle:1ac50300000000ff\n",
				     &watches, &err),
		0);
	cr_assert_eq(watches.nr, 2);
	cr_assert(watches.at[0].wd == 2 && watches.at[0].mask == 0x84000fff && watches.at[0].ino == 0x3c51a);
	cr_assert(watches.at[0].dev == makedev(254, 1) && watches.at[0].handle_type == 0x81);
	cr_assert(watches.at[0].handle_bytes == 8 && watches.at[0].handle[1] == 0xc5 &&
		  watches.at[0].handle[7] == 0xff);
	cr_assert(watches.at[1].wd == 26 && !watches.at[1].handle_bytes);
	vec_free(&watches);
	cr_assert_eq(fdinfo_inotify_parse("inotify wd:1 ino:zz\n", &watches, &err), -1);
	cr_assert_eq(fdinfo_epoll_parse("pos:\t0\ntfd:        3 events: c0000000 data: 1234567890abcdef  "
					"pos:0 ino:414 sdev:1000002\n"
					"tfd:       12 events: 19 data: c  pos:0 ino:1 sdev:10\n",
					&targets, &err),
		     0);
	cr_assert(targets.nr == 2 && targets.at[0].fd == 3 && targets.at[0].events == 0xc0000000 &&
		  targets.at[0].ino == 0x414);
	cr_assert(targets.at[0].dev == makedev(16, 2) && targets.at[0].data == 0x1234567890abcdef &&
		  targets.at[1].fd == 12);
	vec_free(&targets);
	cr_assert_eq(fdinfo_epoll_parse("tfd: 3 event", &targets, &err), -1);
	cr_assert_eq(fdinfo_locks_parse("1: POSIX  ADVISORY  WRITE 22010 fe:00:10953980 10 19\n1: -> POSIX  "
					"ADVISORY  READ 5 fe:00:10953980 0 EOF\n"
					"2: OFDLCK ADVISORY  READ -1 08:01:7 0 EOF\n",
					&locks, &err),
		     0);
	cr_assert(locks.nr == 3 && locks.at[0].write && locks.at[0].start == 10 && locks.at[0].end == 19 &&
		  locks.at[1].waiting);
	cr_assert(locks.at[2].pid == -1 && locks.at[2].dev == makedev(8, 1) && locks.at[2].end == UINT64_MAX);
	vec_free(&locks);
	cr_assert_eq(fdinfo_locks_parse("1: POSIX\n", &locks, &err), -1);
}

/* --- moves: carried out on an array of what is open --- */

#define NUMBERS 64

static void carry_out(const rst_moves *moves, int open[NUMBERS], bool cloexec[NUMBERS])
{
	int result[4 * NUMBERS];

	for (size_t i = 0; i < moves->nr; i++) {
		const struct rst_move *m = &moves->at[i];
		int from = m->from >= 0 ? m->from : result[-1 - m->from];

		cr_assert_neq(open[from], 0, "move %zu takes from %d, which is closed", i, from);
		switch (m->what) {
		case RST_MOVE_DUP:
			open[m->to] = open[from];
			cloexec[m->to] = m->cloexec;
			break;
		case RST_MOVE_ASIDE:
			for (result[i] = 0; open[result[i]]; result[i]++)
				;
			open[result[i]] = open[from];
			break;
		case RST_MOVE_CLOSE:
			open[from] = 0;
			break;
		}
	}
}

static int by_to(const void *a, const void *b)
{
	const struct rst_move_want *x = a, *y = b;

	return (int)x->to - (int)y->to;
}

static void try_moves(unsigned seed)
{
	int have[NUMBERS], open[NUMBERS] = {0}, expect[NUMBERS] = {0};
	bool cloexec[NUMBERS] = {0}, close_on[NUMBERS] = {0};
	VEC(struct rst_move_want) wants = {0};
	size_t nr_have = 1 + (size_t)rand_r(&seed) % 30,
	       range = nr_have + (size_t)rand_r(&seed) % (NUMBERS - 1 - nr_have);
	rst_moves moves = {0};

	for (size_t i = 0; i < nr_have; i++) {
		have[i] = (int)i;
		open[i] = (int)i + 1;
	}
	for (uint32_t to = 0; to < range; to++) {
		int from = rand_r(&seed) % (int)nr_have;

		if (rand_r(&seed) % 4 == 0)
			continue;
		if (rand_r(&seed) % 3 == 0 && to < nr_have)
			from = rand_r(&seed) % 2 ? (int)to : (int)((to + 1) % nr_have);
		close_on[to] = rand_r(&seed) % 2;
		expect[to] = from + 1;
		vec_push(&wants, ((struct rst_move_want){.to = to, .from = from, .cloexec = close_on[to]}));
	}
	vec_sort(&wants, by_to);
	rst_move_plan(wants.at, wants.nr, have, nr_have, &moves);
	carry_out(&moves, open, cloexec);
	for (size_t n = 0; n < NUMBERS; n++) {
		cr_assert_eq(open[n], expect[n], "number %zu holds %d, not %d", n, open[n], expect[n]);
		if (expect[n])
			cr_assert_eq(cloexec[n], close_on[n]);
	}
	vec_free(&wants);
	vec_free(&moves);
}

Test(file_pure, moves)
{
	for (unsigned seed = 0; seed < 20000; seed++)
		try_moves(seed);
}

Test(file_pure, index)
{
	struct idx x = {0};
	uint32_t found = 0;

	cr_assert_eq(idx_first(&x, 1), IDX_END);
	for (uint64_t i = 0; i < 5000; i++)
		idx_add(&x, idx_hash_u64(0, i % 1000));
	for (uint32_t i = idx_first(&x, idx_hash_u64(0, 7)); i != IDX_END; i = idx_next(&x, i), found++)
		cr_assert_eq(i % 1000, 7);
	cr_assert_eq(found, 5);
	cr_assert_eq(idx_first(&x, idx_hash_u64(0, 1000)), IDX_END);
	idx_clear(&x);
}
