// SPDX-License-Identifier: GPL-2.0-only
#include "ve/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "ve/node.h"

int ve_net_parse(const char *text, size_t len_bytes, struct in_addr *ret, struct err *err)
{
	char copy[INET_ADDRSTRLEN + 3];
	struct in_addr addr;
	uint32_t host;
	char *slash;

	snprintf(copy, sizeof(copy), "%.*s", (int)MIN(len_bytes, sizeof(copy)), text);
	slash = strchr(copy, '/');
	if (slash && !strcmp(slash, "/32"))
		*slash = 0;
	if (len_bytes >= sizeof(copy) || inet_pton(AF_INET, copy, &addr) != 1)
		return err_set(err, ERR_BAD_IP, "'%.*s' is no IPv4 address", (int)MIN(len_bytes, 64u), text);
	host = ntohl(addr.s_addr);
	if (host >> 24 == 0 || host >> 24 == 127 || host >> 28 >= 14 || host >> 16 == 0xa9fe)
		return err_set(err, ERR_BAD_IP, "%s is no address a VE can have", copy);
	*ret = addr;
	return 0;
}

int ve_net_addrs(const struct ve_conf *conf, struct venet_addrs *ret, struct err *err)
{
	const char *at = ve_conf_get(conf, "IP_ADDRESS");
	struct venet_addrs addrs = {0};

	for (at = at ? at + strspn(at, " \t") : ""; *at; at += strspn(at, " \t")) {
		size_t len = strcspn(at, " \t");

		if (ve_net_parse(at, len, vec_add(&addrs), err)) {
			vec_free(&addrs);
			return -1;
		}
		at += len;
	}
	*ret = addrs;
	return 0;
}

char *ve_net_print(const struct venet_addrs *addrs)
{
	char *text = mem_strdup("");

	vec_each(addr, addrs) {
		char one[INET_ADDRSTRLEN];
		char *more;

		inet_ntop(AF_INET, addr, one, sizeof(one));
		more = mem_printf("%s%s%s", text, *text ? " " : "", one);
		free(text);
		text = more;
	}
	return text;
}

/* At most 15 characters: an id has up to 10 digits. A node with its own root has names of its own. */
void ve_net_host_name(const struct ve *ve, char ret[static 16])
{
	if (!ve->node->root[0])
		snprintf(ret, 16, "vz%u", ve->id);
	else
		snprintf(ret, 16, "v%04x%u",
			 (unsigned)XXH32(ve->node->root, strlen(ve->node->root), 0) & 0xffff, ve->id);
}

static int taken_by(const struct ve *ve, unsigned other_id, struct in_addr addr, bool running,
		    struct err *err)
{
	struct err ignored = ERR_INIT;
	struct venet_addrs addrs = {0};
	char number[16], text[INET_ADDRSTRLEN];
	struct ve other;
	bool taken = false;

	snprintf(number, sizeof(number), "%u", other_id);
	if (other_id == ve->id || ve_open(ve->node, number, false, &other, &ignored))
		return 0;
	if (!ve_net_addrs(&other.conf, &addrs, &ignored))
		vec_each(at, &addrs)
			taken |= at->s_addr == addr.s_addr;
	vec_free(&addrs);
	if (taken && running)
		taken = ve_is_running(&other);
	ve_close(&other);
	if (!taken)
		return 0;
	inet_ntop(AF_INET, &addr, text, sizeof(text));
	return err_set(err, ERR_IP_IN_USE, "address %s belongs to VE %u", text, other_id);
}

int ve_net_check_free(const struct ve *ve, struct in_addr addr, bool running, struct err *err)
{
	struct ve_ids ids;
	char host[16];
	int r = 0;

	if (ve_node_ids(ve->node, &ids, err))
		return -1;
	for (size_t i = 0; !r && i < ids.nr; i++)
		r = taken_by(ve, ids.at[i], addr, running, err);
	vec_free(&ids);
	ve_net_host_name(ve, host);
	return r ? r : venet_check_free(host, addr, err);
}

static int with_addrs(const struct ve *ve, const struct ve_run *run,
		      int (*fn)(const char *host, const struct venet_addrs *addrs, struct err *err),
		      struct err *err)
{
	struct venet_addrs addrs;
	int r;

	if (!run->venet_host[0])
		return 0;
	if (ve_net_addrs(&ve->conf, &addrs, err))
		return -1;
	r = fn(run->venet_host, &addrs, err);
	vec_free(&addrs);
	return r;
}

int ve_net_announce(const struct ve *ve, const struct ve_run *run, struct err *err)
{
	return with_addrs(ve, run, venet_announce, err);
}

int ve_net_withdraw(const struct ve *ve, const struct ve_run *run, struct err *err)
{
	return with_addrs(ve, run, venet_withdraw, err);
}
