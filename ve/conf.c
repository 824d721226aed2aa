// SPDX-License-Identifier: GPL-2.0-only
#include "ve/ve.h"

#include <ctype.h>
#include <string.h>

static struct ve_conf_line *find(const struct ve_conf *conf, const char *key)
{
	for (size_t i = conf->lines.nr; i-- > 0;)
		if (!strcmp(conf->lines.at[i].key, key))
			return &conf->lines.at[i];
	return NULL;
}

const char *ve_conf_get(const struct ve_conf *conf, const char *key)
{
	struct ve_conf_line *line = find(conf, key);

	return line ? line->value : NULL;
}

void ve_conf_set(struct ve_conf *conf, const char *key, const char *value)
{
	struct ve_conf_line *line = find(conf, key);
	char *copy = mem_strdup(value);

	if (!line) {
		line = vec_add(&conf->lines);
		line->key = mem_strdup(key);
	}
	free(line->value);
	line->value = copy;
}

void ve_conf_unset(struct ve_conf *conf, const char *key)
{
	size_t kept = 0;

	vec_each(line, &conf->lines) {
		if (!strcmp(line->key, key)) {
			free(line->key);
			free(line->value);
			continue;
		}
		conf->lines.at[kept++] = *line;
	}
	conf->lines.nr = kept;
}

void ve_conf_free(struct ve_conf *conf)
{
	vec_each(line, &conf->lines) {
		free(line->key);
		free(line->value);
	}
	vec_free(&conf->lines);
}

static bool is_key(const char *s, size_t len)
{
	if (!len || isdigit((unsigned char)s[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return false;
	return true;
}

/*
 * The value as a shell would read it: between double quotes with \" \\ \$ \` escaped, between single quotes
 * as is, or bare up to the first blank. NULL when the quotes do not close or something but a comment follows.
 */
static char *value_of(const char *s, const char *end)
{
	char *value = mem_alloc((size_t)(end - s) + 1);
	char quote = s < end && (*s == '"' || *s == '\'') ? *s++ : 0;
	size_t len = 0;

	for (; s < end && (quote ? *s != quote : !isspace((unsigned char)*s)); s++) {
		if (quote != '\'' && *s == '\\' && s + 1 < end && strchr("\"\\$`", s[1]))
			s++;
		value[len++] = *s;
	}
	if (quote && s++ == end)
		goto bad;
	while (s < end && isspace((unsigned char)*s))
		s++;
	if (s < end && *s != '#')
		goto bad;
	return value;
bad:
	free(value);
	return NULL;
}

static int parse_line(struct ve_conf *conf, const char *s, const char *end, unsigned number, struct err *err)
{
	_free_ char *value = NULL;
	_free_ char *key = NULL;
	const char *equals;

	while (s < end && isspace((unsigned char)*s))
		s++;
	if (s == end || *s == '#') {
		struct ve_conf_line *line = vec_add(&conf->lines);

		line->key = mem_alloc((size_t)(end - s) + 1);
		memcpy(line->key, s, (size_t)(end - s));
		line->value = mem_strdup("");
		return 0;
	}
	equals = memchr(s, '=', (size_t)(end - s));
	if (!equals || !is_key(s, (size_t)(equals - s)))
		return err_set(err, ERR_VALUE, "line %u: not KEY=\"value\"", number);
	value = value_of(equals + 1, end);
	if (!value)
		return err_set(err, ERR_VALUE, "line %u: bad quotes", number);
	key = mem_alloc((size_t)(equals - s) + 1);
	memcpy(key, s, (size_t)(equals - s));
	ve_conf_set(conf, key, value);
	return 0;
}

int ve_conf_parse(struct ve_conf *ret, const char *text, size_t len_bytes, struct err *err)
{
	const char *end = text + len_bytes;
	struct ve_conf conf = {0};
	unsigned number = 0;

	if (memchr(text, 0, len_bytes))
		return err_set(err, ERR_VALUE, "not a text: it contains a NUL byte");
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = newline ? newline : end;

		if (parse_line(&conf, text, line_end, ++number, err)) {
			ve_conf_free(&conf);
			return -1;
		}
		text = newline ? newline + 1 : end;
	}
	*ret = conf;
	return 0;
}

char *ve_conf_print(const struct ve_conf *conf)
{
	struct buf b = {0};

	vec_each(line, &conf->lines) {
		buf_put(&b, line->key, strlen(line->key));
		if (!line->key[0] || line->key[0] == '#') {
			buf_put_u8(&b, '\n');
			continue;
		}
		buf_put(&b, "=\"", 2);
		for (const char *s = line->value; *s; s++) {
			if (strchr("\"\\$`", *s))
				buf_put_u8(&b, '\\');
			buf_put_u8(&b, *s == '\n' ? ' ' : (uint8_t)*s);
		}
		buf_put(&b, "\"\n", 2);
	}
	buf_put_u8(&b, 0);
	return (char *)b.at;
}
