// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"
#include "images/proto/inet.pb-c.h"

#define T struct inet_obj
static const struct img_field fields[] = {
	NUM(id),
	NUM(family),
	NUM(type),
	NUM(protocol),
	RANGE(state, 1, 12), /* TCP_ESTABLISHED to TCP_NEW_SYN_RECV */
	BYTES(src, 16),
	BYTES(dst, 16),
	RANGE(src_port, 0, 65535),
	RANGE(dst_port, 0, 65535),
	NUM(scope_id),
	TEXT_OR_NULL(device, 15),
	NUM(owner_uid),
	NUM(owner_gid),
	NUM(bound),
	NUM(listener),
	RANGE(shutdown, 0, 3),
	NUM(reset),
	NUM(backlog),
	LIST(options, img_sock_option_table, 256),
	LIST(queue, img_sock_packet_table, IMG_MAX_COUNT),
	NUM(send_seq),
	NUM(recv_seq),
	BYTES(send_queue, IMG_MAX_DATA),
	BYTES(recv_queue, IMG_MAX_DATA),
	NUM(unsent_bytes),
	NUM(snd_wl1),
	NUM(snd_wnd),
	NUM(max_window),
	NUM(rcv_wnd),
	NUM(rcv_wup),
	NUM(mss),
	RANGE(snd_wscale, 0, 14), /* TCP_MAX_WSCALE */
	RANGE(rcv_wscale, 0, 14),
	NUM(wscale_ok),
	NUM(sack_ok),
	NUM(timestamps_ok),
	NUM(timestamp),
	NUM(fin_received),
	NUM(fin_sent),
	NUM(fin_unsent),
};
static const struct img_table table = IMG_TABLE(inet, fields);
#undef T

const struct img_kind img_inet_kind = {.table = &table, .order = IMG_BY_ID};
