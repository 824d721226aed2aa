/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http_client ADDRESS PORT CONNECTIONS FILE...: asks for files over keep-alive connections, several requests
 * under way on each, and compares every byte with the local copies FILE (asked for by their base names). Half
 * of the connections read slowly, so that the server always has unsent data. Prints "ready" once every
 * connection got an answer.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/real/client.h"

#define MAX_FILES	16
#define MAX_CONNECTIONS 256
#define UNDER_WAY	3

struct file {
	const char *name;
	const unsigned char *content;
	size_t len_bytes;
};

struct connection {
	struct client_in in;
	unsigned asked, answered;
	size_t body_left, body_at;
	bool in_body, slow;
	int64_t next_read_ns;
	char head[2048];
	size_t head_len;
};

static struct file files[MAX_FILES];
static unsigned nr_files;
static struct connection *connections;
static unsigned nr_connections;

static const struct file *file_of(unsigned connection, unsigned request)
{
	return &files[(connection * 7 + request) % nr_files];
}

static void ask(unsigned i)
{
	struct connection *c = &connections[i];

	while (c->asked - c->answered < UNDER_WAY && !client_end) {
		char request[256];
		int len = snprintf(request, sizeof(request), "GET /%s HTTP/1.1\r\nHost: verst\r\n\r\n",
				   file_of(i, c->asked)->name);

		client_send(c->in.fd, request, (size_t)len);
		c->asked++;
	}
}

static void take_head(unsigned i)
{
	struct connection *c = &connections[i];
	const struct file *file = file_of(i, c->answered);
	const char *length;

	c->head[c->head_len] = '\0';
	length = strstr(c->head, "Content-Length: ");
	if (strncmp(c->head, "HTTP/1.1 200 ", 13) || !length)
		client_fail("connection %u, %s: %.60s", i, file->name, c->head);
	if (strtoul(length + 16, NULL, 10) != file->len_bytes)
		client_fail("connection %u, %s: wrong length", i, file->name);
	if (strstr(c->head, "Connection: close"))
		client_fail("connection %u: nginx wants to close", i);
	c->in_body = true;
	c->body_at = 0;
	c->body_left = file->len_bytes;
	c->head_len = 0;
}

static void take(unsigned i)
{
	struct connection *c = &connections[i];

	while (c->in.at < c->in.end) {
		if (!c->in_body) {
			c->head[c->head_len++] = c->in.buf[c->in.at++];
			if (c->head_len == sizeof(c->head) - 1)
				client_fail("connection %u: endless head", i);
			if (c->head_len >= 4 && !memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4))
				take_head(i);
		} else {
			size_t part =
				c->in.end - c->in.at < c->body_left ? c->in.end - c->in.at : c->body_left;

			if (memcmp(file_of(i, c->answered)->content + c->body_at, c->in.buf + c->in.at, part))
				client_fail("connection %u, %s: wrong bytes from %zu on", i,
					    file_of(i, c->answered)->name, c->body_at);
			c->in.at += part;
			c->body_at += part;
			c->body_left -= part;
		}
		if (c->in_body && !c->body_left) {
			c->in_body = false;
			c->answered++;
			client_answer();
		}
	}
}

static bool all_answered(void)
{
	for (unsigned i = 0; i < nr_connections; i++)
		if (connections[i].answered < connections[i].asked)
			return false;
	return true;
}

static void exchange(void)
{
	struct pollfd fds[MAX_CONNECTIONS];
	int64_t now = client_now_ns();

	for (unsigned i = 0; i < nr_connections; i++) {
		ask(i);
		fds[i] = (struct pollfd){.fd = connections[i].in.fd, .events = POLLIN};
		if (connections[i].next_read_ns > now)
			fds[i].fd = -1;
	}
	if (poll(fds, nr_connections, 5) < 0 && errno != EINTR)
		client_fail("poll: %s", strerror(errno));
	if (client_last_ns && now - client_last_ns > 60000000000)
		client_fail("no answer for 60 s");
	for (unsigned i = 0; i < nr_connections; i++) {
		struct connection *c = &connections[i];

		if (fds[i].fd < 0 || !(fds[i].revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		client_fill(&c->in);
		take(i);
		if (c->slow && !client_end)
			c->next_read_ns = client_now_ns() + 20000000;
	}
}

static void map_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	struct file *file = &files[nr_files++];

	if (fd < 0 || fstat(fd, &st) || nr_files > MAX_FILES)
		client_fail("%s: %s", path, strerror(errno));
	file->name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	file->len_bytes = (size_t)st.st_size;
	file->content = mmap(NULL, file->len_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
}

int main(int argc, char **argv)
{
	bool ready = false;

	if (argc < 5)
		return 2;
	client_init("http");
	nr_connections = (unsigned)atoi(argv[3]);
	if (nr_connections > MAX_CONNECTIONS)
		return 2;
	for (int i = 4; i < argc; i++)
		map_file(argv[i]);
	connections = calloc(nr_connections, sizeof(*connections));
	for (unsigned i = 0; i < nr_connections; i++) {
		connections[i].in.fd = client_connect(argv[1], atoi(argv[2]));
		connections[i].slow = i % 2;
	}
	while (!client_end || !all_answered()) {
		exchange();
		if (!ready && client_answers > nr_connections * 4) {
			ready = true;
			printf("ready\n");
			fflush(stdout);
		}
	}
	client_report("");
	return 0;
}
