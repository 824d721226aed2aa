// SPDX-License-Identifier: GPL-2.0-only
/* Registers of threads, out of one and into another. */
#include <sys/rseq.h>
#include <sys/wait.h>

#include "model/regs.h"
#include "tests/unit/remote_victim.h"

enum { RAX = 10, RIP = 15, RESTART = 24 };

/* value[0]: with which registers it is to spin; value[1]: which it must find at the end */
static void spin(struct shared *s)
{
	struct reg_file in, out, expected;

	reg_file_fill(&in, s->value[0]);
	reg_file_fill(&expected, s->value[1]);
	memset(&out, 0, sizeof(out));
	atomic_fetch_add(&s->ready, 1);
	spin_with_registers(&in, &out, &s->go);
	_exit(memcmp(&expected, &out, sizeof(in)) != 0);
}

static void forget(struct regs_obj *regs)
{
	vec_each(set, &regs->sets)
		free(set->content.at);
	vec_free(&regs->sets);
}

Test(remote_regs, go_from_one_process_to_another)
{
	struct shared *s = shared_new();
	struct regs_obj regs = {0};
	struct remote *r;
	pid_t pid[2];

	for (int i = 0; i < 2; i++) {
		s->value[0] = 10 + i;
		s->value[1] = 10;
		pid[i] = victim(spin, s);
		while (atomic_load(&s->ready) != i + 1)
			sched_yield();
		sleep_ms(20);
	}
	r = seize_one(pid[0]);
	visit(r);
	ok(remote_collect_regs(r, &regs, &why));
	visit(r);
	ok(remote_release(r, &why));
	cr_assert_null(arch_thread_obstacle(&regs));
	r = seize_one(pid[1]);
	ok(arch_thread_restore(pid[1], &regs, &why));
	ok(remote_release(r, &why));
	forget(&regs);
	atomic_store(&s->go, 1);
	assert_exit(pid[0], 0);
	assert_exit(pid[1], 0);
}

static struct bytes *set_of(struct regs_obj *regs, size_t i)
{
	cr_assert_gt(regs->sets.nr, i);
	return &regs->sets.at[i].content;
}

static void collect_own_kind(struct regs_obj *ret)
{
	struct shared *s = shared_new();
	pid_t pid = victim(spin, s);
	struct remote *r;

	wait_ready(s);
	r = seize_one(pid);
	ok(arch_thread_collect(pid, ret, &why));
	kill(pid, SIGKILL);
	end_of(pid);
	ok(remote_release(r, &why));
}

Test(remote_regs, foreign_state_is_an_obstacle)
{
	struct regs_obj regs = {0};
	uint64_t features;
	char *text;

	collect_own_kind(&regs);
	text = arch_thread_obstacle(&regs);
	cr_assert_null(text, "%s", text);
	/* a component that no CPU has */
	set_of(&regs, 1)->at[0] = 50;
	text = arch_thread_obstacle(&regs);
	cr_assert_str_eq(text, "XSAVE component 50");
	free(text);
	/* one that is in use, but is not there */
	set_of(&regs, 1)->at[0] = 2;
	memcpy(&features, set_of(&regs, 0)->at + 512, sizeof(features));
	features |= 1ULL << 40;
	memcpy(set_of(&regs, 0)->at + 512, &features, sizeof(features));
	text = arch_thread_obstacle(&regs);
	cr_assert_str_eq(text, "malformed extended registers");
	free(text);
	regs.nr_general = 44;
	text = arch_thread_obstacle(&regs);
	cr_assert_str_eq(text, "registers that are not those of x86_64");
	free(text);
	forget(&regs);
}

Test(remote_regs, hostile_layouts_are_refused)
{
	struct regs_obj good = {0};
	unsigned seed = 7;

	collect_own_kind(&good);
	for (int n = 0; n < 20000; n++) {
		struct bytes saved = *set_of(&good, 0), layout = *set_of(&good, 1);
		struct regset_obj sets[2] = {good.sets.at[0], good.sets.at[1]};
		struct regs_obj bad = {.nr_general = good.nr_general, .sets = {sets, 2, 2}};

		sets[0].content = bytes_dup(saved.at, saved.len_bytes - rand_r(&seed) % 600);
		sets[1].content = bytes_dup(layout.at, layout.len_bytes - rand_r(&seed) % 3);
		for (int k = 0; k < 3; k++)
			sets[1].content.at[rand_r(&seed) % sets[1].content.len_bytes] = rand_r(&seed);
		free(arch_thread_obstacle(&bad));
		free(sets[0].content.at);
		free(sets[1].content.at);
	}
	forget(&good);
}

static void do_nanosleep(struct shared *s)
{
	struct timespec ts = {10, 0};

	atomic_store(&s->ready, 1);
	nanosleep(&ts, NULL);
}

static void do_poll(struct shared *s)
{
	atomic_store(&s->ready, 1);
	syscall(SYS_poll, NULL, 0, 10000);
}

/* Whatever the kernel knows of an interrupted call: in the image it is about to be made. */
static void is_about_to_call(void (*body)(struct shared *), long nr, enum arch_restart restart)
{
	for (int visits = 0; visits < 2; visits++) { /* a second visit finds it in restart_syscall */
		struct shared *s = shared_new();
		struct regs_obj regs = {0};
		pid_t pid = victim(body, s);
		struct remote *r;
		uint8_t code[2];

		wait_ready(s);
		r = seize_one(pid);
		if (visits) {
			ok(remote_release(r, &why));
			sleep_ms(20);
			r = seize_one(pid);
		}
		ok(remote_collect_regs(r, &regs, &why));
		cr_assert_eq(regs.general[RAX], (uint64_t)nr, "%ld", (long)regs.general[RAX]);
		cr_assert_eq(regs.general[RESTART], restart);
		ok(remote_read(r, regs.general[RIP], code, 2, &why));
		cr_assert(code[0] == 0x0f && code[1] == 0x05);
		forget(&regs);
		kill(pid, SIGKILL);
		end_of(pid);
		ok(remote_release(r, &why));
	}
}

Test(remote_regs, interrupted_calls_are_repeated)
{
	is_about_to_call(do_nanosleep, SYS_clock_nanosleep, ARCH_RESTART_NO_HANDLER);
}

static void do_pause(struct shared *s)
{
	atomic_store(&s->ready, 1);
	syscall(SYS_pause);
}

Test(remote_regs, interrupted_pause_is_repeated)
{
	is_about_to_call(do_pause, SYS_pause, ARCH_RESTART_NO_HANDLER);
}

Test(remote_regs, interrupted_poll_is_repeated_the_first_time)
{
	struct shared *s = shared_new();
	struct regs_obj regs = {0};
	pid_t pid = victim(do_poll, s);
	struct remote *r;

	wait_ready(s);
	r = seize_one(pid);
	ok(remote_collect_regs(r, &regs, &why));
	cr_assert_eq(regs.general[RAX], SYS_poll);
	forget(&regs);
	kill(pid, SIGKILL);
	end_of(pid);
	ok(remote_release(r, &why));
}

static atomic_int handled;

static void handler(int sig)
{
	atomic_fetch_add(&handled, 1);
}

static void do_pause_with_handler(struct shared *s)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

	sigaction(SIGUSR1, &sa, NULL);
	atomic_store(&s->ready, 1);
	_exit(syscall(SYS_pause) == -1 && errno == EINTR && atomic_load(&handled) == 1 ? 5 : 1);
}

/* A signal that waits when a thread is let go with restored registers: its call returns -EINTR, as it would
 * have. */
Test(remote_regs, restored_call_is_interrupted_by_what_is_pending)
{
	for (int early = 0; early < 2; early++) {
		struct shared *s = shared_new();
		struct regs_obj regs = {0};
		pid_t pid = victim(do_pause_with_handler, s);
		struct remote *r;

		wait_ready(s);
		r = seize_one(pid);
		ok(arch_thread_collect(pid, &regs, &why));
		if (early)
			kill(pid, SIGUSR1);
		ok(arch_thread_restore(pid, &regs, &why));
		ok(remote_release(r, &why));
		sleep_ms(20);
		if (!early)
			kill(pid, SIGUSR1);
		assert_exit(pid, 5);
		forget(&regs);
	}
}

static void in_rseq(struct shared *s)
{
	char *rseq = (char *)__builtin_thread_pointer() + __rseq_offset;

	while (!atomic_load(&s->go)) {
		spin_in_rseq(rseq, &s->ready);
		atomic_fetch_add(&s->done, 1);
	}
}

Test(remote_regs, restartable_sequences_are_aborted)
{
	struct shared *s = shared_new();
	struct regs_obj regs = {0};
	struct remote *r;
	pid_t pid;
	int done, in = 0;

	if (!__rseq_size)
		cr_skip_test("no rseq");
	pid = victim(in_rseq, s);
	wait_ready(s);
	for (int n = 0; n < 20; n++) {
		r = seize_one(pid);
		done = atomic_load(&s->done);
		ok(remote_collect_regs(r, &regs, &why));
		in += regs.general[RIP] == (uint64_t)spin_in_rseq_abort;
		forget(&regs);
		visit(r);
		cr_assert_eq(done, atomic_load(&s->done));
		ok(remote_release(r, &why));
		sleep_ms(5);
		cr_assert_gt(atomic_load(&s->done), done, "it was not aborted");
	}
	cr_assert_gt(in, 0, "it was never seen in its sequence");
	kill(pid, SIGKILL);
	end_of(pid);
}
