/* SPDX-License-Identifier: GPL-2.0-only */
/* Job control: a stopped child stays stopped, its stop can still be waited for, and it goes on when told. */
#include "tests/live/live.h"

static pid_t seen, unseen;
static volatile int *steps;

static void child(int nr)
{
	live_child_ready();
	for (;;) {
		steps[nr]++;
		poll(NULL, 0, 5);
	}
}

static void stop(pid_t pid)
{
	siginfo_t info;

	DO(kill(pid, SIGSTOP));
	DO(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT));
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		kill(unseen, SIGCONT);
		poll(NULL, 0, 50);
		return 0;
	case 2:
		kill(seen, SIGCONT);
		poll(NULL, 0, 50);
		return 0;
	case 3:
		return kill(seen, SIGKILL);
	}
	return -1;
}

static void check_goes_on(pid_t pid, int nr)
{
	int status = 0, before = steps[nr];

	poll(NULL, 0, 50);
	CHECK_EQ(steps[nr], before);
	CHECK_EQ(kill(pid, SIGCONT), 0);
	CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
	CHECK(WIFCONTINUED(status));
	for (int i = 0; i < 100 && steps[nr] == before; i++)
		poll(NULL, 0, 10);
	CHECK(steps[nr] > before);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
	int status, steps_seen;

	steps = DO(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	seen = live_fork();
	if (!seen)
		child(0);
	unseen = live_fork();
	if (!unseen)
		child(1);
	stop(seen);
	DO(waitpid(seen, &status, WUNTRACED));
	stop(unseen);
	steps_seen = steps[0];

	live_wait(sabotage);

	CHECK_EQ(steps[0], steps_seen);
	CHECK_EQ(waitpid(seen, &status, WUNTRACED | WNOHANG), 0); /* reported once */
	CHECK_EQ(waitpid(unseen, &status, WUNTRACED | WNOHANG), unseen);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	check_goes_on(seen, 0);
	check_goes_on(unseen, 1);
	return live_end();
}
