/* SPDX-License-Identifier: GPL-2.0-only */
/* Who a process is and what it may: ids, groups, capabilities, securebits, no_new_privs, limits, umask,
 * directory, priorities. */
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/personality.h>

#include "tests/live/live.h"

static pid_t user, limited;

static uint64_t capabilities(const char *which)
{
	char status[4096];

	live_read_file("/proc/self/status", status, sizeof(status));
	return (uint64_t)live_field(status, which, 16);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	DO(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	DO(syscall(SYS_capget, &header, data));
	data[0].inheritable |= 1u << CAP_NET_RAW | 1u << CAP_KILL;
	data[0].effective &= ~(1u << CAP_CHOWN | 1u << CAP_SYS_CHROOT);
	data[0].permitted &= ~(1u << CAP_SYS_CHROOT);
	DO(syscall(SYS_capset, &header, data));
	DO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
}

/* a child that gave up root, all ids different */
static void user_child(void)
{
	const gid_t groups[] = {5, 44, 1007, 60000};
	gid_t has[8];
	uid_t r, e, s;

	DO(setgroups(4, groups));
	DO(prctl(PR_SET_SECUREBITS, 1 << 5)); /* SECBIT_KEEP_CAPS_LOCKED */
	DO(setresgid(1001, 1002, 1003));
	DO(setresuid(2001, 2002, 2003));
	DO(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	DO(prctl(PR_SET_DUMPABLE, 1));
	DO(prctl(PR_SET_PDEATHSIG, SIGUSR2));
	live_child_ready();
	live_go();
	CHECK(!getresuid(&r, &e, &s) && r == 2001 && e == 2002 && s == 2003);
	CHECK(!getresgid(&r, &e, &s) && r == 1001 && e == 1002 && s == 1003);
	CHECK_EQ(getgroups(8, has), 4);
	CHECK(!memcmp(has, groups, sizeof(groups)));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ(prctl(PR_GET_SECUREBITS), 1 << 5);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	int sig = 0;
	CHECK(!prctl(PR_GET_PDEATHSIG, &sig) && sig == SIGUSR2);
	CHECK_EQ(capabilities("CapEff"), 0);
	CHECK_ERRNO(setuid(0), EPERM);
	CHECK_EQ(setresuid(-1, 2003, -1), 0); /* the saved one is good for something */
	live_child_end();
}

static void set_limits(void)
{
	DO(setrlimit(RLIMIT_NOFILE, &(struct rlimit){321, 4321}));
	DO(setrlimit(RLIMIT_CORE, &(struct rlimit){4096, 8192}));
	DO(setrlimit(RLIMIT_STACK, &(struct rlimit){5 << 20, RLIM_INFINITY}));
	DO(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, 200000}));
	DO(setpriority(PRIO_PROCESS, 0, 5));
	DO(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}));
	DO(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6));
	umask(0137);
	DO(prctl(PR_SET_TIMERSLACK, 123456));
	DO(prctl(PR_SET_CHILD_SUBREAPER, 1));
	DO(personality(ADDR_NO_RANDOMIZE));
	int fd = DO(open("/proc/self/oom_score_adj", O_WRONLY));
	DO(write(fd, "345", 3));
	close(fd);
}

static void check_limits(void)
{
	struct rlimit limit;
	char text[64], status[4096];
	int reaper = 0;

	CHECK(!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur == 321 && limit.rlim_max == 4321);
	CHECK(!getrlimit(RLIMIT_CORE, &limit) && limit.rlim_cur == 4096 && limit.rlim_max == 8192);
	CHECK(!getrlimit(RLIMIT_STACK, &limit) && limit.rlim_cur == 5 << 20 &&
	      limit.rlim_max == RLIM_INFINITY);
	CHECK(!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur == 100000 && limit.rlim_max == 200000);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
	CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
	CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), 2 << 13 | 6);
	CHECK_EQ(umask(0), 0137);
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 123456);
	CHECK(!prctl(PR_GET_CHILD_SUBREAPER, &reaper) && reaper == 1);
	CHECK_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
	live_read_file("/proc/self/oom_score_adj", text, sizeof(text));
	CHECK_EQ(atoi(text), 345);
	live_read_file("/proc/self/status", status, sizeof(status));
	CHECK(!strncmp(strstr(status, "Name:") + 5, "\tlimited one\n", 13));
}

/* an ordinary process with everything about it changed that a program can change */
static void limited_child(void)
{
	LIVE_FILE(dir, "cwd");
	char cwd[PATH_MAX];
	uint64_t effective, permitted, inheritable, bounding, ambient;
	cpu_set_t set, is;

	set_limits();
	drop_capabilities();
	mkdir(dir, 0777);
	DO(chdir(dir));
	DO(prctl(PR_SET_NAME, "limited one"));
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
	effective = capabilities("CapEff");
	permitted = capabilities("CapPrm");
	inheritable = capabilities("CapInh");
	bounding = capabilities("CapBnd");
	ambient = capabilities("CapAmb");
	live_child_ready();
	live_go();
	check_limits();
	CHECK_EQ(capabilities("CapEff"), effective);
	CHECK_EQ(capabilities("CapPrm"), permitted);
	CHECK_EQ(capabilities("CapInh"), inheritable);
	CHECK_EQ(capabilities("CapBnd"), bounding);
	CHECK_EQ(capabilities("CapAmb"), ambient);
	CHECK(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, dir));
	CHECK(!sched_getaffinity(0, sizeof(is), &is) && CPU_EQUAL(&is, &set));
	live_child_end();
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return setpriority(PRIO_PROCESS, (id_t)limited, 6);
	case 2:
		return prlimit(limited, RLIMIT_NOFILE, &(struct rlimit){320, 4321}, NULL);
	case 3:
		return kill(user, SIGKILL);
	case 4:
		return sched_setscheduler(limited, SCHED_OTHER, &(struct sched_param){0});
	case 5:
		return (int)syscall(SYS_ioprio_set, 1, limited, 2 << 13 | 5);
	}
	return -1;
}

int main(void)
{
	user = live_fork();
	if (!user)
		user_child();
	limited = live_fork();
	if (!limited)
		limited_child();

	live_wait(sabotage);

	live_reap(user);
	live_reap(limited);
	return live_end();
}
