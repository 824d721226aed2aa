// SPDX-License-Identifier: GPL-2.0-only
#include "ve/wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

int wire_check(const struct wire_msg *msg, size_t len_bytes, struct err *err)
{
	if (!len_bytes)
		return err_set(err, ERR_PROTOCOL, "the supervisor is gone");
	if (len_bytes != sizeof(*msg) || msg->magic != WIRE_MAGIC)
		return err_set(err, ERR_PROTOCOL, "not a message of a supervisor");
	if (msg->version != WIRE_VERSION)
		return err_set(err, ERR_PROTOCOL,
			       "the supervisor speaks version %u, we speak %u: restart the VE", msg->version,
			       WIRE_VERSION);
	if (!msg->type || msg->type >= WIRE_TYPE_END || !memchr(msg->text, 0, sizeof(msg->text)))
		return err_set(err, ERR_PROTOCOL, "malformed message of a supervisor");
	return 0;
}

static int send_msg(int fd, const struct wire_msg *msg, int flags)
{
	ssize_t n;

	do
		n = send(fd, msg, sizeof(*msg), MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n == sizeof(*msg) ? 0 : -1;
}

int wire_send(int fd, enum wire_type type, uint32_t flags, struct err *err)
{
	struct wire_msg msg = {
		.magic = WIRE_MAGIC, .version = WIRE_VERSION, .type = (uint16_t)type, .flags = flags};

	return send_msg(fd, &msg, 0) ? err_sys(err, "supervisor") : 0;
}

int wire_send_reply(int fd, const struct err *result)
{
	struct wire_msg msg = {
		.magic = WIRE_MAGIC, .version = WIRE_VERSION, .type = WIRE_REPLY, .code = result->code};

	memcpy(msg.text, result->msg, MIN(strlen(result->msg), sizeof(msg.text) - 1));
	return send_msg(fd, &msg, MSG_DONTWAIT);
}

int wire_recv(int fd, int timeout_ms, struct wire_msg *ret, struct err *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;
	int r;

	do
		r = poll(&p, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return err_set(err, ERR_SYSTEM, "the supervisor does not answer (%d ms)", timeout_ms);
	n = recv(fd, ret, sizeof(*ret), MSG_TRUNC);
	if (r < 0 || n < 0)
		return err_sys(err, "supervisor");
	return wire_check(ret, (size_t)n, err);
}

int wire_call(int fd, enum wire_type type, uint32_t flags, int timeout_ms, struct err *err)
{
	struct wire_msg msg;

	if (wire_send(fd, type, flags, err) || wire_recv(fd, timeout_ms, &msg, err))
		return -1;
	if (msg.type != WIRE_REPLY)
		return err_set(err, ERR_PROTOCOL, "unexpected message %u of the supervisor", msg.type);
	return msg.code ? err_set(err, (enum err_code)msg.code, "%s", msg.text) : 0;
}
