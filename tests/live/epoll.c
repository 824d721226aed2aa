/* SPDX-License-Identifier: GPL-2.0-only */
/* Interest lists: level, edge and one-shot entries with their data, nested lists, an entry whose number is
 * gone. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tests/live/live.h"

static int list, outer, level, edge, oneshot, quiet, hidden, replaced;

static void add(int to, int fd, uint32_t events, uint64_t data)
{
	DO(epoll_ctl(to, EPOLL_CTL_ADD, fd, &(struct epoll_event){events, {.u64 = data}}));
}

/* Waits shortly; the events of the entry with that data, or 0. */
static uint32_t look(int in, uint64_t data)
{
	struct epoll_event events[16];
	int nr = epoll_wait(in, events, 16, 50);

	for (int i = 0; i < nr; i++)
		if (events[i].data.u64 == data)
			return events[i].events;
	return 0;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1:
		return epoll_ctl(list, EPOLL_CTL_DEL, quiet, NULL);
	case 2:
		return epoll_ctl(list, EPOLL_CTL_MOD, level, &(struct epoll_event){EPOLLIN, {.u64 = 1}});
	case 3:
		return epoll_ctl(list, EPOLL_CTL_MOD, edge,
				 &(struct epoll_event){EPOLLIN, {.u64 = 0xeeeeeeee00000002}});
	case 4:
		return epoll_ctl(list, EPOLL_CTL_MOD, oneshot,
				 &(struct epoll_event){EPOLLIN, {.u64 = 0xeeeeeeee00000003}});
	case 5:
		return epoll_ctl(outer, EPOLL_CTL_DEL, list, NULL);
	case 6:
		return close(hidden);
	case 7:
		return epoll_ctl(list, EPOLL_CTL_MOD, replaced,
				 &(struct epoll_event){EPOLLIN, {.u64 = 0xeeeeeeee00000006}});
	}
	return -1;
}

static void make_list(void)
{
	int number;

	list = DO(epoll_create1(EPOLL_CLOEXEC));
	outer = DO(epoll_create1(0));
	level = DO(eventfd(1, 0));
	edge = DO(eventfd(1, 0));
	oneshot = DO(eventfd(1, 0));
	quiet = DO(eventfd(0, 0));
	replaced = DO(eventfd(0, 0));
	add(list, level, EPOLLIN | EPOLLPRI, 0xeeeeeeee00000001);
	add(list, edge, EPOLLIN | EPOLLET, 0xeeeeeeee00000002);
	add(list, oneshot, EPOLLIN | EPOLLONESHOT, 0xeeeeeeee00000003);
	add(list, quiet, EPOLLIN | EPOLLRDHUP, 0xeeeeeeee00000004);
	add(list, replaced, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLWAKEUP, 0xeeeeeeee00000006);
	/* entered under a number that is now another file; the entry lives on with the file */
	number = DO(eventfd(0, 0));
	add(list, number, EPOLLIN, 0xeeeeeeee00000005);
	hidden = DO(dup(number));
	DO(dup2(level, number));
	add(outer, list, EPOLLIN, 0xeeeeeeee00000007);
	while (look(list, 0xeeeeeeee00000002)) /* the edge is seen, the shot is fired */
		;
}

int main(void)
{
	struct epoll_event event;

	make_list();

	live_wait(sabotage);

	CHECK_EQ(fcntl(list, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(look(outer, 0xeeeeeeee00000007), EPOLLIN);
	CHECK_EQ(look(list, 0xeeeeeeee00000001), EPOLLIN);
	/* An edge may be told once more after a restore, never lost; one-shot must not fire again. */
	CHECK_EQ(look(list, 0xeeeeeeee00000003), 0);
	look(list, 0xeeeeeeee00000002);
	CHECK_EQ(look(list, 0xeeeeeeee00000002), 0);
	DO(eventfd_write(edge, 1));
	CHECK_EQ(look(list, 0xeeeeeeee00000002), EPOLLIN);
	CHECK_EQ(look(list, 0xeeeeeeee00000002), 0);
	CHECK_EQ(look(list, 0xeeeeeeee00000004), 0);
	DO(eventfd_write(quiet, 1));
	CHECK_EQ(look(list, 0xeeeeeeee00000004), EPOLLIN);
	CHECK_EQ(look(list, 0xeeeeeeee00000005), 0);
	CHECK_EQ(eventfd_write(hidden, 1), 0);
	CHECK_EQ(look(list, 0xeeeeeeee00000005), EPOLLIN);
	DO(eventfd_write(replaced, 1));
	CHECK_EQ(look(list, 0xeeeeeeee00000006), EPOLLIN | EPOLLOUT);
	CHECK_EQ(epoll_ctl(list, EPOLL_CTL_MOD, oneshot,
			   &(struct epoll_event){EPOLLIN | EPOLLONESHOT, {.u64 = 9}}),
		 0);
	CHECK_EQ(look(list, 9), EPOLLIN);
	CHECK_ERRNO(epoll_ctl(list, EPOLL_CTL_ADD, level, &(struct epoll_event){0}), EEXIST);
	CHECK_EQ(epoll_ctl(list, EPOLL_CTL_DEL, quiet, &event), 0);
	return live_end();
}
