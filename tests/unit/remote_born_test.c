// SPDX-License-Identifier: GPL-2.0-only
/* Tasks that are built: from a stub to a tree of processes that runs. */
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "model/regs.h"
#include "tests/unit/remote_victim.h"

#define BLOB_AT	 0x7e0000000000ULL
#define CODE_AT	 0x400000ULL
#define DATA_AT	 0x500000ULL
#define DATA_END (DATA_AT + 0x10000)
#define VDSO_AT	 0x7ffff0000000ULL

/* general[] of arch/x86 */
enum { RBX = 5, RDI = 14, RIP = 15, RSP = 17, RESTART = 24 };

static void stub(struct shared *s)
{
	for (;;)
		pause();
}

static struct remote *seize_stub(pid_t pid)
{
	struct remote *r = NULL;

	ok(remote_seize(&pid, 1, REMOTE_BORN, &r, &why));
	cr_assert_not_null(r);
	return r;
}

/* A process in a new pid namespace, so that it can choose its children's pids. */
static struct remote *seize_init(pid_t *ret_pid)
{
	cr_assert_eq(unshare(CLONE_NEWPID), 0);
	*ret_pid = victim(stub, shared_new());
	return seize_stub(*ret_pid);
}

static size_t maps_of(pid_t pid, char *ret_first, size_t len_bytes)
{
	_free_ char *path = mem_printf("/proc/%d/maps", pid);
	_file_ FILE *f = fopen(path, "re");
	char line[512];
	size_t nr = 0;

	while (fgets(line, sizeof(line), f))
		if (!strstr(line, "vsyscall") && nr++ == 0)
			snprintf(ret_first, len_bytes, "%s", line);
	return nr;
}

Test(remote_born, address_space_is_emptied)
{
	struct remote *r;
	pid_t pid = victim(stub, shared_new());
	uint64_t start, end;
	char line[512];

	sleep_ms(20);
	r = seize_stub(pid);
	ok(remote_make_empty(r, BLOB_AT, &why));
	remote_blob_range(r, &start, &end);
	cr_assert_eq(start, BLOB_AT);
	cr_assert_eq(end, BLOB_AT + REMOTE_BLOB_BYTES);
	cr_assert_eq(maps_of(pid, line, sizeof(line)), 2, "%s", line); /* code and data */
	cr_assert_eq(strtoull(line, NULL, 16), BLOB_AT);
	visit(r);
	ok(remote_blob_move(r, BLOB_AT + (8 << 20), &why));
	visit(r);
	cr_assert_eq(maps_of(pid, line, sizeof(line)), 2);
	cr_assert_eq(strtoull(line, NULL, 16), BLOB_AT + (8 << 20));
	kill(pid, SIGKILL);
	end_of(pid);
	ok(remote_release(r, &why));
}

static void map_program(struct remote *r)
{
	struct remote_batch *b = remote_batch_new();
	uint64_t arg[6];
	long nr;

	remote_call(b, "mmap code", 0, SYS_mmap, ra_num(CODE_AT), ra_num(4096), ra_num(PROT_READ | PROT_EXEC),
		    ra_num(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), ra_num(-1), ra_num(0));
	remote_call(b, "mmap data", 0, SYS_mmap, ra_num(DATA_AT), ra_num(DATA_END - DATA_AT),
		    ra_num(PROT_READ | PROT_WRITE), ra_num(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE),
		    ra_num(-1), ra_num(0));
	arch_vdso_call(VDSO_AT, &nr, arg);
	remote_call(b, "map vdso", 0, nr, ra_num(arg[0]), ra_num(arg[1]), ra_num(arg[2]));
	ok(remote_batch_run(r, b, &why));
	remote_batch_free(b);
	ok(remote_write(r, CODE_AT, born_program, born_program_end - born_program, &why));
}

static struct remote *child(struct remote *parent, uint64_t flags, pid_t pid)
{
	struct clone_args args = {.flags = flags,
				  .exit_signal = flags & CLONE_THREAD ? 0 : SIGCHLD,
				  .set_tid = (uint64_t)&pid,
				  .set_tid_size = 1};
	struct remote *r = NULL;
	int64_t tid;

	ok(remote_clone(parent, &args, &r, &why));
	ok(remote_syscall(r, SYS_gettid, 0, NULL, &tid, &why));
	cr_assert_eq(tid, pid);
	visit(parent);
	return r;
}

static void start(struct remote *r, const struct regs_obj *model, int role, uint64_t sp)
{
	struct regs_obj regs = *model;

	regs.general[RESTART] = ARCH_RESTART_NONE;
	regs.general[RIP] = CODE_AT;
	regs.general[RSP] = sp;
	regs.general[RDI] = role;
	regs.general[RBX] = DATA_AT;
	ok(remote_finish(r, &why));
	ok(arch_thread_restore(remote_tid(r), &regs, &why));
	remote_set_sigmask(r, 0);
}

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

Test(remote_born, a_tree_is_built_and_runs)
{
	struct regs_obj regs = {0};
	struct remote *r[4];
	size_t nr_maps;
	char line[512];
	pid_t pid;

	r[0] = seize_init(&pid);
	ok(arch_thread_collect(pid, &regs, &why));
	ok(remote_make_empty(r[0], BLOB_AT, &why));
	map_program(r[0]);
	r[1] = child(r[0], 0, 77);
	r[2] = child(r[1], THREAD_FLAGS, 79);
	r[3] = child(r[1], THREAD_FLAGS, 500);
	for (int i = 0; i < 4; i++)
		visit(r[i]);
	/* threads first: the last of an address space unmaps the blob */
	start(r[3], &regs, 2, DATA_END - 0x3000);
	start(r[2], &regs, 2, DATA_END - 0x2000);
	start(r[1], &regs, 1, DATA_END - 0x1000);
	start(r[0], &regs, 0, DATA_END);
	nr_maps = maps_of(pid, line, sizeof(line)); /* code, data, vdso, vvar, on newer kernels vvar_vclock */
	cr_assert(nr_maps == 4 || nr_maps == 5, "%zu: %s", nr_maps, line);
	ok(remote_release(r[3], &why)); /* has the wrong id: exits with 99 at once */
	sleep_ms(50);
	ok(remote_release_all(r, 3, &why));
	assert_exit(pid, 100);
}

Test(remote_born, threads_run_with_their_registers)
{
	struct regs_obj regs = {0};
	struct remote *r[3];
	pid_t pid;

	r[0] = seize_init(&pid);
	ok(arch_thread_collect(pid, &regs, &why));
	ok(remote_make_empty(r[0], BLOB_AT, &why));
	map_program(r[0]);
	r[1] = child(r[0], 0, 77);
	r[2] = child(r[1], THREAD_FLAGS, 79);
	start(r[2], &regs, 2, DATA_END - 0x2000);
	start(r[1], &regs, 1, DATA_END - 0x1000);
	start(r[0], &regs, 0, DATA_END);
	ok(remote_release_all(r, 3, &why));
	assert_exit(pid, 41); /* 77 - 37, plus 1 */
}

Test(remote_born, exit_leaves_a_zombie)
{
	struct remote *r, *c;
	char state[64];
	int status;
	pid_t pid;

	r = seize_init(&pid);
	c = child(r, 0, 5);
	remote_exit(c, 3);
	cr_assert_eq(waitpid(remote_tid(c), &status, __WALL), remote_tid(c));
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	status_field(remote_tid(c), "State:\t", state);
	cr_assert_eq(state[0], 'Z');
	ok(remote_release(c, &why));
	kill(pid, SIGKILL);
	end_of(pid);
	ok(remote_release(r, &why));
}

static void build_and_die(struct shared *s)
{
	pid_t pid;
	struct remote *r = seize_init(&pid);

	s->value[1] = remote_tid(child(r, 0, 5));
	s->value[0] = pid;
	raise(SIGKILL);
}

Test(remote_born, all_dies_with_the_builder)
{
	struct shared *s = shared_new();
	pid_t pid = victim(build_and_die, s);

	end_of(pid);
	sleep_ms(50);
	for (int i = 0; i < 2; i++) {
		_free_ char *path = mem_printf("/proc/%ld/exe", (long)s->value[i]);

		cr_assert_gt(s->value[i], 0);
		cr_assert_neq(access(path, F_OK), 0, "%d lives", i); /* a zombie has none */
	}
}

Test(remote_born, descriptors_arrive)
{
	static const size_t counts[] = {1, 253, 254, 600, 9000};
	struct rlimit limit;
	struct remote *r;
	pid_t pid;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	pid = victim(stub, shared_new());
	sleep_ms(20);
	r = seize_stub(pid);
	for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
		int fds[9000], got[9000], one = memfd_create("one", 0), two = memfd_create("two", 0);
		struct remote_batch *b;

		if (counts[k] + 10 > limit.rlim_cur)
			continue;
		b = remote_batch_new();
		for (size_t i = 0; i < counts[k]; i++)
			fds[i] = i % 3 ? one : two;
		ok(remote_send_fds(r, fds, counts[k], got, &why));
		for (size_t i = 0; i < counts[k]; i++) {
			_free_ char *path = mem_printf("/proc/%d/fd/%d", pid, got[i]);
			struct stat here, there;

			cr_assert_eq(fstat(fds[i], &here), 0);
			cr_assert_eq(stat(path, &there), 0, "%s", path);
			cr_assert_eq(here.st_ino, there.st_ino);
			remote_call(b, "close", 0, SYS_close, ra_num(got[i]));
		}
		ok(remote_batch_run(r, b, &why));
		remote_batch_free(b);
	}
	kill(pid, SIGKILL);
	end_of(pid);
	ok(remote_release(r, &why));
}
