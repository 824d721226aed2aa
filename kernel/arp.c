// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/arp.h"

#include <libnet.h>
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

static int send_one(libnet_t *l, uint16_t op, const uint8_t *mac, uint32_t addr)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	libnet_clear_packet(l);
	if (libnet_autobuild_arp(op, mac, (const uint8_t *)&addr, all, (uint8_t *)&addr, l) < 0 ||
	    libnet_autobuild_ethernet(all, ETHERTYPE_ARP, l) < 0)
		return -1;
	return libnet_write(l) < 0 ? -1 : 0;
}

static void *close_fd(void *arg)
{
	close((int)(intptr_t)arg);
	return NULL;
}

/*
 * Closing a packet socket waits until no CPU can be in its hook any more (net/packet/af_packet.c,
 * packet_release: synchronize_net), some 10 ms. An announcement is made while a VE stands still: that is
 * waited out elsewhere.
 */
static void destroy_later(libnet_t *l)
{
	int fd = dup(libnet_getfd(l));
	pthread_attr_t attr;
	pthread_t thread;

	libnet_destroy(l); /* not the last descriptor: returns at once */
	if (fd < 0)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, close_fd, (void *)(intptr_t)fd))
		close(fd);
	pthread_attr_destroy(&attr);
}

int arp_announce(const char *ifname, struct in_addr addr, struct err *err)
{
	char text[LIBNET_ERRBUF_SIZE] = "";
	libnet_t *l = libnet_init(LIBNET_LINK, ifname, text);
	const struct libnet_ether_addr *mac;
	int r = 0;

	if (!l)
		return err_set(err, ERR_SYSTEM, "gratuitous ARP on %s: %s", ifname, text);
	mac = libnet_get_hwaddr(l);
	/* Both forms: some systems update their tables by the one, some by the other. */
	if (!mac || send_one(l, ARPOP_REQUEST, mac->ether_addr_octet, addr.s_addr) ||
	    send_one(l, ARPOP_REPLY, mac->ether_addr_octet, addr.s_addr))
		r = err_set(err, ERR_SYSTEM, "gratuitous ARP on %s: %s", ifname, libnet_geterror(l));
	destroy_later(l);
	return r;
}
