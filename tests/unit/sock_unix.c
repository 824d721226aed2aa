// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/sock_world.h"

static socklen_t un_addr(struct sockaddr_un *a, const char *name)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (name[0] == '@') {
		memcpy(a->sun_path + 1, name + 1, strlen(name) - 1);
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	}
	strcpy(a->sun_path, name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
}

static int un_bound(int type, const char *name)
{
	struct sockaddr_un a;
	socklen_t len = un_addr(&a, name);
	int fd = socket(AF_UNIX, type, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&a, len), 0, "bind %s: %s", name, strerror(errno));
	return fd;
}

static int un_connect(int fd, const char *name)
{
	struct sockaddr_un a;
	socklen_t len = un_addr(&a, name);

	return connect(fd, (struct sockaddr *)&a, len);
}

/* "@name", "/path", "" */
static const char *name_of(int fd, bool peer)
{
	static char text[2][128];
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	char *at = text[peer];

	cr_assert_eq((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&a, &len), 0, "%s",
		     strerror(errno));
	len -= offsetof(struct sockaddr_un, sun_path);
	snprintf(at, 128, "%.*s", (int)len, a.sun_path);
	if (len && !a.sun_path[0]) {
		at[0] = '@';
		memcpy(at + 1, a.sun_path + 1, len - 1);
		at[len] = 0;
	}
	return at;
}

static void send_fd(int fd, const char *data, size_t len_bytes, int passed)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)data, len_bytes};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed, sizeof(passed));
	cr_assert_eq((size_t)sendmsg(fd, &msg, 0), len_bytes);
}

/* What one call gets: text, "+fd" behind it if a descriptor came. */
static const char *receive_some(int fd, size_t len_bytes, int *ret_fd)
{
	static char text[512];
	char control[256], from[128] = "";
	struct sockaddr_un a;
	struct iovec iov = {text, len_bytes};
	struct msghdr msg = {.msg_name = &a,
			     .msg_namelen = sizeof(a),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	if (n < 0) {
		snprintf(text, sizeof(text), "error %s", strerrorname_np(errno));
		return text;
	}
	text[n] = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_type == SCM_RIGHTS) {
			memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
			strcat(text, "+fd");
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred creds;

			memcpy(&creds, CMSG_DATA(c), sizeof(creds));
			sprintf(text + strlen(text), "+uid%u", creds.uid);
		}
	}
	if (msg.msg_namelen > offsetof(struct sockaddr_un, sun_path)) {
		size_t len = msg.msg_namelen - offsetof(struct sockaddr_un, sun_path);

		snprintf(from, sizeof(from), " from %c%.*s", a.sun_path[0] ? a.sun_path[0] : '@',
			 (int)len - 1, a.sun_path + 1);
		strcat(text, from);
	}
	return text;
}

static const char *receive(int fd, int *ret_fd)
{
	return receive_some(fd, 200, ret_fd);
}

static const char *get(int fd)
{
	int passed;

	return receive(fd, &passed);
}

#define put(fd, text) cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text))

Test(sock_unix, pairs_of_every_type)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

	for (int i = 0; i < 3; i++) {
		struct world w;
		int fds[2];
		bool stream = types[i] == SOCK_STREAM;

		sock_world_make(&w);
		cr_assert_eq(socketpair(AF_UNIX, types[i], 0, fds), 0);
		put(fds[0], "one");
		put(fds[0], "two");
		cr_assert_eq(send(fds[0], "", 0, 0), 0);
		put(fds[0], "three");
		put(fds[1], "back");
		sock_world_move(&w, fds, 2);
		if (stream) {
			cr_expect_str_eq(get(fds[1]), "onetwothree");
		} else {
			cr_expect_str_eq(get(fds[1]), "one");
			cr_expect_str_eq(get(fds[1]), "two");
			cr_expect_str_eq(get(fds[1]), "");
			cr_expect_str_eq(get(fds[1]), "three");
		}
		cr_expect_str_eq(get(fds[0]), "back");
		cr_expect_str_eq(get(fds[0]), "error EAGAIN");
		put(fds[1], "more");
		cr_expect_str_eq(get(fds[0]), "more");
		sock_world_free(&w);
	}
}

/* A full stream, to the last byte; the writer can go on when it is read. */
Test(sock_unix, much)
{
	struct world w;
	int fds[2];
	size_t n;

	sock_world_make(&w);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	n = net_write_pattern(fds[0], 0, 10000000);
	cr_assert_gt(n, 100000);
	sock_world_move(&w, fds, 2);
	cr_expect(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	cr_expect(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
	cr_expect_eq(send(fds[0], "x", 1, 0), -1, "it is full again");
	cr_expect(net_read_pattern(fds[1], 0, n));
	cr_expect_eq(net_write_pattern(fds[0], 0, n), n);
	cr_log_info("unix stream with %zu bytes: dump %ld us, restore %ld us\n", n, w.dump_us, w.restore_us);
	sock_world_free(&w);
}

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/vt/sock/unit.XXXXXX");
	mkdir("/tmp/vt", 0755);
	mkdir("/tmp/vt/sock", 0755);
	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void drop_dir(void)
{
	struct err err = ERR_INIT;

	cr_expect_eq(io_remove_tree(AT_FDCWD, dir, &err), 0, "%s", err.msg);
}

/* Server and clients: names at all ends, of files and abstract, in use by later clients. */
Test(sock_unix, servers, .init = make_dir, .fini = drop_dir)
{
	char path[100];
	const char *const names[] = {path, "@verst-unit", "relative.sock"};

	snprintf(path, sizeof(path), "%s/server.sock", dir);
	for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_STREAM) {
		for (size_t i = 0; i < 3; i++) {
			struct world w;
			struct stat st;
			int fds[5];

			sock_world_make(&w);
			fds[0] = un_bound(type, names[i]);
			if (i != 1) {
				cr_assert_eq(chmod(names[i], 0640), 0);
				cr_assert_eq(chown(names[i], 12, 34), 0);
			}
			cr_assert_eq(listen(fds[0], 7), 0);
			fds[1] = socket(AF_UNIX, type, 0);
			cr_assert_eq(un_connect(fds[1], names[i]), 0);
			fds[2] = accept(fds[0], NULL, NULL);
			fds[3] = un_bound(type, "@verst-client");
			cr_assert_eq(un_connect(fds[3], names[i]), 0);
			fds[4] = accept(fds[0], NULL, NULL);
			put(fds[1], "request");
			put(fds[4], "answer");
			sock_world_move(&w, fds, 5);
			cr_expect_str_eq(get(fds[2]), "request");
			cr_expect_eq(strncmp(get(fds[3]), "answer from", 11), 0);
			cr_expect_str_eq(name_of(fds[0], false), names[i]);
			cr_expect_str_eq(name_of(fds[1], true), names[i]);
			cr_expect_str_eq(name_of(fds[1], false), "");
			cr_expect_str_eq(name_of(fds[2], false), names[i]);
			cr_expect_str_eq(name_of(fds[3], false), "@verst-client");
			cr_expect_str_eq(name_of(fds[4], true), "@verst-client");
			int client = socket(AF_UNIX, type, 0);
			cr_expect_eq(un_connect(client, names[i]), 0, "%s: %s", names[i], strerror(errno));
			int server = accept(fds[0], NULL, NULL);
			put(client, "hello");
			cr_expect_str_eq(get(server), "hello");
			if (i != 1) {
				cr_expect_eq(stat(names[i], &st), 0);
				cr_expect_eq(st.st_mode & 07777, 0640);
				cr_expect_eq(st.st_uid, 12);
				cr_expect_eq(st.st_gid, 34);
				unlink(names[i]);
			}
			for (int k = 0; k < 5; k++)
				close(fds[k]);
			sock_world_free(&w);
		}
	}
}

/* Names that lead nowhere, or elsewhere, by now. */
Test(sock_unix, odd_names, .init = make_dir, .fini = drop_dir)
{
	struct world w;
	int fds[4];

	sock_world_make(&w);
	mkdir("sub", 0755);
	symlink("sub", "link");
	fds[0] = un_bound(SOCK_STREAM, "gone.sock");
	unlink("gone.sock");
	fds[1] = un_bound(SOCK_DGRAM, "link/../sub/./x.sock");
	fds[2] = un_bound(SOCK_STREAM, "before.sock");
	rename("before.sock", "after.sock");
	chdir("sub");
	fds[3] = un_bound(SOCK_DGRAM, "../up.sock");
	chdir("..");
	for (int i = 0; i < 4; i += 2)
		cr_assert_eq(listen(fds[i], 1), 0);
	sock_world_move(&w, fds, 4);
	cr_expect_str_eq(name_of(fds[0], false), "gone.sock");
	cr_expect_str_eq(name_of(fds[1], false), "link/../sub/./x.sock");
	cr_expect_str_eq(name_of(fds[2], false), "before.sock");
	cr_expect_str_eq(name_of(fds[3], false), "../up.sock");
	cr_expect_eq(access("gone.sock", F_OK), -1);
	cr_expect_eq(access("before.sock", F_OK), -1);
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_expect_eq(un_connect(s, "after.sock"), 0);
	int d = socket(AF_UNIX, SOCK_DGRAM, 0);
	cr_expect_eq(un_connect(d, "sub/x.sock"), 0);
	cr_expect_eq(un_connect(d, "up.sock"), 0);
	put(d, "up");
	cr_expect_str_eq(get(fds[3]), "up");
	sock_world_free(&w);
}

/* Datagrams from named, unnamed and closed senders. */
Test(sock_unix, datagrams, .init = make_dir, .fini = drop_dir)
{
	struct world w;
	int fds[6];

	sock_world_make(&w);
	fds[0] = un_bound(SOCK_DGRAM, "log");
	fds[1] = un_bound(SOCK_DGRAM, "@a");
	fds[2] = socket(AF_UNIX, SOCK_DGRAM, 0);
	int closed = un_bound(SOCK_DGRAM, "@closed");
	cr_assert_eq(un_connect(fds[1], "log"), 0);
	cr_assert_eq(un_connect(fds[2], "log"), 0);
	cr_assert_eq(un_connect(closed, "log"), 0);
	put(fds[1], "one");
	put(fds[2], "two");
	put(closed, "three");
	put(fds[1], "four");
	close(closed);
	/* connected to one another, and one that is connected to something else than what it was made with */
	fds[3] = un_bound(SOCK_DGRAM, "@b");
	fds[4] = un_bound(SOCK_DGRAM, "@c");
	cr_assert_eq(un_connect(fds[4], "@b"), 0);
	cr_assert_eq(un_connect(fds[3], "@c"), 0);
	put(fds[3], "to c");
	fds[5] = un_bound(SOCK_DGRAM, "@d");
	int other = un_bound(SOCK_DGRAM, "@e");
	cr_assert_eq(un_connect(fds[5], "@e"), 0);
	close(other);
	sock_world_move(&w, fds, 6);
	cr_expect_str_eq(get(fds[0]), "one from @a");
	cr_expect_str_eq(get(fds[0]), "two");
	cr_expect_str_eq(get(fds[0]), "three from @closed");
	cr_expect_str_eq(get(fds[0]), "four from @a");
	cr_expect_str_eq(get(fds[4]), "to c from @b");
	cr_expect_str_eq(name_of(fds[1], true), "log");
	put(fds[2], "more");
	cr_expect_str_eq(get(fds[0]), "more");
	put(fds[4], "to b");
	cr_expect_str_eq(get(fds[3]), "to b from @c");
	cr_expect_eq(send(fds[1], "x", 1, 0), 1);
	cr_expect_eq(send(fds[5], "x", 1, MSG_NOSIGNAL), -1);
	cr_expect_eq(errno, ECONNREFUSED);
	int again = un_bound(SOCK_DGRAM, "@closed");
	cr_expect_geq(again, 0);
	sock_world_free(&w);
}

Test(sock_unix, far_end_gone)
{
	for (int unread = 0; unread < 2; unread++) {
		struct world w;
		int fds[2], other, pair[2];

		sock_world_make(&w);
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		fds[0] = pair[0];
		other = pair[1];
		put(other, "last words");
		if (unread)
			put(fds[0], "never read");
		close(other);
		cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
		fds[1] = pair[0];
		put(pair[1], "datagram");
		close(pair[1]);
		sock_world_move(&w, fds, 2);
		if (unread)
			cr_expect_eq(net_int(fds[0], SOL_SOCKET, SO_ERROR), ECONNRESET);
		cr_expect_str_eq(get(fds[0]), "last words");
		cr_expect_str_eq(get(fds[0]), "");
		cr_expect_eq(send(fds[0], "x", 1, MSG_NOSIGNAL), -1);
		cr_expect_eq(errno, EPIPE);
		cr_expect_str_eq(get(fds[1]), "datagram");
		cr_expect_eq(send(fds[1], "x", 1, MSG_NOSIGNAL), -1);
		sock_world_free(&w);
	}
}

Test(sock_unix, halves_shut_down)
{
	struct world w;
	int fds[2];

	sock_world_make(&w);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	put(fds[0], "the end");
	shutdown(fds[0], SHUT_WR);
	sock_world_move(&w, fds, 2);
	cr_expect_str_eq(get(fds[1]), "the end");
	cr_expect_str_eq(get(fds[1]), "");
	cr_expect_eq(send(fds[0], "x", 1, MSG_NOSIGNAL), -1);
	put(fds[1], "still");
	cr_expect_str_eq(get(fds[0]), "still");
	sock_world_free(&w);
}

/* Connections that nobody has accepted, without data: their listener accepts them later. */
Test(sock_unix, waiting_to_be_accepted)
{
	struct world w;
	int fds[4];

	sock_world_make(&w);
	fds[0] = un_bound(SOCK_STREAM, "@l");
	cr_assert_eq(listen(fds[0], 5), 0);
	fds[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(un_connect(fds[1], "@l"), 0);
	fds[2] = accept(fds[0], NULL, NULL);
	fds[3] = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(un_connect(fds[3], "@l"), 0);
	cr_expect_str_eq(sock_world_check(&w, fds, 4), "");
	sock_world_move(&w, fds, 4);
	put(fds[1], "accepted");
	cr_expect_str_eq(get(fds[2]), "accepted");
	put(fds[3], "waiting");
	int fd = accept(fds[0], NULL, NULL);
	cr_expect_str_eq(get(fd), "waiting");
	sock_world_free(&w);
}

Test(sock_unix, obstacles)
{
	struct world w;
	int fds[2], pair[2];

	sock_world_make(&w);
	fds[0] = un_bound(SOCK_STREAM, "@l");
	cr_assert_eq(listen(fds[0], 5), 0);
	fds[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(un_connect(fds[1], "@l"), 0);
	put(fds[1], "data");
	cr_expect(strstr(sock_world_check(&w, fds, 2), "1 connections with data not accepted"));
	cr_expect_eq(sock_world_look(&w, fds, 2), -1);
	close(accept(fds[0], NULL, NULL));
	cr_expect_str_eq(sock_world_check(&w, fds, 1), "");
	/* a far end that is not among what is dumped */
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	cr_expect_eq(sock_world_look(&w, pair, 1), -1);
	cr_expect(strstr(w.err.msg, "outside"));
	net_enter(w.net.peer_fd);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	net_enter(w.net.ve_fd);
	cr_expect(strstr(sock_world_check(&w, pair, 1), "another network namespace"));
	sock_world_free(&w);
}

Test(sock_unix, options_and_credentials)
{
	struct world w;
	struct ucred creds;
	socklen_t len = sizeof(creds);
	int fds[2], rcvbuf;

	sock_world_make(&w);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	net_set(fds[1], SOL_SOCKET, SO_PASSCRED, 1);
	net_set(fds[1], SOL_SOCKET, SO_RCVBUF, 30000);
	rcvbuf = net_int(fds[1], SOL_SOCKET, SO_RCVBUF);
	put(fds[0], "who");
	sock_world_move(&w, fds, 2);
	cr_expect_eq(net_int(fds[1], SOL_SOCKET, SO_PASSCRED), 1);
	cr_expect_eq(net_int(fds[0], SOL_SOCKET, SO_PASSCRED), 0);
	cr_expect_eq(net_int(fds[1], SOL_SOCKET, SO_RCVBUF), rcvbuf);
	cr_expect_str_eq(get(fds[1]), "who+uid0");
	cr_expect_eq(getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &creds, &len), 0);
	cr_expect_eq(creds.uid, 0);
	sock_world_free(&w);
}

/* Dumped, not ended: what waits is as it was, and the program's own SO_PEEK_OFF too. */
Test(sock_unix, dump_and_go_on)
{
	struct world w;
	int fds[4], passed = -1;

	sock_world_make(&w);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds + 2), 0);
	net_set(fds[1], SOL_SOCKET, SO_PEEK_OFF, 2);
	put(fds[0], "stream");
	put(fds[2], "packet");
	send_fd(fds[2], "with", 4, fds[0]);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(sock_world_look(&w, fds, 4), 0, "%s", w.err.msg);
	cr_expect_eq(net_int(fds[1], SOL_SOCKET, SO_PEEK_OFF), 2);
	cr_expect_eq(net_int(fds[3], SOL_SOCKET, SO_PEEK_OFF), -1);
	cr_expect_str_eq(get(fds[1]), "stream");
	cr_expect_str_eq(get(fds[3]), "packet");
	cr_expect_str_eq(receive(fds[3], &passed), "with+fd");
	cr_expect_geq(passed, 0);
	sock_world_free(&w);
}

/* Descriptors in flight: where in a stream they sit, in packets, a socket that is nowhere else, and one in
 * its own queue. */
Test(sock_unix, descriptors_in_flight)
{
	struct world w;
	int fds[4], pair[2], passed = -1, own = -1;

	sock_world_make(&w);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds + 2), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	put(pair[0], "inside");
	put(fds[0], "before ");
	send_fd(fds[0], "with", 4, pair[1]);
	put(fds[0], " between ");
	send_fd(fds[0], "again", 5, fds[1]);
	send_fd(fds[0], "1", 1, pair[1]);
	send_fd(fds[0], "2", 1, pair[1]);
	put(fds[0], " after");
	send_fd(fds[2], "packet", 6, pair[0]);
	close(pair[0]);
	close(pair[1]);
	sock_world_move(&w, fds, 4);
	cr_expect_str_eq(receive_some(fds[1], 7, &passed), "before ");
	cr_expect_str_eq(receive_some(fds[1], 4, &passed), "with+fd");
	cr_expect_str_eq(receive(fds[1], &own), " between again+fd");
	cr_expect_str_eq(receive(fds[1], &passed), "1+fd");
	cr_expect_str_eq(receive(fds[1], &passed), "2+fd");
	cr_expect_str_eq(get(fds[1]), " after");
	cr_expect_str_eq(get(passed), "inside");
	put(fds[0], "to itself");
	cr_expect_str_eq(get(own), "to itself");
	int back = -1;
	cr_expect_str_eq(receive(fds[3], &back), "packet+fd");
	put(passed, "out");
	cr_expect_str_eq(get(back), "out");
	sock_world_free(&w);
}

Test(sock_unix, cost)
{
	enum { N = 200 };
	struct world w;
	int fds[2 * N];

	sock_world_make(&w);
	for (int i = 0; i < N; i++)
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds + 2 * i), 0);
	sock_world_check(&w, fds, 1);
	sock_world_move(&w, fds, 2 * N);
	cr_log_info("%d unix sockets: dump %.1f us each, restore %.1f us each\n", 2 * N,
		    (double)w.dump_us / (2 * N), (double)w.restore_us / (2 * N));
	sock_world_free(&w);
}
