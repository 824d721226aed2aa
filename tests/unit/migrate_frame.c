// SPDX-License-Identifier: GPL-2.0-only
/* The parser of frames, and the bodies, against what a hostile or broken far side may send. */
#include <string.h>

#include <criterion/criterion.h>

#include "migrate/agent.h"
#include "migrate/msg.h"

static struct buf three_frames(void)
{
	struct buf b = {0};

	buf_put(&b, FRAME_BANNER, strlen(FRAME_BANNER));
	frame_put(&b, FRAME_ABORT, 0, "\4\0\0\0four", 8);
	frame_put(&b, FRAME_STREAM_END, 1, NULL, 0);
	frame_put(&b, FRAME_STREAM, 2, "some bytes", 10);
	return b;
}

static int parse_all(struct frame_parser *p, struct err *err)
{
	struct frame f;
	int got, nr = 0;

	while ((got = frame_next(p, &f, err)) > 0)
		nr++;
	return got ? -1 : nr;
}

Test(migrate_frame, comes_back_in_whatever_pieces)
{
	struct buf b = three_frames();

	for (size_t piece = 1; piece <= b.len_bytes; piece++) {
		struct frame_parser p = {.banner = true};
		struct err err = ERR_INIT;
		struct frame f;
		int nr = 0;

		for (size_t at = 0; at < b.len_bytes; at += piece) {
			frame_feed(&p, b.at + at, MIN(piece, b.len_bytes - at));
			while (frame_next(&p, &f, &err) > 0)
				if (++nr == 3)
					cr_assert(f.type == FRAME_STREAM && f.len_bytes == 10 &&
						  !memcmp(f.body, "some bytes", 10));
		}
		cr_assert_eq(nr, 3, "pieces of %zu: %s", piece, err.msg);
		cr_assert_eq(frame_end_of_stream(&p, &err), 0);
		frame_parser_free(&p);
	}
	buf_free(&b);
}

Test(migrate_frame, cut_anywhere_is_noticed)
{
	struct buf b = three_frames();
	size_t between[] = {12, 12 + 24, 12 + 24 + 16, 12 + 24 + 16 + 26};

	for (size_t len = 0; len <= b.len_bytes; len++) {
		struct frame_parser p = {.banner = true};
		struct err err = ERR_INIT;
		bool at_boundary = false;

		for (size_t i = 0; i < ARRAY_LEN(between); i++)
			at_boundary |= between[i] == len;
		frame_feed(&p, b.at, len);
		cr_assert_geq(parse_all(&p, &err), 0, "%zu: %s", len, err.msg);
		cr_assert_eq(frame_end_of_stream(&p, &err) == 0, at_boundary, "cut at %zu", len);
		frame_parser_free(&p);
	}
	buf_free(&b);
}

Test(migrate_frame, every_flipped_bit_is_refused)
{
	struct buf b = three_frames();

	for (size_t bit = 0; bit < b.len_bytes * 8; bit++) {
		struct frame_parser p = {.banner = true};
		struct err err = ERR_INIT;
		int got;

		b.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
		frame_feed(&p, b.at, b.len_bytes);
		got = parse_all(&p, &err);
		/* a longer length waits for more bytes, which do not come */
		cr_assert(got < 0 || frame_end_of_stream(&p, &err), "bit %zu went through", bit);
		cr_assert_eq(err.code, ERR_PROTOCOL);
		b.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
		frame_parser_free(&p);
	}
	buf_free(&b);
}

static void expect_refusal(const struct buf *b, const char *words)
{
	struct frame_parser p = {0};
	struct err err = ERR_INIT;

	frame_feed(&p, b->at, b->len_bytes);
	cr_assert_lt(parse_all(&p, &err), 0, "not refused: %s", words);
	cr_assert(strstr(err.msg, words), "'%s' has not '%s'", err.msg, words);
	frame_parser_free(&p);
}

Test(migrate_frame, wrong_headers)
{
	struct buf b = {0};
	uint8_t huge[FRAME_HEADER_BYTES] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, FRAME_STREAM};

	frame_put(&b, FRAME_STREAM, 1, "x", 1);
	expect_refusal(&b, "has number 1");
	buf_clear(&b);
	frame_put(&b, FRAME_TYPE_END, 0, "x", 1);
	expect_refusal(&b, "unknown type");
	buf_clear(&b);
	frame_put(&b, 0, 0, "x", 1);
	expect_refusal(&b, "unknown type");
	buf_clear(&b);
	frame_put(&b, FRAME_ABORTED, 0, "x", 1);
	expect_refusal(&b, "at most 0");
	buf_clear(&b);
	/* refused by the header alone: nothing of that size is awaited, let alone allocated */
	buf_put(&b, huge, sizeof(huge));
	expect_refusal(&b, "at most");
	buf_free(&b);
}

Test(migrate_frame, a_chatty_shell_is_named)
{
	static const char *const chatter = "bash: verst: command not found\n";
	struct frame_parser p = {.banner = true};
	struct err err = ERR_INIT;

	frame_feed(&p, chatter, strlen(chatter));
	cr_assert_lt(parse_all(&p, &err), 0);
	cr_assert(strstr(err.msg, "command not found"), "%s", err.msg);
	frame_parser_free(&p);
}

/* --- bodies --- */

static struct frame frame_of(enum frame_type type, const struct buf *b, size_t len)
{
	return (struct frame){type, b->at, len};
}

static struct buf preflight_body(void)
{
	struct msg_preflight m = {.ve = {.id = 101,
					 .name = (char *)"web",
					 .conf = (char *)"A=\"b\"\n",
					 .template_name = (char *)"busybox",
					 .template_digest = (char *)"00ff"},
				  .files_bytes = 1,
				  .memory_bytes = 2};
	struct buf b = {0};

	vec_push(&m.cpu, (char *)"sse2");
	vec_push(&m.cpu, (char *)"avx");
	vec_push(&m.features, (char *)"pids");
	msg_put_preflight(&b, &m);
	vec_free(&m.cpu);
	vec_free(&m.features);
	return b;
}

Test(migrate_msg, preflight_comes_back)
{
	struct buf b = preflight_body();
	struct frame f = frame_of(FRAME_PREFLIGHT, &b, b.len_bytes);
	struct err err = ERR_INIT;
	struct msg_preflight m;

	cr_assert_eq(msg_get_preflight(&f, &m, &err), 0, "%s", err.msg);
	cr_assert(m.ve.id == 101 && !strcmp(m.ve.name, "web") && !strcmp(m.ve.conf, "A=\"b\"\n"));
	cr_assert(m.cpu.nr == 2 && !strcmp(m.cpu.at[1], "avx") && m.features.nr == 1);
	msg_free_preflight(&m);
	buf_free(&b);
}

Test(migrate_msg, cut_or_longer_bodies_are_refused)
{
	struct buf b = preflight_body();
	struct msg_preflight m;
	struct err err = ERR_INIT;

	for (size_t len = 0; len < b.len_bytes; len++) {
		struct frame f = frame_of(FRAME_PREFLIGHT, &b, len);

		cr_assert_lt(msg_get_preflight(&f, &m, &err), 0, "cut at %zu", len);
		cr_assert_eq(err.code, ERR_PROTOCOL);
	}
	buf_put_u8(&b, 0);
	cr_assert_lt(msg_get_preflight(&(struct frame){FRAME_PREFLIGHT, b.at, b.len_bytes}, &m, &err), 0);
	buf_free(&b);
}

Test(migrate_msg, random_bodies_do_no_harm)
{
	unsigned seed = 1;

	for (int i = 0; i < 20000; i++) {
		uint8_t bytes[200];
		size_t len = (size_t)rand_r(&seed) % sizeof(bytes);
		struct frame f = {FRAME_PREFLIGHT, bytes, len};
		struct err err = ERR_INIT, theirs;
		struct msg_preflight m;
		struct msg_hello hello;
		struct msg_done done;
		struct findings found = {0};
		char *text = NULL;

		for (size_t k = 0; k < len; k++)
			bytes[k] = (uint8_t)(rand_r(&seed) % 4 ? rand_r(&seed) % 3 : rand_r(&seed));
		if (!msg_get_preflight(&f, &m, &err))
			msg_free_preflight(&m);
		if (!msg_get_hello(&f, &hello, &err))
			msg_free_hello(&hello);
		if (!msg_get_done(&f, &done, &err))
			free(done.warning);
		if (!msg_get_text(&f, &text, &err))
			free(text);
		msg_get_findings(&f, &found, &err);
		findings_free(&found);
		msg_get_error(&f, &theirs, &err);
	}
}

Test(migrate_msg, an_error_cannot_be_a_success)
{
	struct err none = ERR_INIT, theirs = ERR_INIT, err = ERR_INIT;
	struct buf b = {0};

	msg_put_error(&b, &none);
	cr_assert_eq(msg_get_error(&(struct frame){FRAME_ERROR, b.at, b.len_bytes}, &theirs, &err), 0);
	cr_assert_eq(theirs.code, ERR_REMOTE);
	buf_free(&b);
}

Test(migrate_msg, far_texts_cannot_steer_a_terminal)
{
	struct err evil = {.code = ERR_RESTORE, .msg = "\033[2Jall is well"}, theirs = ERR_INIT,
		   err = ERR_INIT;
	struct buf b = {0};

	msg_put_error(&b, &evil);
	cr_assert_eq(msg_get_error(&(struct frame){FRAME_ERROR, b.at, b.len_bytes}, &theirs, &err), 0);
	cr_assert_null(strchr(theirs.msg, '\033'));
	buf_free(&b);
}

/* What the agent takes in which state: the commit needs a complete VE, and nothing comes after it but FORGET.
 */
Test(migrate_states, order)
{
	for (unsigned type = 0; type < FRAME_TYPE_END + 2u; type++) {
		cr_assert_eq(agent_expects(AGENT_START, type), type == FRAME_HELLO);
		cr_assert_eq(agent_expects(AGENT_COMMITTED, type), type == FRAME_FORGET);
		cr_assert(!agent_expects(AGENT_OVER, type));
		cr_assert(!agent_expects(AGENT_NR_STATES, type));
		for (unsigned state = 0; state < AGENT_NR_STATES; state++) {
			if (type == FRAME_COMMIT)
				cr_assert_eq(agent_expects(state, type), state == AGENT_READY);
			if (type == FRAME_FILE)
				cr_assert_eq(agent_expects(state, type), state == AGENT_STREAMING);
		}
	}
}
