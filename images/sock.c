// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/sock.pb-c.h"

#define SOCKADDR_MAX_BYTES 128 /* struct sockaddr_storage */
#define SCM_FILES_MAX	   253 /* SCM_MAX_FD */

#define T struct sockopt_obj
static const struct img_field option_fields[] = {NUM(level), NUM(name), BYTES(value, 65536)};
const struct img_table img_sock_option_table = IMG_TABLE(sock_option, option_fields);
#undef T

#define T struct sock_packet
static const struct img_field packet_fields[] = {
	BYTES(data, IMG_MAX_DATA),
	BYTES(from, SOCKADDR_MAX_BYTES),
	BYTES(to, 16),
	NUM(from_unix),
	NUM(has_creds),
	NUM(cred_pid),
	NUM(cred_uid),
	NUM(cred_gid),
	NUMS(files, SCM_FILES_MAX),
};
const struct img_table img_sock_packet_table = IMG_TABLE(sock_packet, packet_fields);
#undef T
