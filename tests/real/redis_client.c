/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * redis_client ADDRESS PORT KEYS: fills a redis with keys, prints "ready", then writes and reads back all the
 * time. Knows what every key must hold. A second connection waits in BLPOP from the beginning to the end.
 */
#include "tests/real/client.h"

#define BATCH 50

static unsigned nr_keys;
static unsigned *versions; /* what was last written to each key */
static struct client_in in, waiting;
static unsigned state = 1;

static unsigned next_random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static int value_of(char *ret, size_t len_bytes, unsigned key, unsigned version)
{
	return snprintf(ret, len_bytes, "value-%u-of-%u-%08x%08x", version, key, key * 2654435761u ^ version,
			version * 40503u + key);
}

static size_t put_set(char *to, unsigned key, unsigned version)
{
	char name[32], value[96];
	int name_len = snprintf(name, sizeof(name), "key:%u", key),
	    value_len = value_of(value, sizeof(value), key, version);

	return (size_t)sprintf(to, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", name_len, name, value_len,
			       value);
}

static size_t put_get(char *to, unsigned key)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "key:%u", key);

	return (size_t)sprintf(to, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len, name);
}

static void expect_line(struct client_in *from, const char *expected)
{
	char line[256];

	client_line(from, line, sizeof(line));
	if (strcmp(line, expected))
		client_fail("redis answered '%s', not '%s'", line, expected);
	client_answer();
}

static void expect_value(unsigned key)
{
	char line[256], value[96], expected[96];
	int len = value_of(expected, sizeof(expected), key, versions[key]);

	client_line(&in, line, sizeof(line));
	if (line[0] != '$' || atoi(line + 1) != len)
		client_fail("key:%u: redis answered '%s'", key, line);
	client_read(&in, value, (size_t)len + 2);
	if (memcmp(value, expected, (size_t)len))
		client_fail("key:%u is '%.*s', not '%s'", key, len, value, expected);
	client_answer();
}

static void load(void)
{
	static char out[BATCH * 256];

	for (unsigned key = 0; key < nr_keys;) {
		unsigned from = key;
		size_t len = 0;

		for (; key < nr_keys && key < from + BATCH; key++)
			len += put_set(out + len, key, 0);
		client_send(in.fd, out, len);
		for (; from < key; from++)
			expect_line(&in, "+OK");
	}
}

/* each batch writes some keys and reads those and as many others back */
static void exchange(void)
{
	static char out[BATCH * 512];
	unsigned keys[2 * BATCH];
	size_t len = 0;

	for (int i = 0; i < BATCH; i++) {
		keys[i] = next_random() % nr_keys;
		keys[BATCH + i] = next_random() % nr_keys;
		len += put_set(out + len, keys[i], ++versions[keys[i]]);
	}
	for (int i = 0; i < 2 * BATCH; i++)
		len += put_get(out + len, keys[i]);
	client_send(in.fd, out, len);
	for (int i = 0; i < BATCH; i++)
		expect_line(&in, "+OK");
	for (int i = 0; i < 2 * BATCH; i++)
		expect_value(keys[i]);
}

static void check_all(void)
{
	static char out[BATCH * 64];

	for (unsigned key = 0; key < nr_keys;) {
		unsigned from = key;
		size_t len = 0;

		for (; key < nr_keys && key < from + BATCH; key++)
			len += put_get(out + len, key);
		client_send(in.fd, out, len);
		for (; from < key; from++)
			expect_value(from);
	}
}

static void check_waiting(void)
{
	static const char push[] = "*3\r\n$5\r\nLPUSH\r\n$4\r\nlist\r\n$5\r\nhello\r\n";

	client_send(in.fd, push, sizeof(push) - 1);
	expect_line(&in, ":1");
	expect_line(&waiting, "*2");
	expect_line(&waiting, "$4");
	expect_line(&waiting, "list");
	expect_line(&waiting, "$5");
	expect_line(&waiting, "hello");
}

int main(int argc, char **argv)
{
	static const char wait[] = "*3\r\n$5\r\nBLPOP\r\n$4\r\nlist\r\n$1\r\n0\r\n",
			  size[] = "*1\r\n$6\r\nDBSIZE\r\n";
	static const char flush[] = "*1\r\n$8\r\nFLUSHALL\r\n";
	char expected[32];

	if (argc != 4)
		return 2;
	client_init("redis");
	nr_keys = (unsigned)atoi(argv[3]);
	versions = calloc(nr_keys, sizeof(*versions));
	in.fd = client_connect(argv[1], atoi(argv[2]));
	waiting.fd = client_connect(argv[1], atoi(argv[2]));
	client_send(in.fd, flush, sizeof(flush) - 1);
	expect_line(&in, "+OK");
	load();
	client_send(waiting.fd, wait, sizeof(wait) - 1);
	client_gap_ns = 0;
	printf("ready\n");
	fflush(stdout);
	while (!client_end) {
		exchange();
		usleep(1000);
	}
	snprintf(expected, sizeof(expected), ":%u", nr_keys);
	client_send(in.fd, size, sizeof(size) - 1);
	expect_line(&in, expected);
	check_waiting();
	check_all();
	client_report("");
	return 0;
}
