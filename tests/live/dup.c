/* SPDX-License-Identifier: GPL-2.0-only */
/* One open file behind several descriptors, in one process and in several, or sent to one that did not
 * inherit it. */
#include <sys/socket.h>

#include "tests/live/live.h"

static int shared, twice, separate, received_by_child[2];

static int sabotage(int nr)
{
	LIVE_FILE(path, "file");
	int other;

	switch (nr) {
	case 1:
	case 2:
		other = DO(open(path, O_RDWR));
		DO(lseek(other, 100, SEEK_SET));
		return dup2(other, nr == 1 ? shared : twice) < 0;
	case 3:
		return dup2(shared, separate) < 0;
	case 4:
		return fcntl(shared, F_SETFL, O_APPEND);
	}
	return -1;
}

static void send_fd(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {"x", 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	DO(sendmsg(socket, &msg, 0));
}

static int receive_fd(int socket)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(socket, &msg, 0) == 1)
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/* reads 50 bytes through the inherited descriptor, after the parent read 50; `sent` came by a socket */
static void child(void)
{
	char buf[50];
	int sent;

	close(received_by_child[0]);
	close(twice);
	sent = receive_fd(received_by_child[1]);
	close(received_by_child[1]);
	live_child_ready();
	live_go();
	for (int i = 0; i < 500 && lseek(shared, 0, SEEK_CUR) != 150; i++)
		poll(NULL, 0, 2);
	CHECK(read(shared, buf, 50) == 50 && (unsigned char)buf[0] == live_byte(1, 150));
	for (int i = 0; i < 500 && lseek(sent, 0, SEEK_CUR) != 7050; i++)
		poll(NULL, 0, 2);
	CHECK(read(sent, buf, 50) == 50 && (unsigned char)buf[0] == live_byte(1, 7050));
	fcntl(shared, F_SETFL, O_NONBLOCK);
	live_child_end();
}

int main(void)
{
	LIVE_FILE(path, "file");
	unsigned char content[10000], buf[50];
	int file;
	pid_t pid;

	live_fill(content, sizeof(content), 1);
	shared = DO(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
	if (write(shared, content, sizeof(content)) != sizeof(content))
		live_die("write");
	DO(lseek(shared, 100, SEEK_SET));
	twice = DO(dup(shared));
	separate = DO(open(path, O_RDONLY));
	DO(lseek(separate, 100, SEEK_SET));
	file = DO(open(path, O_RDONLY));
	DO(lseek(file, 7000, SEEK_SET));
	DO(socketpair(AF_UNIX, SOCK_STREAM, 0, received_by_child));
	send_fd(received_by_child[0], file);
	pid = live_fork();
	if (!pid)
		child();
	close(received_by_child[0]);
	close(received_by_child[1]);

	live_wait(sabotage);

	CHECK_EQ(fcntl(shared, F_GETFL) & O_APPEND, 0);
	CHECK(read(file, buf, 50) == 50 && buf[0] == live_byte(1, 7000));
	CHECK(read(twice, buf, 50) == 50 && buf[0] == live_byte(1, 100));
	for (int i = 0; i < 200 && lseek(shared, 0, SEEK_CUR) != 200; i++)
		poll(NULL, 0, 5);
	CHECK_EQ(lseek(shared, 0, SEEK_CUR), 200);
	live_reap(pid);
	CHECK_EQ(fcntl(twice, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(lseek(separate, 0, SEEK_CUR), 100);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 7100);
	return live_end();
}
