// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/msg.h"

#include <string.h>

#define CONF_MAX_BYTES (256u * 1024)
#define NAME_MAX_BYTES 255u
#define WORD_MAX_BYTES 255u

static int check(const struct frame *f, const struct cur *c, struct err *err)
{
	if (cur_done(c))
		return 0;
	return err_set(err, ERR_PROTOCOL, "%s: malformed body of %zu bytes", frame_name(f->type),
		       f->len_bytes);
}

static struct cur cur_of_frame(const struct frame *f)
{
	return cur_of(f->body, f->len_bytes);
}

/* What comes from outside ends up on the admin's terminal: no control characters. */
static char *get_str(struct cur *c, size_t max_bytes, bool lines)
{
	char *s = cur_str(c, max_bytes);

	for (char *p = s; p && *p; p++)
		if ((unsigned char)*p < ' ' && !(lines && (*p == '\n' || *p == '\t')))
			*p = '?';
	return s;
}

/* --- lists of words --- */

void msg_list_free(msg_list *l)
{
	vec_each(it, l)
		free(*it);
	vec_free(l);
}

static void put_list(struct buf *out, const msg_list *l)
{
	buf_put_u32(out, (uint32_t)l->nr);
	vec_each(it, l)
		buf_put_str(out, *it);
}

static void get_list(struct cur *c, msg_list *ret)
{
	uint32_t nr = cur_u32(c);

	if (nr > MSG_LIST_MAX)
		c->bad = true;
	for (uint32_t i = 0; i < nr && !c->bad; i++)
		vec_push(ret, get_str(c, WORD_MAX_BYTES, false));
}

/* --- HELLO --- */

void msg_put_hello(struct buf *out, const struct msg_hello *m)
{
	buf_put_u32(out, m->protocol_min);
	buf_put_u32(out, m->protocol_max);
	buf_put_u32(out, m->page_bytes);
	buf_put_str(out, m->version);
	buf_put_str(out, m->arch);
	buf_put_str(out, m->kernel);
	buf_put_str(out, m->node);
}

int msg_get_hello(const struct frame *f, struct msg_hello *ret, struct err *err)
{
	struct cur c = cur_of_frame(f);
	struct msg_hello m = {0};

	m.protocol_min = cur_u32(&c);
	m.protocol_max = cur_u32(&c);
	m.page_bytes = cur_u32(&c);
	m.version = get_str(&c, WORD_MAX_BYTES, false);
	m.arch = get_str(&c, WORD_MAX_BYTES, false);
	m.kernel = get_str(&c, WORD_MAX_BYTES, false);
	m.node = get_str(&c, WORD_MAX_BYTES, false);
	/* what follows is a later version's: it may say more */
	if (c.bad) {
		msg_free_hello(&m);
		return check(f, &c, err);
	}
	*ret = m;
	return 0;
}

void msg_free_hello(struct msg_hello *m)
{
	free(m->version);
	free(m->arch);
	free(m->kernel);
	free(m->node);
	*m = (struct msg_hello){0};
}

/* --- PREFLIGHT --- */

void msg_put_preflight(struct buf *out, const struct msg_preflight *m)
{
	buf_put_u32(out, m->ve.id);
	buf_put_str(out, m->ve.name);
	buf_put_str(out, m->ve.conf);
	buf_put_str(out, m->ve.template_name);
	buf_put_str(out, m->ve.template_digest);
	buf_put_u64(out, m->files_bytes);
	buf_put_u64(out, m->memory_bytes);
	put_list(out, &m->cpu);
	put_list(out, &m->features);
}

int msg_get_preflight(const struct frame *f, struct msg_preflight *ret, struct err *err)
{
	struct cur c = cur_of_frame(f);
	struct msg_preflight m = {0};

	m.ve.id = cur_u32(&c);
	m.ve.name = get_str(&c, NAME_MAX_BYTES, false);
	m.ve.conf = get_str(&c, CONF_MAX_BYTES, true);
	m.ve.template_name = get_str(&c, NAME_MAX_BYTES, false);
	m.ve.template_digest = get_str(&c, WORD_MAX_BYTES, false);
	m.files_bytes = cur_u64(&c);
	m.memory_bytes = cur_u64(&c);
	get_list(&c, &m.cpu);
	get_list(&c, &m.features);
	if (check(f, &c, err)) {
		msg_free_preflight(&m);
		return -1;
	}
	*ret = m;
	return 0;
}

void msg_free_preflight(struct msg_preflight *m)
{
	verst_ve_free(&m->ve);
	msg_list_free(&m->cpu);
	msg_list_free(&m->features);
	*m = (struct msg_preflight){0};
}

/* --- FINDINGS --- */

void msg_put_findings(struct buf *out, const struct findings *m)
{
	size_t nr = MIN(m->list.nr, (size_t)256);

	buf_put_u32(out, (uint32_t)nr);
	for (size_t i = 0; i < nr; i++) {
		buf_put_str(out, m->list.at[i].where);
		buf_put_str(out, m->list.at[i].what);
		buf_put_str(out, m->list.at[i].hint ? m->list.at[i].hint : "");
	}
}

int msg_get_findings(const struct frame *f, struct findings *ret, struct err *err)
{
	struct cur c = cur_of_frame(f);
	uint32_t nr = cur_u32(&c);

	if (nr > MSG_LIST_MAX)
		c.bad = true;
	for (uint32_t i = 0; i < nr && !c.bad; i++) {
		_free_ char *where = get_str(&c, MSG_TEXT_MAX, false);
		_free_ char *what = get_str(&c, MSG_TEXT_MAX, false);
		_free_ char *hint = get_str(&c, MSG_TEXT_MAX, false);

		if (!c.bad)
			findings_add(ret, where, *hint ? hint : NULL, "%s", what);
	}
	return check(f, &c, err);
}

/* --- one value --- */

void msg_put_text(struct buf *out, const char *text)
{
	size_t len = MIN(strlen(text), (size_t)MSG_TEXT_MAX - 4);

	buf_put_u32(out, (uint32_t)len);
	buf_put(out, text, len);
}

int msg_get_text(const struct frame *f, char **ret, struct err *err)
{
	struct cur c = cur_of_frame(f);
	char *text = get_str(&c, MSG_TEXT_MAX, true);

	if (check(f, &c, err)) {
		free(text);
		return -1;
	}
	*ret = text;
	return 0;
}

static void put_hex(struct buf *out, const char *hex)
{
	for (unsigned i = 0; i < MSG_ID_BYTES; i++) {
		unsigned byte = 0;

		sscanf(hex + 2 * i, "%2x", &byte);
		buf_put_u8(out, (uint8_t)byte);
	}
}

static void get_hex(struct cur *c, char *ret)
{
	for (unsigned i = 0; i < MSG_ID_BYTES; i++)
		sprintf(ret + 2 * i, "%02x", cur_u8(c));
}

void msg_put_id(struct buf *out, const char *hex)
{
	put_hex(out, hex);
}

int msg_get_id(const struct frame *f, char *ret_hex, struct err *err)
{
	struct cur c = cur_of_frame(f);

	get_hex(&c, ret_hex);
	return check(f, &c, err);
}

void msg_put_id_of(struct buf *out, const char *hex, uint32_t ve)
{
	put_hex(out, hex);
	buf_put_u32(out, ve);
}

int msg_get_id_of(const struct frame *f, char *ret_hex, uint32_t *ret_ve, struct err *err)
{
	struct cur c = cur_of_frame(f);

	get_hex(&c, ret_hex);
	*ret_ve = cur_u32(&c);
	return check(f, &c, err);
}

void msg_put_number(struct buf *out, uint64_t n)
{
	buf_put_u64(out, n);
}

int msg_get_number(const struct frame *f, uint64_t *ret, struct err *err)
{
	struct cur c = cur_of_frame(f);

	*ret = cur_u64(&c);
	return check(f, &c, err);
}

/* --- READY, DONE, ERROR --- */

void msg_put_ready(struct buf *out, const struct msg_ready *m)
{
	buf_put_u64(out, m->pages);
	buf_put_u64(out, m->ready_ns);
}

int msg_get_ready(const struct frame *f, struct msg_ready *ret, struct err *err)
{
	struct cur c = cur_of_frame(f);

	ret->pages = cur_u64(&c);
	ret->ready_ns = cur_u64(&c);
	return check(f, &c, err);
}

void msg_put_done(struct buf *out, const struct msg_done *m)
{
	buf_put_u64(out, m->thaw_ns);
	msg_put_text(out, m->warning);
}

int msg_get_done(const struct frame *f, struct msg_done *ret, struct err *err)
{
	struct cur c = cur_of_frame(f);
	struct msg_done m = {0};

	m.thaw_ns = cur_u64(&c);
	m.warning = get_str(&c, MSG_TEXT_MAX, true);
	if (check(f, &c, err)) {
		free(m.warning);
		return -1;
	}
	*ret = m;
	return 0;
}

void msg_put_error(struct buf *out, const struct err *m)
{
	buf_put_u32(out, m->code);
	msg_put_text(out, m->msg);
}

int msg_get_error(const struct frame *f, struct err *ret, struct err *err)
{
	struct cur c = cur_of_frame(f);
	uint32_t code = cur_u32(&c);
	_free_ char *text = get_str(&c, MSG_TEXT_MAX, true);

	if (check(f, &c, err))
		return -1;
	/* a success as an error, or an exit code that does not exist, is not to be handed on */
	return err_set(ret, code && code < 256 ? (enum err_code)code : ERR_REMOTE, "%s", text), 0;
}
