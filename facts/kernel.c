// SPDX-License-Identifier: GPL-2.0-only
#include "facts/kernel.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/kabi.h"

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define TCP_REPAIR_OPTION 19 /* include/uapi/linux/tcp.h */
#define PAGEMAP_SCAN_IOCTL                                                                                   \
	_IOC(_IOC_READ | _IOC_WRITE, 'f', 16, 96) /* include/uapi/linux/fs.h, Linux 6.7                      \
						   */
#define BPF_NETFILTER	     32			  /* BPF_PROG_TYPE_NETFILTER, Linux 6.4 */
#define BPF_NETFILTER_ATTACH 45

static int root(void)
{
	return geteuid() ? EPERM : 0;
}

static int cgroup2(void)
{
	_file_ FILE *f = fopen("/proc/self/mounts", "re");
	char line[4096];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " cgroup2 "))
			return 0;
	return ENOENT;
}

/* In a child, so that what it does to itself ends with it. The child's exit status is the errno. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn());
	if (pid < 0)
		return errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static int unshare_all(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
		       CLONE_NEWUTS | CLONE_NEWCGROUP)
		       ? errno
		       : 0;
}

static int namespaces(void)
{
	return in_child(unshare_all);
}

static int unshare_time(void)
{
	return unshare(0x80 /* CLONE_NEWTIME */) ? errno : 0;
}

static int time_namespace(void)
{
	return in_child(unshare_time);
}

static int set_tid_child(void)
{
	pid_t tid = getpid() + 1 > 2000 ? getpid() - 1000 : getpid() + 1000;
	int status;

	for (int tries = 0; tries < 100; tries++, tid++) {
		struct clone_args args = {
			.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&tid, .set_tid_size = 1};
		long pid = syscall(SYS_clone3, &args, sizeof(args));

		if (pid == 0)
			_exit(0);
		if (pid < 0 && errno == EEXIST)
			continue;
		if (pid < 0)
			return errno;
		waitpid((pid_t)pid, &status, 0);
		return pid == tid ? 0 : EINVAL;
	}
	return EEXIST;
}

static int set_tid(void)
{
	return in_child(set_tid_child);
}

static int compare(void)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 0, 0) < 0 ? errno : 0;
}

static int getfd(void)
{
	_fd_ int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	_fd_ int fd = -1, at = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (pidfd < 0 || at < 0)
		return errno;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, at, 0);
	return fd < 0 ? errno : 0;
}

static int repair(void)
{
	_fd_ int sk = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (sk < 0)
		return errno;
	return setsockopt(sk, IPPROTO_TCP, TCP_REPAIR_OPTION, &on, sizeof(on)) ? errno : 0;
}

static int pagemap_scan(void)
{
	_fd_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t arg[12] = {0}; /* struct pm_scan_arg: size first; start = end: nothing to walk */

	arg[0] = sizeof(arg);
	if (fd < 0)
		return errno;
	return ioctl(fd, PAGEMAP_SCAN_IOCTL, arg) < 0 && errno == ENOTTY ? ENOTTY : 0;
}

static int write_protect_async(void)
{
	_fd_ int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC};

	if (fd < 0)
		return errno;
	return ioctl(fd, UFFDIO_API, &api) ? errno : 0;
}

static int netfilter_program(void)
{
	struct bpf_insn accept_all[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_NETFILTER,
		.expected_attach_type = BPF_NETFILTER_ATTACH,
		.insns = (uintptr_t)accept_all,
		.insn_cnt = ARRAY_LEN(accept_all),
		.license = (uintptr_t) "GPL",
	};
	_fd_ int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	return fd < 0 ? errno : 0;
}

bool kernel_has_function(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool there = btf && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return there;
}

static int accept_queue(void)
{
	return kernel_has_function(KERNEL_ACCEPT_QUEUE) ? 0 : ENOENT;
}

static int timer_ids_child(void)
{
	return prctl(KABI_PR_TIMER_RESTORE_IDS, KABI_PR_TIMER_RESTORE_IDS_ON, 0, 0, 0) ? errno : 0;
}

static int timer_ids(void)
{
	return in_child(timer_ids_child);
}

/* What a VE has of System V IPC gets its own numbers back by it (ipc/ipc_sysctl.c). */
static int next_id(void)
{
	return access("/proc/sys/kernel/shm_next_id", F_OK) ? errno : 0;
}

static int has_capability(int cap)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return errno;
	return data[cap / 32].effective >> (cap % 32) & 1 ? 0 : EPERM;
}

static int cap_resource(void)
{
	return has_capability(CAP_SYS_RESOURCE);
}

static int cap_admin(void)
{
	return has_capability(CAP_SYS_ADMIN);
}

static int children_file(void)
{
	return access("/proc/self/task", F_OK) || access("/proc/thread-self/children", F_OK) ? ENOENT : 0;
}

static int map_files(void)
{
	return access("/proc/self/map_files", R_OK | X_OK) ? errno : 0;
}

const struct kernel_feature kernel_features[] = {
	{"root", NEED_MUST, "all of Verst", "nothing works", root},
	{"CAP_SYS_ADMIN", NEED_MUST, "namespaces, mounts, tracing", "nothing works", cap_admin},
	{"cgroup v2", NEED_MUST, "freezing and ending a VE as a whole", "no VE can be started", cgroup2},
	{"namespaces", NEED_MUST, "isolation of a VE", "no VE can be started", namespaces},
	{"time namespace", NEED_MUST, "clocks that go on after a restore", "no VE can be started",
	 time_namespace},
	{"clone3 set_tid", NEED_MUST, "the same pids after a restore", "no restore", set_tid},
	{"kcmp", NEED_MUST, "what tasks share", "no dump", compare},
	{"pidfd_getfd", NEED_MUST, "looking at open files from outside", "no dump", getfd},
	{"/proc/PID/task/TID/children", NEED_MUST, "finding the tasks of a VE", "no dump", children_file},
	{"/proc/PID/map_files", NEED_MUST, "mapped files without a name", "no dump", map_files},
	{"TCP_REPAIR", NEED_MUST, "connections that stay open", "no dump of TCP connections", repair},
	{"PAGEMAP_SCAN", NEED_BEST, "sending memory while the VE runs",
	 "all memory is sent while the VE stands still: its downtime grows with it (Linux 6.7 has it)",
	 pagemap_scan},
	{"userfaultfd write-protect-async", NEED_BEST, "sending memory while the VE runs",
	 "all memory is sent while the VE stands still: its downtime grows with it (Linux 6.7 has it)",
	 write_protect_async},
	{"BPF netfilter link", NEED_BEST, "a network lock in microseconds",
	 "the lock is a cgroup program, some 0.1 ms slower (Linux 6.4 has it)", netfilter_program},
	{"bpf_sk_assign_tcp_reqsk", NEED_BEST, "TCP connections that nobody has accepted yet",
	 "their clients see a reset (Linux 6.9 has it)", accept_queue},
	{"PR_TIMER_CREATE_RESTORE_IDS", NEED_BEST, "POSIX timers with their ids",
	 "timers are made and deleted until an id fits (Linux 6.15 has it)", timer_ids},
	{"System V IPC ids", NEED_BEST, "shared memory, queues and semaphores with their ids",
	 "a VE that has any cannot be restored (CONFIG_CHECKPOINT_RESTORE has it)", next_id},
	{"CAP_SYS_RESOURCE", NEED_BEST, "raising limits of restored processes",
	 "hard limits, oom_score_adj and pipe sizes above this node's own cannot be restored", cap_resource},
};
const size_t kernel_features_nr = ARRAY_LEN(kernel_features);
