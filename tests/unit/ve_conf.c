// SPDX-License-Identifier: GPL-2.0-only
#include <criterion/criterion.h>
#include <string.h>

#include "ve/ve.h"

static int parse(const char *text, struct ve_conf *ret)
{
	struct err err = ERR_INIT;

	return ve_conf_parse(ret, text, strlen(text), &err) ? (int)err.code : 0;
}

static void expect(const char *text, const char *key, const char *value)
{
	struct ve_conf conf;

	cr_assert_eq(parse(text, &conf), 0, "%s", text);
	cr_assert_str_eq(ve_conf_get(&conf, key), value);
	ve_conf_free(&conf);
}

Test(ve_conf, reads_as_a_shell_would)
{
	expect("KEY=\"value\"\n", "KEY", "value");
	expect("KEY=\"a b\"", "KEY", "a b");
	expect("KEY='a $b \\'\n", "KEY", "a $b \\");
	expect("KEY=bare # comment\n", "KEY", "bare");
	expect("  KEY=\"x\"  # comment\n", "KEY", "x");
	expect("# KEY=no\n\n\t\nKEY=yes\n", "KEY", "yes");
	expect("KEY=\"a \\\"b\\\" \\\\ \\$c \\`d\\` \\e\"\n", "KEY", "a \"b\" \\ $c `d` \\e");
	expect("KEY=\n", "KEY", "");
	expect("KEY=\"\"\n", "KEY", "");
	expect("KMEMSIZE=\"14372700:14790164\"\n", "KMEMSIZE", "14372700:14790164");
	expect("KEY=1\nKEY=2\n", "KEY", "2");
}

Test(ve_conf, refuses_what_is_no_config)
{
	static const char *const bad[] = {"KEY",	  "=x",		 "1KEY=x",     "K-Y=x",
					  "KEY=\"open\n", "KEY='open\n", "KEY=\"a\"b", "KEY=a b\n",
					  "some text",	  "KEY =x"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct ve_conf conf;

		cr_assert_eq(parse(bad[i], &conf), ERR_VALUE, "%s", bad[i]);
	}
}

Test(ve_conf, refuses_nul)
{
	struct err err = ERR_INIT;
	struct ve_conf conf;

	cr_assert_eq(ve_conf_parse(&conf, "KEY=a\0b\n", 8, &err), -1);
}

Test(ve_conf, names_the_line)
{
	struct err err = ERR_INIT;
	struct ve_conf conf;
	static const char text[] = "A=1\n# x\nB\n";

	cr_assert_eq(ve_conf_parse(&conf, text, strlen(text), &err), -1);
	cr_assert(strstr(err.msg, "line 3"), "%s", err.msg);
}

Test(ve_conf, keeps_order_and_unknown_keys)
{
	struct ve_conf conf;
	_free_ char *text = NULL;

	cr_assert_eq(parse("ZZ=1\nAA=2\nMM=\"3 4\"\n", &conf), 0);
	ve_conf_set(&conf, "AA", "new");
	ve_conf_set(&conf, "LAST", "\"$`\\");
	ve_conf_unset(&conf, "ZZ");
	ve_conf_unset(&conf, "NOT_THERE");
	text = ve_conf_print(&conf);
	cr_assert_str_eq(text, "AA=\"new\"\nMM=\"3 4\"\nLAST=\"\\\"\\$\\`\\\\\"\n");
	ve_conf_free(&conf);
}

Test(ve_conf, keeps_comments)
{
	static const char before[] = "# one\n\n# one\n\t# KEY=no\nKEY=\"1\"\n#\n";
	static const char after[] = "# one\n\n# one\n# KEY=no\nKEY=\"2\"\n#\n";
	struct ve_conf conf;
	_free_ char *text = NULL;

	cr_assert_eq(parse(before, &conf), 0);
	ve_conf_set(&conf, "KEY", "2");
	text = ve_conf_print(&conf);
	cr_assert_str_eq(text, after);
	ve_conf_free(&conf);
}

Test(ve_conf, what_is_printed_reads_the_same)
{
	static const char *const values[] = {"",   " ",	     "a\"b",	  "$HOME", "`id`",
					     "\\", "\\\\\"", "tab\there", "it's",  "#"};
	struct ve_conf conf = {0}, again;
	_free_ char *text = NULL;
	char key[8];

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		snprintf(key, sizeof(key), "K%zu", i);
		ve_conf_set(&conf, key, values[i]);
	}
	text = ve_conf_print(&conf);
	cr_assert_eq(parse(text, &again), 0, "%s", text);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		snprintf(key, sizeof(key), "K%zu", i);
		cr_assert_str_eq(ve_conf_get(&again, key), values[i]);
	}
	ve_conf_free(&conf);
	ve_conf_free(&again);
}

/* A value can never begin a line of its own. */
Test(ve_conf, newline_in_a_value)
{
	struct ve_conf conf = {0};
	_free_ char *text = NULL;

	ve_conf_set(&conf, "A", "x\nB=\"y\"");
	text = ve_conf_print(&conf);
	cr_assert_str_eq(text, "A=\"x B=\\\"y\\\"\"\n");
	ve_conf_free(&conf);
}
