// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/ssh.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>

#include <libssh2.h>

#include "lib/buf.h"
#include "migrate/ssh_hosts.h"
#include "migrate/ssh_methods.h"

#define WINDOW_BYTES	  (8u * 1024 * 1024)
#define PACKET_BYTES	  (32u * 1024)
#define STDERR_KEEP_BYTES 4096
#define KEEPALIVE_S	  5
#define DEAD_AFTER_MS	  20000 /* unacknowledged for so long: the link is broken */

struct ssh {
	int fd;
	LIBSSH2_SESSION *session;
	LIBSSH2_CHANNEL *channel;
	char *host;
	char stderr_text[STDERR_KEEP_BYTES + 1];
	size_t stderr_len;
	char link_error[256];
	bool ended;
};

/* --- the target --- */

static bool word_is(const char *text, size_t len, const char *also)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr(also, text[i]))
			return false;
	return len > 0 && text[0] != '-';
}

static char *local_user(void)
{
	struct passwd *pw = getpwuid(getuid());

	return mem_strdup(pw ? pw->pw_name : "root");
}

static int parse_port(const char *text, unsigned *ret, struct err *err)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || port < 1 || port > 65535)
		return err_set(err, ERR_VALUE, "'%s' is no port", text);
	*ret = (unsigned)port;
	return 0;
}

int ssh_target_parse(const char *text, struct ssh_target *ret, struct err *err)
{
	const char *at = strrchr(text, '@'), *host = at ? at + 1 : text, *end, *port = NULL;
	struct ssh_target t = {.port = 22};

	if (at && !word_is(text, (size_t)(at - text), "_.-"))
		return err_set(err, ERR_VALUE, "'%s': bad user name", text);
	if (*host == '[') {
		end = strchr(++host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return err_set(err, ERR_VALUE, "'%s': expected [ADDRESS] or [ADDRESS]:PORT", text);
		port = end[1] ? end + 2 : NULL;
	} else {
		end = strchr(host, ':');
		if (end && strchr(end + 1, ':'))
			end = NULL; /* an IPv6 address without a port */
		port = end ? end + 1 : NULL;
		end = end ? end : host + strlen(host);
	}
	if (!word_is(host, (size_t)(end - host), "_.:%-") || end - host > 255)
		return err_set(err, ERR_VALUE, "'%s': bad node name", text);
	if (port && parse_port(port, &t.port, err))
		return err_ctx(err, "'%s'", text);
	t.user = at ? mem_printf("%.*s", (int)(at - text), text) : local_user();
	t.host = mem_printf("%.*s", (int)(end - host), host);
	*ret = t;
	return 0;
}

void ssh_target_free(struct ssh_target *t)
{
	free(t->user);
	free(t->host);
	free(t->key_path);
	free(t->known_hosts);
	*t = (struct ssh_target){0};
}

/* --- connecting --- */

static int connect_one(const struct addrinfo *ai, int timeout_ms, int *ret_fd)
{
	_fd_ int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int failed = 0;
	socklen_t len = sizeof(failed);

	if (fd < 0)
		return -1;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) && errno != EINPROGRESS)
		return -1;
	if (poll(&p, 1, timeout_ms) <= 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) || failed) {
		errno = failed ? failed : errno;
		return -1;
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

static void tune(int fd)
{
	int one = 1, idle_s = KEEPALIVE_S, count = 3, dead_ms = DEAD_AFTER_MS;

	/* all of them may fail without harm: then a dead link is noticed later */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
}

static int open_socket(const struct ssh_target *t, int timeout_ms, int *ret_fd, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *ai;
	char port[8];
	int failed;

	snprintf(port, sizeof(port), "%u", t->port);
	failed = getaddrinfo(t->host, port, &hints, &list);
	if (failed)
		return err_set(err, ERR_CONNECT, "%s: %s", t->host, gai_strerror(failed));
	for (ai = list; ai; ai = ai->ai_next)
		if (!connect_one(ai, timeout_ms, ret_fd))
			break;
	freeaddrinfo(list);
	if (!ai) {
		err_sys(err, "%s port %u", t->host, t->port);
		return err_code(err, ERR_CONNECT);
	}
	tune(*ret_fd);
	return 0;
}

static int ssh_fail(struct ssh *s, struct err *err, const char *what)
{
	char *text = NULL;

	libssh2_session_last_error(s->session, &text, NULL, 0);
	return err_set(err, ERR_CONNECT, "%s: %s: %s", s->host, what, text && *text ? text : "failed");
}

/* --- authentication --- */

static bool try_agent(struct ssh *s, const char *user)
{
	struct libssh2_agent_publickey *id = NULL;
	LIBSSH2_AGENT *agent;
	bool in = false;

	if (!getenv("SSH_AUTH_SOCK"))
		return false;
	agent = libssh2_agent_init(s->session);
	if (!agent)
		return false;
	if (!libssh2_agent_connect(agent) && !libssh2_agent_list_identities(agent))
		while (!in && !libssh2_agent_get_identity(agent, &id, id))
			in = !libssh2_agent_userauth(agent, user, id);
	libssh2_agent_disconnect(agent);
	libssh2_agent_free(agent);
	return in;
}

static bool try_key(struct ssh *s, const char *user, const char *path)
{
	return !access(path, R_OK) && !libssh2_userauth_publickey_fromfile_ex(
					      s->session, user, (unsigned)strlen(user), NULL, path, NULL);
}

static bool try_default_keys(struct ssh *s, const char *user)
{
	static const char *const names[] = {"id_ed25519", "id_ecdsa", "id_rsa"};
	const char *home = getenv("HOME");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		_free_ char *path = mem_printf("%s/.ssh/%s", home && *home ? home : "/root", names[i]);

		if (try_key(s, user, path))
			return true;
	}
	return false;
}

static int authenticate(struct ssh *s, const struct ssh_target *t, struct err *err)
{
	if (t->key_path && access(t->key_path, R_OK)) {
		err_sys(err, "key %s", t->key_path);
		return err_code(err, ERR_CONNECT);
	}
	if (t->key_path ? try_key(s, t->user, t->key_path)
			: try_agent(s, t->user) || try_default_keys(s, t->user))
		return 0;
	ssh_fail(s, err, "authentication");
	return err_ctx(err,
		       "%s@%s accepts no key of ours (%s; a key with a passphrase has to be in ssh-agent, "
		       "and RSA keys "
		       "need libssh2 1.11: an ed25519 key works everywhere)",
		       t->user, t->host,
		       t->key_path ? t->key_path : "tried: the agent, ~/.ssh/id_ed25519, id_ecdsa, id_rsa");
}

static int handshake(struct ssh *s, const struct ssh_target *t, struct err *err)
{
	static const char ciphers[] =
		"aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr,aes192-ctr";
	struct ssh_hosts *hosts = NULL;
	int ret = -1;

	if (ssh_hosts_read(s->session, t, &hosts, err))
		return -1;
	ssh_hosts_prefer(hosts);
	/*
	 * The fastest that every sshd has: the processor does AES and SHA-2. GCM needs libssh2 1.11.1 and is
	 * twice as fast.
	 */
	ssh_methods_prefer(s->session, LIBSSH2_METHOD_CRYPT_CS, ciphers);
	ssh_methods_prefer(s->session, LIBSSH2_METHOD_CRYPT_SC, ciphers);
	ssh_methods_prefer(s->session, LIBSSH2_METHOD_MAC_CS, "hmac-sha2-256,hmac-sha2-512");
	ssh_methods_prefer(s->session, LIBSSH2_METHOD_MAC_SC, "hmac-sha2-256,hmac-sha2-512");
	if (libssh2_session_handshake(s->session, s->fd))
		ssh_fail(s, err, "SSH handshake");
	else
		ret = ssh_hosts_check(hosts, err);
	ssh_hosts_free(hosts);
	return ret;
}

int ssh_connect(const struct ssh_target *target, int timeout_ms, struct ssh **ret, struct err *err)
{
	struct ssh *s;
	int fd = -1;

	if (libssh2_init(0))
		return err_set(err, ERR_CONNECT, "libssh2 does not initialise");
	if (open_socket(target, timeout_ms, &fd, err))
		return -1;
	s = mem_new(struct ssh);
	s->fd = fd;
	s->host = mem_strdup(target->host);
	s->session = libssh2_session_init();
	if (!s->session) {
		ssh_close(s);
		return err_set(err, ERR_RESOURCES, "libssh2: no session");
	}
	libssh2_session_set_timeout(s->session, timeout_ms);
	if (handshake(s, target, err) || authenticate(s, target, err)) {
		ssh_close(s);
		return -1;
	}
	/* only now: libssh2 sends its first keepalive at once, and within the key exchange that is a protocol
	 * error */
	libssh2_keepalive_config(s->session, 1, KEEPALIVE_S);
	*ret = s;
	return 0;
}

/* --- the command --- */

static int join_words(const char *const *words, size_t nr, struct buf *out, struct err *err)
{
	for (size_t i = 0; i < nr; i++) {
		size_t len = strlen(words[i]);

		for (size_t c = 0; c < len; c++)
			if (!isalnum((unsigned char)words[i][c]) && !strchr("_@%+=:,./-", words[i][c]))
				return err_set(err, ERR_VALUE,
					       "'%s': cannot be given to the far side's shell", words[i]);
		if (!len)
			return err_set(err, ERR_VALUE,
				       "an empty word cannot be given to the far side's shell");
		if (i)
			buf_put_u8(out, ' ');
		buf_put(out, words[i], len);
	}
	buf_put_u8(out, 0);
	return 0;
}

int ssh_exec(struct ssh *s, const char *const *words, size_t nr, int timeout_ms, struct err *err)
{
	struct buf command = {0};
	int failed;

	if (join_words(words, nr, &command, err)) {
		buf_free(&command);
		return -1;
	}
	libssh2_session_set_timeout(s->session, timeout_ms);
	s->channel = libssh2_channel_open_ex(s->session, "session", 7, WINDOW_BYTES, PACKET_BYTES, NULL, 0);
	failed = !s->channel || libssh2_channel_exec(s->channel, (const char *)command.at);
	buf_free(&command);
	if (failed)
		return ssh_fail(s, err, "starting the command");
	libssh2_session_set_blocking(s->session, 0);
	return 0;
}

static ssize_t map_error(struct ssh *s, ssize_t got)
{
	char *text = NULL;

	/* BAD_USE: it wants to send a packet of its own (a window, a keepalive) and one of ours is half out:
	 * later */
	if (got == LIBSSH2_ERROR_EAGAIN || got == LIBSSH2_ERROR_BAD_USE) {
		errno = EAGAIN;
		return -1;
	}
	if (!*s->link_error) {
		libssh2_session_last_error(s->session, &text, NULL, 0);
		snprintf(s->link_error, sizeof(s->link_error), "%s",
			 text && *text ? text : "connection lost");
	}
	errno = ECONNRESET;
	return -1;
}

static void take_stderr(struct ssh *s)
{
	char bytes[1024];
	ssize_t n;

	while ((n = libssh2_channel_read_stderr(s->channel, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (s->stderr_len == STDERR_KEEP_BYTES) {
				memmove(s->stderr_text, s->stderr_text + STDERR_KEEP_BYTES / 2,
					STDERR_KEEP_BYTES / 2);
				s->stderr_len = STDERR_KEEP_BYTES / 2;
			}
			s->stderr_text[s->stderr_len++] =
				isprint((unsigned char)bytes[i]) || bytes[i] == '\n' ? bytes[i] : '?';
		}
	}
	s->stderr_text[s->stderr_len] = 0;
}

ssize_t ssh_read(struct ssh *s, void *p, size_t len_bytes)
{
	int next_s;
	ssize_t n = libssh2_channel_read(s->channel, p, len_bytes);

	take_stderr(s);
	libssh2_keepalive_send(s->session, &next_s);
	if (n > 0)
		return n;
	if (n == 0 || n == LIBSSH2_ERROR_EAGAIN) {
		if (libssh2_channel_eof(s->channel)) {
			s->ended = true;
			return 0;
		}
		errno = EAGAIN;
		return -1;
	}
	return map_error(s, n);
}

ssize_t ssh_write(struct ssh *s, const void *p, size_t len_bytes)
{
	ssize_t n = libssh2_channel_write(s->channel, p, len_bytes);

	if (n >= 0)
		return n;
	return map_error(s, n);
}

int ssh_send_eof(struct ssh *s)
{
	int n = libssh2_channel_send_eof(s->channel);

	return n ? (int)map_error(s, n) : 0;
}

int ssh_fd(const struct ssh *s)
{
	return s->fd;
}

short ssh_poll_events(const struct ssh *s)
{
	int dir = libssh2_session_block_directions(s->session);

	return (short)(POLLIN | (dir & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0));
}

const char *ssh_far_stderr(struct ssh *s)
{
	while (s->stderr_len && s->stderr_text[s->stderr_len - 1] == '\n')
		s->stderr_text[--s->stderr_len] = 0;
	return s->stderr_text;
}

const char *ssh_link_error(const struct ssh *s)
{
	return s->link_error;
}

int ssh_exit_status(struct ssh *s)
{
	if (!s->ended)
		return -1;
	libssh2_session_set_timeout(s->session, 2000);
	libssh2_session_set_blocking(s->session, 1);
	if (libssh2_channel_close(s->channel) || libssh2_channel_wait_closed(s->channel))
		return -1;
	return libssh2_channel_get_exit_status(s->channel);
}

void ssh_close(struct ssh *s)
{
	if (!s)
		return;
	/* a broken link must not hold us up: no farewell is waited for */
	if (s->session)
		libssh2_session_set_blocking(s->session, 0);
	if (s->channel)
		libssh2_channel_free(s->channel);
	if (s->session) {
		libssh2_session_disconnect(s->session, "done");
		libssh2_session_free(s->session);
	}
	close(s->fd);
	free(s->host);
	free(s);
}
