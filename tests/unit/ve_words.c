// SPDX-License-Identifier: GPL-2.0-only
/* Ids, names, addresses. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "ve/net.h"
#include "ve/node.h"
#include "ve/open.h"

Test(ve_words, ids)
{
	char *end;

	cr_assert_eq(ve_node_parse_id("101", &end), 101);
	cr_assert_eq(*end, 0);
	cr_assert_eq(ve_node_parse_id("2147483644", &end), VE_ID_MAX);
	cr_assert_eq(ve_node_parse_id("2147483645", &end), 0);
	cr_assert_eq(ve_node_parse_id("100", &end), 0);
	cr_assert_eq(ve_node_parse_id("0", &end), 0);
	cr_assert_eq(ve_node_parse_id("-101", &end), 0);
	cr_assert_eq(ve_node_parse_id("+101", &end), 0);
	cr_assert_eq(ve_node_parse_id(" 101", &end), 0);
	cr_assert_eq(ve_node_parse_id("0101", &end), 0);
	cr_assert_eq(ve_node_parse_id("4294967397", &end), 0); /* 101 + 2^32 */
	cr_assert_eq(ve_node_parse_id("99999999999999999999999", &end), 0);
	cr_assert_eq(ve_node_parse_id("101.conf", &end), 101);
	cr_assert_str_eq(end, ".conf");
}

Test(ve_words, names)
{
	static const char *const good[] = {"a", "web", "web-1", "Web_1.example", "x9"};
	static const char *const bad[] = {"", "1web", "-web", "web 1", "we/b", "../x", ".", "ümlaut", "a\n"};
	char longest[VE_NAME_MAX + 2];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_assert_eq(ve_open_check_name(good[i], &err), 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err_clear(&err);
		cr_assert_eq(ve_open_check_name(bad[i], &err), -1, "%s", bad[i]);
		cr_assert_eq(err.code, ERR_NAME);
	}
	memset(longest, 'a', sizeof(longest));
	longest[VE_NAME_MAX] = 0;
	cr_assert_eq(ve_open_check_name(longest, &err), 0);
	longest[VE_NAME_MAX] = 'a';
	longest[VE_NAME_MAX + 1] = 0;
	cr_assert_eq(ve_open_check_name(longest, &err), -1);
}

static int parse(const char *text, const char *expected)
{
	struct err err = ERR_INIT;
	char now[INET_ADDRSTRLEN];
	struct in_addr addr;

	if (ve_net_parse(text, strlen(text), &addr, &err)) {
		cr_assert_eq(err.code, ERR_BAD_IP);
		return -1;
	}
	cr_assert_str_eq(inet_ntop(AF_INET, &addr, now, sizeof(now)), expected);
	return 0;
}

Test(ve_words, addresses)
{
	static const char *const bad[] = {"",
					  "10.0.0",
					  "10.0.0.256",
					  "10.0.0.1.2",
					  "10.0.0.1/24",
					  "10.0.0.1/",
					  "10.0.0.1 ",
					  " 10.0.0.1",
					  "0.0.0.0",
					  "127.0.0.1",
					  "224.0.0.1",
					  "255.255.255.255",
					  "169.254.1.1",
					  "010.0.0.1x",
					  "::1",
					  "example.org",
					  "10.0.0.1/320",
					  "1",
					  "10.0.0.1\n",
					  "999999999999999999999999999999999999999999999"};

	cr_assert_eq(parse("10.0.0.1", "10.0.0.1"), 0);
	cr_assert_eq(parse("192.168.255.254/32", "192.168.255.254"), 0);
	cr_assert_eq(parse("223.255.255.255", "223.255.255.255"), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(parse(bad[i], ""), -1, "'%s'", bad[i]);
}

Test(ve_words, list_of_addresses)
{
	struct err err = ERR_INIT;
	struct ve_conf conf = {0};
	struct venet_addrs addrs;

	cr_assert_eq(ve_net_addrs(&conf, &addrs, &err), 0);
	cr_assert_eq(addrs.nr, 0);
	ve_conf_set(&conf, "IP_ADDRESS", "  10.0.0.1 10.0.0.2\t10.0.0.3 ");
	cr_assert_eq(ve_net_addrs(&conf, &addrs, &err), 0);
	cr_assert_eq(addrs.nr, 3);
	cr_assert_eq(addrs.at[2].s_addr, htonl(0x0a000003));
	vec_free(&addrs);
	ve_conf_set(&conf, "IP_ADDRESS", "10.0.0.1 nonsense");
	cr_assert_eq(ve_net_addrs(&conf, &addrs, &err), -1);
	ve_conf_free(&conf);
}

Test(ve_words, interface_names_fit_and_differ)
{
	struct ve_node plain = {.cgroup = "verst"}, rooted = {.root = "/some/where"},
		       other = {.root = "/else/where"};
	struct ve ve = {.node = &plain, .id = VE_ID_MAX};
	char a[16], b[16], c[16];

	ve_net_host_name(&ve, a);
	cr_assert_str_eq(a, "vz2147483644");
	ve.node = &rooted;
	ve_net_host_name(&ve, b);
	ve.node = &other;
	ve_net_host_name(&ve, c);
	cr_assert_leq(strlen(b), 15);
	cr_assert_str_neq(a, b);
	cr_assert_str_neq(b, c);
	cr_assert(strstr(b, "2147483644"), "%s", b);
}
