// SPDX-License-Identifier: GPL-2.0-only
#include "facts/mcast.h"

#include <errno.h>
#include <fcntl.h>

#define FILE_MAX_BYTES (1 << 20)

/* 224.0.0.1; the kernel joins these on every device (igmp.c, mcast.c), as it does the groups of its own
 * addresses. */
static bool is_kernels(const struct mcast_group *g)
{
	static const uint8_t all4[4] = {224, 0, 0, 1};
	static const uint8_t solicited[13] = {0xff, 2, [11] = 1, [12] = 0xff};

	if (g->ip_bytes == 4)
		return !memcmp(g->ip, all4, 4);
	return !memcmp(g->ip, solicited, 13) ||
	       (g->ip[0] == 0xff && g->ip[1] <= 2 && g->ip[15] <= 2 && !g->ip[14] && !g->ip[13]);
}

/* A line of a device, "2 eth0 : 3 V3", and below it one for each group: its address as the number it is in
 * memory. */
static void parse4(char *text, mcast_groups *groups)
{
	struct mcast_group g = {.ip_bytes = 4};

	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		uint32_t ip;

		if (line[0] != '\t') {
			sscanf(line, "%u %15s", &g.ifindex, g.device);
		} else if (sscanf(line, " %8X", &ip) == 1) {
			memcpy(g.ip, &ip, sizeof(ip));
			if (!is_kernels(&g))
				vec_push(groups, g);
		}
	}
}

/* "2 eth0 ff0200000000000000000000000000fb 1 0000000C 0" */
static void parse6(char *text, mcast_groups *groups)
{
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct mcast_group g = {.ip_bytes = 16};
		char hex[33];
		unsigned byte;

		if (sscanf(line, "%u %15s %32s", &g.ifindex, g.device, hex) != 3 || strlen(hex) != 32)
			continue;
		for (int i = 0; i < 16; i++)
			g.ip[i] = sscanf(hex + 2 * i, "%2x", &byte) == 1 ? (uint8_t)byte : 0;
		if (!is_kernels(&g))
			vec_push(groups, g);
	}
}

static int read_one(const char *path, void (*parse)(char *text, mcast_groups *groups), mcast_groups *groups,
		    struct err *err)
{
	struct buf text = {0};
	int r = io_read_file(AT_FDCWD, path, FILE_MAX_BYTES, &text, err);

	if (!r)
		parse((char *)text.at, groups);
	buf_free(&text);
	return r && err->sys_errno == ENOENT ? 0 : r; /* a kernel without it */
}

int mcast_read(mcast_groups *groups, struct err *err)
{
	groups->nr = 0;
	return read_one("/proc/thread-self/net/igmp", parse4, groups, err) ||
			       read_one("/proc/thread-self/net/igmp6", parse6, groups, err)
		       ? -1
		       : 0;
}
