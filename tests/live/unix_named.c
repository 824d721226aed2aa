/* SPDX-License-Identifier: GPL-2.0-only */
/* Unix sockets with addresses: listeners in the file system and abstract, bound datagram sockets, peers and
 * their credentials. */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/live/live.h"

static int listener, abstract, accepted, connected, receiver, sender;
static struct sockaddr_un path_addr, abstract_addr, receiver_addr;

static socklen_t address(struct sockaddr_un *ret, const char *suffix, bool is_abstract)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!is_abstract) {
		/* not below live_dir: the host's temporary directory's name may be too long */
		snprintf(ret->sun_path, sizeof(ret->sun_path), "/tmp/%s.%s", live_name, suffix);
		unlink(ret->sun_path);
		return sizeof(*ret);
	}
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "%s.%s", live_name,
					    suffix));
}

static socklen_t abstract_len;

static int sabotage(int nr)
{
	char byte;

	switch (nr) {
	case 1:
		return unlink(path_addr.sun_path);
	case 2:
		return close(abstract);
	case 3:
		return recv(receiver, &byte, 1, 0) != 1;
	case 4:
		return dup2(DO(socket(AF_UNIX, SOCK_DGRAM, 0)), sender) < 0;
	case 5:
		return shutdown(connected, SHUT_WR);
	case 6:
		return listen(listener, 1) || dup2(DO(socket(AF_UNIX, SOCK_STREAM, 0)), listener) < 0;
	}
	return -1;
}

static void make(void)
{
	socklen_t len = address(&path_addr, "listener", false);

	mkdir("/tmp", 01777);
	listener = DO(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	DO(bind(listener, (struct sockaddr *)&path_addr, len));
	DO(chmod(path_addr.sun_path, 0606));
	DO(listen(listener, 7));
	connected = DO(socket(AF_UNIX, SOCK_STREAM, 0));
	DO(connect(connected, (struct sockaddr *)&path_addr, len));
	accepted = DO(accept(listener, NULL, NULL));
	DO(send(connected, "queued", 6, 0));
	abstract_len = address(&abstract_addr, "abstract", true);
	abstract = DO(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	DO(bind(abstract, (struct sockaddr *)&abstract_addr, abstract_len));
	DO(listen(abstract, 3));
	len = address(&receiver_addr, "receiver", false);
	receiver = DO(socket(AF_UNIX, SOCK_DGRAM, 0));
	DO(bind(receiver, (struct sockaddr *)&receiver_addr, len));
	sender = DO(socket(AF_UNIX, SOCK_DGRAM, 0));
	DO(bind(sender, (struct sockaddr *)&receiver_addr, sizeof(sa_family_t))); /* autobind */
	DO(connect(sender, (struct sockaddr *)&receiver_addr, len));
	DO(send(sender, "one", 3, 0));
	DO(send(sender, "two two", 7, 0));
}

static void check_listeners(void)
{
	struct stat st;
	int client = DO(socket(AF_UNIX, SOCK_STREAM, 0)), fd, value = 0;
	socklen_t len = sizeof(value);

	CHECK(!stat(path_addr.sun_path, &st) && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0606);
	CHECK(!getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) && value == 1);
	CHECK_ERRNO(accept(listener, NULL, NULL), EAGAIN);
	CHECK_EQ(connect(client, (struct sockaddr *)&path_addr, sizeof(path_addr)), 0);
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	close(client);
	client = DO(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	CHECK_EQ(connect(client, (struct sockaddr *)&abstract_addr, abstract_len), 0);
	CHECK(poll(&(struct pollfd){.fd = abstract, .events = POLLIN}, 1, 0) == 1 &&
	      accept(abstract, NULL, NULL) >= 0);
}

static void check_connected(void)
{
	struct sockaddr_un addr = {0};
	struct ucred cred = {0};
	socklen_t len = sizeof(addr);
	char buf[32];

	CHECK(recv(accepted, buf, sizeof(buf), 0) == 6 && !memcmp(buf, "queued", 6));
	CHECK(send(connected, "more", 4, MSG_NOSIGNAL) == 4 && recv(accepted, buf, sizeof(buf), 0) == 4);
	CHECK(!getpeername(connected, (struct sockaddr *)&addr, &len) &&
	      !strcmp(addr.sun_path, path_addr.sun_path));
	memset(&addr, 0, sizeof(addr));
	len = sizeof(addr);
	CHECK(!getsockname(accepted, (struct sockaddr *)&addr, &len) &&
	      !strcmp(addr.sun_path, path_addr.sun_path));
	len = sizeof(cred);
	CHECK(!getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &cred, &len) && cred.uid == 0 &&
	      cred.pid == getpid());
}

static void check_datagrams(void)
{
	struct sockaddr_un own = {0}, from = {0};
	socklen_t own_len = sizeof(own), len = sizeof(from);
	char buf[32];

	CHECK(!getsockname(sender, (struct sockaddr *)&own, &own_len) && own_len == sizeof(sa_family_t) + 6);
	CHECK(recvfrom(receiver, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len) == 3 &&
	      !memcmp(buf, "one", 3));
	CHECK(len == own_len && !memcmp(&from, &own, len)); /* who sent it is still known */
	CHECK(recv(receiver, buf, sizeof(buf), MSG_DONTWAIT) == 7 && !memcmp(buf, "two two", 7));
	CHECK(send(sender, "new", 3, MSG_NOSIGNAL) == 3 &&
	      recv(receiver, buf, sizeof(buf), MSG_DONTWAIT) == 3);
}

int main(void)
{
	make();

	live_wait(sabotage);

	check_connected();
	check_listeners();
	check_datagrams();
	unlink(path_addr.sun_path);
	unlink(receiver_addr.sun_path);
	return live_end();
}
