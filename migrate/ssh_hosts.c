// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/ssh_hosts.h"
#include "migrate/ssh_methods.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>

#define LINE_MAX_BYTES (64 * 1024)

struct ssh_hosts {
	LIBSSH2_SESSION *session;
	const struct ssh_target *target;
	LIBSSH2_KNOWNHOSTS *known;
	VEC(char *) revoked; /* keys (base64) of lines marked @revoked, whatever hosts they name */
	char *file;	     /* where a new key belongs, for the hint */
};

static const struct key_kind {
	int hostkey_type; /* LIBSSH2_HOSTKEY_TYPE_* */
	int known_bit;
	const char *name;
	const char *methods;
} key_kinds[] = {
	{LIBSSH2_HOSTKEY_TYPE_ED25519, LIBSSH2_KNOWNHOST_KEY_ED25519, "ED25519", "ssh-ed25519"},
	{LIBSSH2_HOSTKEY_TYPE_ECDSA_256, LIBSSH2_KNOWNHOST_KEY_ECDSA_256, "ECDSA", "ecdsa-sha2-nistp256"},
	{LIBSSH2_HOSTKEY_TYPE_ECDSA_384, LIBSSH2_KNOWNHOST_KEY_ECDSA_384, "ECDSA", "ecdsa-sha2-nistp384"},
	{LIBSSH2_HOSTKEY_TYPE_ECDSA_521, LIBSSH2_KNOWNHOST_KEY_ECDSA_521, "ECDSA", "ecdsa-sha2-nistp521"},
	{LIBSSH2_HOSTKEY_TYPE_RSA, LIBSSH2_KNOWNHOST_KEY_SSHRSA, "RSA", "rsa-sha2-512,rsa-sha2-256,ssh-rsa"},
};

/* @revoked HOSTS KIND KEY */
static void take_revoked(struct ssh_hosts *h, char *line)
{
	char *save, *word = strtok_r(line, " \t\r\n", &save);

	for (int i = 0; word && i < 3; i++)
		word = strtok_r(NULL, " \t\r\n", &save);
	if (word)
		vec_push(&h->revoked, mem_strdup(word));
}

/* Line by line, so that one that libssh2 cannot read (a certificate authority) does not spoil the rest. */
static int read_file(struct ssh_hosts *h, const char *path, struct err *err)
{
	_file_ FILE *f = fopen(path, "re");
	_free_ char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (!f)
		return err_sys(err, "%s", path);
	while ((len = getline(&line, &cap, f)) > 0) {
		if (len > LINE_MAX_BYTES)
			continue;
		if (!strncmp(line, "@revoked", 8))
			take_revoked(h, line);
		else if (line[0] != '@')
			libssh2_knownhost_readline(h->known, line, (size_t)len,
						   LIBSSH2_KNOWNHOST_FILE_OPENSSH);
	}
	return 0;
}

static char *home_file(const char *name)
{
	const char *home = getenv("HOME");
	struct passwd *pw = home && *home ? NULL : getpwuid(getuid());

	if (pw)
		home = pw->pw_dir;
	return mem_printf("%s/.ssh/%s", home && *home ? home : "/root", name);
}

int ssh_hosts_read(LIBSSH2_SESSION *session, const struct ssh_target *target, struct ssh_hosts **ret,
		   struct err *err)
{
	struct ssh_hosts *h = mem_new(struct ssh_hosts);
	struct err ignored = ERR_INIT;

	h->session = session;
	h->target = target;
	h->known = libssh2_knownhost_init(session);
	h->file = target->known_hosts ? mem_strdup(target->known_hosts) : home_file("known_hosts");
	if (target->known_hosts) {
		if (read_file(h, target->known_hosts, err)) {
			ssh_hosts_free(h);
			return err_code(err, ERR_CONNECT);
		}
	} else {
		/* none of the two has to be there: then no host is known, and the check says so */
		read_file(h, h->file, &ignored);
		read_file(h, "/etc/ssh/ssh_known_hosts", &ignored);
	}
	*ret = h;
	return 0;
}

void ssh_hosts_free(struct ssh_hosts *h)
{
	if (!h)
		return;
	libssh2_knownhost_free(h->known);
	vec_each(it, &h->revoked)
		free(*it);
	vec_free(&h->revoked);
	free(h->file);
	free(h);
}

static int look_up(const struct ssh_hosts *h, LIBSSH2_KNOWNHOSTS *in, const char *key, size_t len_bytes,
		   int bit)
{
	return libssh2_knownhost_checkp(in, h->target->host, (int)h->target->port, key, len_bytes,
					LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | bit,
					NULL);
}

void ssh_hosts_prefer(struct ssh_hosts *h)
{
	struct buf list = {0};

	/* a key that cannot match: "mismatch" then says that one of this kind is known */
	for (int known = 1; known >= 0; known--) {
		for (size_t i = 0; i < ARRAY_LEN(key_kinds); i++) {
			int got = look_up(h, h->known, "?", 1, key_kinds[i].known_bit);

			if ((got == LIBSSH2_KNOWNHOST_CHECK_MISMATCH) != known)
				continue;
			if (list.len_bytes)
				buf_put_u8(&list, ',');
			buf_put(&list, key_kinds[i].methods, strlen(key_kinds[i].methods));
		}
	}
	buf_put_u8(&list, 0);
	ssh_methods_prefer(h->session, LIBSSH2_METHOD_HOSTKEY, (const char *)list.at);
	buf_free(&list);
}

/* Without a NUL; ret has room for 4 characters per 3 bytes begun. */
static size_t base64(const uint8_t *at, size_t len_bytes, char *ret)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = ret;

	for (size_t i = 0; i < len_bytes; i += 3) {
		size_t more = len_bytes - i;
		uint32_t v = (uint32_t)at[i] << 16 | (more > 1 ? (uint32_t)at[i + 1] << 8 : 0) |
			     (more > 2 ? at[i + 2] : 0);

		*out++ = digits[v >> 18 & 63];
		*out++ = digits[v >> 12 & 63];
		*out++ = more > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = more > 2 ? digits[v & 63] : '=';
	}
	return (size_t)(out - ret);
}

static void fingerprint(LIBSSH2_SESSION *session, char ret[static 64])
{
	const uint8_t *hash = (const uint8_t *)libssh2_hostkey_hash(session, LIBSSH2_HOSTKEY_HASH_SHA256);
	size_t len = (size_t)sprintf(ret, "SHA256:");

	if (hash)
		len += base64(hash, 32, ret + len) - 1; /* as ssh-keygen -l prints it: without padding */
	ret[len] = 0;
}

static bool is_revoked(const struct ssh_hosts *h, const char *key, size_t len_bytes)
{
	_free_ char *text = mem_alloc(len_bytes / 3 * 4 + 5);

	base64((const uint8_t *)key, len_bytes, text);
	vec_each(it, &h->revoked)
		if (!strcmp(*it, text))
			return true;
	return false;
}

int ssh_hosts_check(struct ssh_hosts *h, struct err *err)
{
	const struct ssh_target *t = h->target;
	const struct key_kind *kind = NULL;
	char print[64], name[300];
	size_t len;
	int type;
	const char *key = libssh2_session_hostkey(h->session, &len, &type);

	for (size_t i = 0; i < ARRAY_LEN(key_kinds); i++)
		if (key_kinds[i].hostkey_type == type)
			kind = &key_kinds[i];
	if (!key || !kind)
		return err_set(err, ERR_CONNECT, "%s: shows a host key of an unknown kind", t->host);
	fingerprint(h->session, print);
	/* as known_hosts writes it */
	snprintf(name, sizeof(name), t->port == 22 ? "%s" : "[%s]:%u", t->host, t->port);
	if (is_revoked(h, key, len))
		return err_set(err, ERR_CONNECT, "%s: its %s host key %s is revoked", t->host, kind->name,
			       print);
	switch (look_up(h, h->known, key, len, kind->known_bit)) {
	case LIBSSH2_KNOWNHOST_CHECK_MATCH:
		return 0;
	case LIBSSH2_KNOWNHOST_CHECK_MISMATCH:
		return err_set(
			err, ERR_CONNECT,
			"%s: its host key is not the known one: it shows %s %s. Somebody may be listening in "
			"between. If the node was set up anew, remove the old key: ssh-keygen -R '%s' -f %s",
			t->host, kind->name, print, name, h->file);
	default:
		return err_set(err, ERR_CONNECT,
			       "%s: its host key is unknown: %s %s. Compare it on that node (ssh-keygen -lf "
			       "/etc/ssh/ssh_host_ed25519_key.pub), then: ssh-keyscan -p %u %s >> %s",
			       t->host, kind->name, print, t->port, t->host, h->file);
	}
}
