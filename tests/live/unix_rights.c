/* SPDX-License-Identifier: GPL-2.0-only */
/* Descriptors under way in a unix socket's queue: a file with its position, a pipe with data, at their places
 * in the stream. */
#include <sys/socket.h>

#include "tests/live/live.h"

static int stream[2], dgram[2];

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(3 * sizeof(int))];
};

static void send_fds(int socket, const char *text, const int *fds, size_t nr)
{
	union control control = {.header = {CMSG_LEN(nr * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(void *)text, strlen(text)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = CMSG_SPACE(nr * sizeof(int))};

	memcpy(CMSG_DATA(&control.header), fds, nr * sizeof(int));
	DO(sendmsg(socket, &msg, 0));
}

static size_t receive(int socket, char *text, size_t len_bytes, int *ret_fds)
{
	union control control;
	struct iovec iov = {text, len_bytes - 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(socket, &msg, MSG_DONTWAIT);
	size_t nr = 0;

	text[n > 0 ? n : 0] = '\0';
	if (n > 0 && msg.msg_controllen >= sizeof(struct cmsghdr)) {
		nr = (control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(ret_fds, CMSG_DATA(&control.header), nr * sizeof(int));
	}
	return nr;
}

static int sabotage(int nr)
{
	char text[64];
	int fds[3];

	switch (nr) {
	case 1:
		return receive(stream[1], text, 7, fds) != 0;
	case 2: /* the descriptor is lost, the text is there */
		receive(dgram[1], text, sizeof(text), fds);
		return send(dgram[0], "with a pipe", 11, 0) != 11;
	}
	return -1;
}

int main(void)
{
	LIVE_FILE(path, "file");
	int file, ends[2], fds[3] = {-1, -1, -1};
	char text[64], buf[16];

	file = DO(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
	DO(write(file, "0123456789", 10));
	DO(lseek(file, 4, SEEK_SET));
	DO(pipe(ends));
	DO(write(ends[1], "in the pipe", 11));
	DO(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
	DO(send(stream[0], "before", 6, 0));
	send_fds(stream[0], "middle", (int[]){file, ends[0]}, 2);
	DO(send(stream[0], "after", 5, 0));
	DO(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram));
	send_fds(dgram[0], "with a pipe", ends, 2);
	close(file);
	close(ends[0]);
	close(ends[1]);

	live_wait(sabotage);

	CHECK_EQ(receive(stream[1], text, 7, fds), 0);
	CHECK(!strcmp(text, "before"));
	CHECK_EQ(receive(stream[1], text, sizeof(text), fds), 2);
	CHECK(!strncmp(text, "middle", 6));
	CHECK(read(fds[0], buf, 16) == 6 && !memcmp(buf, "456789", 6));
	CHECK_EQ(receive(dgram[1], text, sizeof(text), fds), 2);
	CHECK(!strcmp(text, "with a pipe"));
	CHECK(write(fds[1], ", more", 6) == 6);
	CHECK(read(fds[0], text, sizeof(text)) == 17 && !memcmp(text, "in the pipe, more", 17));
	return live_end();
}
