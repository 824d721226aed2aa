// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "ve/console.h"
#include "ve/wire.h"

static struct wire_msg good(void)
{
	return (struct wire_msg){.magic = WIRE_MAGIC, .version = WIRE_VERSION, .type = WIRE_KILL};
}

static int check(const struct wire_msg *msg, size_t len_bytes)
{
	struct err err = ERR_INIT;

	if (!wire_check(msg, len_bytes, &err))
		return 0;
	cr_assert_eq(err.code, ERR_PROTOCOL);
	return -1;
}

Test(ve_wire, only_whole_messages_of_ours_pass)
{
	struct wire_msg msg = good();

	cr_assert_eq(sizeof(msg), 512);
	cr_assert_eq(check(&msg, sizeof(msg)), 0);
	cr_assert_eq(check(&msg, 0), -1);
	cr_assert_eq(check(&msg, sizeof(msg) - 1), -1);
	cr_assert_eq(check(&msg, sizeof(msg) + 1), -1);
	msg.magic++;
	cr_assert_eq(check(&msg, sizeof(msg)), -1);
	msg = good();
	msg.version++;
	cr_assert_eq(check(&msg, sizeof(msg)), -1);
	msg = good();
	msg.type = 0;
	cr_assert_eq(check(&msg, sizeof(msg)), -1);
	msg.type = WIRE_TYPE_END;
	cr_assert_eq(check(&msg, sizeof(msg)), -1);
	msg = good();
	memset(msg.text, 'x', sizeof(msg.text));
	cr_assert_eq(check(&msg, sizeof(msg)), -1);
}

Test(ve_wire, an_error_travels)
{
	struct err sent = ERR_INIT, err = ERR_INIT;
	struct wire_msg msg;
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	memset(sent.msg, 'x', sizeof(sent.msg) - 1); /* longer than a message holds */
	sent.code = ERR_RUNNING;
	cr_assert_eq(wire_send_reply(pair[0], &sent), 0);
	cr_assert_eq(wire_recv(pair[1], 1000, &msg, &err), 0);
	cr_assert_eq(msg.type, WIRE_REPLY);
	cr_assert_eq(msg.code, ERR_RUNNING);
	cr_assert_eq(strlen(msg.text), sizeof(msg.text) - 1);
	/* the answer first: the call finds it waiting */
	cr_assert_eq(wire_send_reply(pair[0], &sent), 0);
	cr_assert_eq(wire_call(pair[1], WIRE_GO, 0, 1000, &err), -1);
	cr_assert_eq(err.code, ERR_RUNNING);
}

Test(ve_wire, silence_and_death)
{
	struct err err = ERR_INIT;
	struct wire_msg msg;
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	cr_assert_eq(wire_recv(pair[1], 10, &msg, &err), -1);
	cr_assert(strstr(err.msg, "does not answer"), "%s", err.msg);
	cr_assert_eq(send(pair[0], "nonsense", 8, 0), 8);
	cr_assert_eq(wire_recv(pair[1], 10, &msg, &err), -1);
	cr_assert_eq(err.code, ERR_PROTOCOL);
	close(pair[0]);
	cr_assert_eq(wire_recv(pair[1], 10, &msg, &err), -1);
	cr_assert_eq(wire_send(pair[1], WIRE_GO, 0, &err), -1);
}

Test(ve_console, keeps_the_last_of_it)
{
	struct console *c = mem_new(struct console);
	struct buf text = {0};

	console_put(c, (const uint8_t *)"hello", 5);
	console_get(c, &text);
	cr_assert_eq(text.len_bytes, 5);
	cr_assert_eq(memcmp(text.at, "hello", 5), 0);
	for (unsigned i = 0; i < 3 * CONSOLE_KEEP_BYTES + 7; i++) {
		uint8_t byte = (uint8_t)(i % 251);

		console_put(c, &byte, 1);
	}
	buf_clear(&text);
	console_get(c, &text);
	cr_assert_eq(text.len_bytes, CONSOLE_KEEP_BYTES);
	for (size_t i = 0; i < text.len_bytes; i++)
		cr_assert_eq(text.at[i], (i + 2 * CONSOLE_KEEP_BYTES + 7) % 251);
	buf_free(&text);
	free(c);
}
