// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/inject.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "lib/lib.h"

#define HOP_LIMIT 64

static int raw_socket(int family, uint32_t mark, struct err *err)
{
	_fd_ int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW); /* with our own IP header */
	int size = 1 << 20;

	if (fd < 0)
		return err_sys(err, "raw socket");
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)))
		return err_sys(err, "SO_MARK");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		return err_sys(err, "SO_SNDBUFFORCE");
	return fd_take(&fd);
}

int inject_open(uint32_t mark, struct inject *ret, struct err *err)
{
	_fd_ int fd4 = raw_socket(AF_INET, mark, err);
	_fd_ int fd6 = -1;

	if (fd4 < 0)
		return -1;
	fd6 = raw_socket(AF_INET6, mark, err);
	if (fd6 < 0 && err->sys_errno != EAFNOSUPPORT)
		return -1;
	*ret = (struct inject){fd_take(&fd4), fd_take(&fd6)};
	return 0;
}

void inject_close(struct inject *in)
{
	cleanup_fd(&in->fd4);
	cleanup_fd(&in->fd6);
	*in = (struct inject){-1, -1};
}

struct inject_end inject_end(const void *ip, size_t ip_bytes, uint32_t port, uint32_t scope_id)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct inject_end end = {.port = (uint16_t)port, .scope_id = scope_id};
	const uint8_t *at = ip;

	end.v6 = ip_bytes == 16 && memcmp(at, mapped, sizeof(mapped));
	if (ip_bytes == 16 && !end.v6)
		memcpy(end.ip, at + 12, 4);
	else if (ip_bytes == 4 || ip_bytes == 16)
		memcpy(end.ip, at, ip_bytes);
	return end;
}

static uint32_t add_bytes(uint32_t sum, const uint8_t *p, size_t len_bytes)
{
	for (size_t i = 0; i + 1 < len_bytes; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	return len_bytes % 2 ? sum + (uint32_t)(p[len_bytes - 1] << 8) : sum;
}

/* Over the pseudo-header and what follows (RFC 9293 3.1, RFC 8200 8.1). In network order. */
static uint16_t checksum(const struct inject_end *src, const struct inject_end *dst, uint8_t protocol,
			 const uint8_t *p, size_t len_bytes)
{
	size_t ip_bytes = src->v6 ? 16 : 4;
	uint32_t sum = protocol + (uint32_t)len_bytes;

	sum = add_bytes(add_bytes(add_bytes(sum, src->ip, ip_bytes), dst->ip, ip_bytes), p, len_bytes);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static size_t put_ip_header(uint8_t *at, const struct inject_end *src, const struct inject_end *dst,
			    uint8_t protocol, size_t payload_bytes)
{
	if (src->v6) {
		struct ip6_hdr ip = {.ip6_flow = htonl(6u << 28),
				     .ip6_plen = htons((uint16_t)payload_bytes),
				     .ip6_nxt = protocol,
				     .ip6_hlim = HOP_LIMIT};

		memcpy(&ip.ip6_src, src->ip, 16);
		memcpy(&ip.ip6_dst, dst->ip, 16);
		memcpy(at, &ip, sizeof(ip));
		return sizeof(ip);
	}
	/* The kernel fills in the header's checksum and the id (net/ipv4/raw.c). */
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .tot_len = htons((uint16_t)(sizeof(ip) + payload_bytes)),
			   .frag_off = htons(IP_DF),
			   .ttl = HOP_LIMIT,
			   .protocol = protocol};

	memcpy(&ip.saddr, src->ip, 4);
	memcpy(&ip.daddr, dst->ip, 4);
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

static int send_packet(const struct inject *in, const struct inject_end *dst, const uint8_t *p,
		       size_t len_bytes, struct err *err)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_scope_id = dst->scope_id};
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	ssize_t n;

	memcpy(&a6.sin6_addr, dst->ip, 16);
	memcpy(&a4.sin_addr, dst->ip, 4);
	n = dst->v6 ? sendto(in->fd6, p, len_bytes, 0, (struct sockaddr *)&a6, sizeof(a6))
		    : sendto(in->fd4, p, len_bytes, 0, (struct sockaddr *)&a4, sizeof(a4));
	return n == (ssize_t)len_bytes ? 0 : err_sys(err, "sending a packet made by hand");
}

/* Where the IP header ends and the other begins; the packet is then complete but for the checksum. */
static uint8_t *new_packet(const struct inject_end *src, const struct inject_end *dst, uint8_t protocol,
			   size_t payload_bytes, uint8_t **ret_payload, struct err *err)
{
	enum { MAX_BYTES = 65535 };
	size_t ip_bytes = src->v6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
	uint8_t *packet;

	if (payload_bytes + (src->v6 ? 0 : ip_bytes) > MAX_BYTES) {
		err_set(err, ERR_IMAGE, "packet of %zu bytes", payload_bytes);
		return NULL;
	}
	packet = mem_alloc(ip_bytes + payload_bytes);
	*ret_payload = packet + put_ip_header(packet, src, dst, protocol, payload_bytes);
	return packet;
}

static void put_timestamp(uint8_t *at, uint32_t timestamp)
{
	const uint8_t head[] = {TCPOPT_NOP, TCPOPT_NOP, TCPOPT_TIMESTAMP, TCPOLEN_TIMESTAMP};

	timestamp = htonl(timestamp);
	memcpy(at, head, sizeof(head));
	memcpy(at + sizeof(head), &timestamp, sizeof(timestamp)); /* and no echo */
}

int inject_tcp(const struct inject *in, const struct inject_end *src, const struct inject_end *dst,
	       const struct inject_tcp *tcp, struct err *err)
{
	enum { TIMESTAMP_BYTES = 12 };
	size_t head_bytes = sizeof(struct tcphdr) + (tcp->has_timestamp ? TIMESTAMP_BYTES : 0);
	size_t tcp_bytes = head_bytes + tcp->len_bytes;
	uint8_t *at;
	_free_ uint8_t *packet = new_packet(src, dst, IPPROTO_TCP, tcp_bytes, &at, err);
	struct tcphdr th = {.source = htons(src->port),
			    .dest = htons(dst->port),
			    .seq = htonl(tcp->seq),
			    .ack_seq = htonl(tcp->ack),
			    .doff = (uint16_t)(head_bytes / 4),
			    .window = htons(tcp->window)};

	if (!packet)
		return -1;
	th.fin = tcp->flags & INJECT_FIN;
	th.rst = !!(tcp->flags & INJECT_RST);
	th.ack = !!(tcp->flags & INJECT_ACK);
	if (tcp->has_timestamp)
		put_timestamp(at + sizeof(th), tcp->timestamp);
	if (tcp->len_bytes)
		memcpy(at + head_bytes, tcp->data, tcp->len_bytes);
	memcpy(at, &th, sizeof(th));
	th.check = checksum(src, dst, IPPROTO_TCP, at, tcp_bytes);
	memcpy(at, &th, sizeof(th));
	return send_packet(in, dst, packet, (size_t)(at - packet) + tcp_bytes, err);
}

int inject_udp(const struct inject *in, const struct inject_end *src, const struct inject_end *dst,
	       const void *data, size_t len_bytes, struct err *err)
{
	size_t udp_bytes = sizeof(struct udphdr) + len_bytes;
	uint8_t *at;
	_free_ uint8_t *packet = new_packet(src, dst, IPPROTO_UDP, udp_bytes, &at, err);
	struct udphdr uh = {
		.source = htons(src->port), .dest = htons(dst->port), .len = htons((uint16_t)udp_bytes)};

	if (!packet)
		return -1;
	if (len_bytes)
		memcpy(at + sizeof(uh), data, len_bytes);
	memcpy(at, &uh, sizeof(uh));
	uh.check = checksum(src, dst, IPPROTO_UDP, at, udp_bytes);
	if (!uh.check)
		uh.check = 0xffff; /* 0 says that there is none (RFC 768) */
	memcpy(at, &uh, sizeof(uh));
	return send_packet(in, dst, packet, (size_t)(at - packet) + udp_bytes, err);
}
